"""Barriers and reaction energies: the reader of RDB7, zero-point energies."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.io import read, write
from helpers import SHARED, needs_shared
from transfer import PLAIN, metrics, stationary_points, table

from ase_mlseqm import MLSEQM, evaluate
from ase_mlseqm.errors import InputError
from ase_mlseqm.runs.transferability import transferability_run
from ase_mlseqm.units import EV_TO_KCAL
from ase_mlseqm.workflows.states import state
from ase_mlseqm.workflows.transferability.methods import Semiempirical
from ase_mlseqm.workflows.transferability.reaction_data import load_reactions
from ase_mlseqm.workflows.transferability.reactions import ReactionEnergies
from ase_mlseqm.workflows.transferability.read_rdb7 import read_rdb7
from ase_mlseqm.workflows.vibrations import VibrationsConfig, vibrations


def hcn(angle: float) -> Atoms:
    """HCN (0), HNC (180) and what is between: hydrogen on an ellipse round CN, degrees."""
    a = np.radians(angle)
    hydrogen = [0.58 - 1.65 * np.cos(a), 1.15 * np.sin(a), 0.0]
    return Atoms("CNH", [[0, 0, 0], [1.16, 0, 0], hydrogen])


def write_rdb7(folder, header="rxn,smiles,dE0,reaction_energy", row="7,a>>b,45.0,15.0"):
    """One reaction in the layout of RDB7."""
    inside = folder / "rxn000007"
    inside.mkdir(parents=True)
    for side, angle in (("r", 0), ("ts", 75), ("p", 180)):
        write(inside / f"{side}000007.xyz", hcn(angle), comment="from somewhere", format="xyz")
    (folder / "data.csv").write_text(f"{header}\n{row}\n")
    return folder


def test_reader(tmp_path):
    found = read_rdb7(write_rdb7(tmp_path / "rdb7"))
    structures = found.structures
    assert len(structures) == 3 and not found.skipped
    barrier, energy = found.differences
    assert (barrier.quantity, barrier.reference, barrier.zero_point) == ("barrier", 45.0, True)
    assert (energy.quantity, energy.reference, energy.zero_point) == (
        *("reaction energy", 15.0),
        False,
    )
    assert structures[barrier.last].positions == pytest.approx(hcn(75).positions, abs=1e-6)


def test_blank_lines_around_a_structure(tmp_path):
    folder = write_rdb7(tmp_path / "rdb7")
    file = folder / "rxn000007" / "ts000007.xyz"
    file.write_text("\n" + file.read_text() + "\n \n")
    found = read_rdb7(folder)
    assert not found.skipped
    assert found.structures["rxn000007/ts000007"].positions == pytest.approx(hcn(75).positions)


def test_charge_and_multiplicity_are_those_of_the_table(tmp_path):
    """Of all structures of a reaction; nothing else tells an ion from a radical."""
    head = "rxn,charge, multiplicity ,dE0,reaction_energy"
    folder = write_rdb7(tmp_path / "rdb7", head, "7,-1,3,45.0,15.0")
    structures = read_rdb7(folder).structures.values()
    assert len(structures) == 3
    assert all(state(atoms) == (-1, 3) for atoms in structures)
    empty = write_rdb7(tmp_path / "empty", head, "7,, ,45.0,15.0")
    assert all(not atoms.info for atoms in read_rdb7(empty).structures.values())
    with pytest.raises(InputError, match=r"charge is '1\.5': give a whole number"):
        read_rdb7(write_rdb7(tmp_path / "wrong", head, "7,1.5,2,45.0,15.0"))


def test_one_barrier_of_a_reaction_counts(tmp_path):
    """The electronic one, where there are both; blanks around names of columns do not matter."""
    folder = write_rdb7(tmp_path / "rdb7", "rxn,dE0, barrier , reaction_energy", "7,40.0,45.0,15.0")
    barrier, energy = read_rdb7(folder).differences
    assert (barrier.quantity, barrier.reference, barrier.zero_point) == ("barrier", 45.0, False)
    assert energy.reference == 15.0


@pytest.mark.parametrize(
    ("header", "row", "sentence"),
    [
        ("rxn,barrier,barrier", "7,80,90", "there are two columns barrier: keep one"),
        ("rxn,smiles", "7,a", "there must be a column rxn and one of"),
        ("rxn,dE0", "seven,1.0", "rxn is 'seven'"),
        ("rxn,dE0", "7,much", "dE0 is 'much'"),
        ("rxn,dE0", "8,1.0", r"rdb7/rxn000008/r000008.xyz: rxn000008 barrier: there is no such"),
    ],
)
def test_broken_folder(tmp_path, header, row, sentence):
    with pytest.raises(InputError, match=sentence):
        read_rdb7(write_rdb7(tmp_path / "rdb7", header, row))


def test_two_folders_with_the_same_reaction(tmp_path):
    folders = [write_rdb7(tmp_path / name) for name in ("a", "b")]
    with pytest.raises(InputError, match="rxn000007 is in b and in another folder"):
        load_reactions(folders, PLAIN)


def test_barriers(tmp_path):
    write_rdb7(tmp_path / "rdb7")
    config = dataclasses.replace(PLAIN, tests=("reactions",))
    assert transferability_run(config, tmp_path, tmp_path / "out") == 0
    rows = table(tmp_path / "out" / "reactions.csv")
    for method in ("PM3", "AM1"):
        r, ts, p = (x.energy * EV_TO_KCAL for x in evaluate([hcn(a) for a in (0, 75, 180)], method))
        own = [float(row["energy"]) for row in rows if row["method"] == method]
        assert own == pytest.approx([ts - r, p - r], abs=1e-5)
        found = metrics(tmp_path / "out", "reactions")
        assert found[method, "barrier bias"] == pytest.approx(ts - r - 45.0, abs=1e-4)
    assert (tmp_path / "out" / "reactions.png").exists()


def test_zero_point_energy_of_bare_electronic_energies(tmp_path, monkeypatch):
    """A published method is taken for one whose energies have none."""
    test, method = ReactionEnergies(), Semiempirical("PM3", None)
    data = test.load([write_rdb7(tmp_path / "rdb7")], PLAIN)
    assert len(data) == 5
    plain = test.compute(method, data, PLAIN, lambda *_: None).rows
    monkeypatch.setattr(method, "bare", True)
    added = test.compute(method, data, PLAIN, lambda *_: None).rows
    settings = VibrationsConfig(relax=False)
    energies = [
        vibrations(hcn(a), MLSEQM(method="PM3"), settings).zero_point_energy for a in (0, 75)
    ]
    change = (energies[1] - energies[0]) * EV_TO_KCAL
    assert -6 < change < -1
    assert added[0]["energy"] - plain[0]["energy"] == pytest.approx(change, abs=1e-6)
    assert added[1]["energy"] == plain[1]["energy"], "the reference has none"
    off = dataclasses.replace(PLAIN, zero_point=False)
    without = test.compute(method, data, off, lambda *_: None).rows
    assert without[0]["energy"] == pytest.approx(plain[0]["energy"])
    # whether they are in both energies
    told = [[row["zero_point"] for row in rows[:2]] for rows in (plain, added, without)]
    assert told == [[1, 0], [1, 0], [0, 0]]


def test_reactions_of_the_benchmark_equal_mopac():
    """Differences of heats of formation at the structures of the data set, PM3."""
    folder = Path(__file__).parents[3] / "benchmarks" / "transferability" / "reactions" / "rdb7"
    test = ReactionEnergies()
    data = test.load([folder], PLAIN)
    outcome = test.compute(Semiempirical("PM3", None), data, PLAIN, lambda *_: None)
    assert len(outcome.rows) == 10 and not outcome.failures
    for row in outcome.rows:
        points = stationary_points(row["case"].split()[0])
        last = points["top" if row["quantity"] == "barrier" else "product"]
        heat = "start_heat_of_formation_kcal_mol"
        energy = last[heat] - points["reactant"][heat]
        assert row["energy"] == pytest.approx(energy, abs=2e-3), row["case"]


@needs_shared
def test_forty_reactions_of_rdb7():
    found = read_rdb7(SHARED / "rdb7_subset")
    assert (len(found.structures), len(found.differences)) == (120, 40)
    assert not found.skipped
    assert all(d.zero_point and d.quantity == "barrier" for d in found.differences)
    some = dataclasses.replace(PLAIN, max_reactions=3)
    test = ReactionEnergies()
    data = test.load([SHARED / "rdb7_subset"], some)
    assert len(data.differences) == 3
    outcome = test.compute(Semiempirical("PM3", None), data, some, lambda *_: None)
    assert len(outcome.rows) == 3 and not outcome.failures
    for row in outcome.rows:
        name = row["case"].split()[0]
        files = (f"{kind}{name[3:]}.xyz" for kind in ("r", "ts"))
        pair = evaluate([read(SHARED / "rdb7_subset" / name / file) for file in files], "PM3")
        energy = (pair[1].energy - pair[0].energy) * EV_TO_KCAL
        assert row["energy"] == pytest.approx(energy, abs=1e-3), name
