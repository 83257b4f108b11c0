"""How many pairs are computed at a time changes nothing."""

import pytest
import torch
from ase import Atoms
from helpers import TIGHT, build, run

from ase_mlseqm import evaluate
from ase_mlseqm.nddo import chunks
from ase_mlseqm.nddo.chunks import in_chunks

MOLECULES = [build(n, 0, 1) for n in ("CH3CONH2", "CHFBrI", "H2", "HCl", "CH3SiH3")]


def test_rows_come_together_in_their_order(monkeypatch):
    monkeypatch.setattr(chunks, "CHUNK", 3)
    seen = []

    def double(values, others):
        seen.append(len(values))
        return torch.stack((2 * values, others), 1)

    values, others = torch.arange(8.0), torch.arange(8.0, 16.0)
    found = in_chunks(double, values, others)
    assert seen == [3, 3, 2]
    torch.testing.assert_close(found, torch.stack((2 * values, others), 1))
    found = in_chunks(lambda v: v.view(1, -1), values, axis=1)
    torch.testing.assert_close(found, values.view(1, -1))


@pytest.mark.parametrize("method", ["MNDO", "AM1", "PM3", "learned"])
def test_molecules(method, monkeypatch):
    def results():
        if method != "learned":
            return run(MOLECULES, method, ("energy", "forces", "mulliken_charges"))
        alone = [Atoms(m.numbers, m.positions) for m in (MOLECULES[0], MOLECULES[2])]
        return evaluate(alone, properties=("energy", "forces"), scf=TIGHT)

    expected = results()
    monkeypatch.setattr(chunks, "CHUNK", 5)
    for found, whole in zip(results(), expected, strict=True):
        assert found.energy == pytest.approx(whole.energy, rel=0, abs=1e-10)
        assert found.forces == pytest.approx(whole.forces, rel=0, abs=1e-9)
        if method != "learned":
            assert found.mulliken_charges == pytest.approx(whole.mulliken_charges, abs=1e-10)
