"""Solutions that were the lowest at another geometry are left."""

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import molecule
from helpers import build, problem

from ase_mlseqm import MLSEQM, SCFSettings, evaluate
from ase_mlseqm.scf import search, solve
from ase_mlseqm.scf.moves import lowest_move


@pytest.mark.parametrize(
    ("names", "unrestricted"),
    [
        (("C2H4", "H2CO", "H2O"), False),
        (("CH3", "NO2", "C2H4"), True),
    ],
)
def test_it_is_a_difference_of_energies(names, unrestricted):
    part = problem([build(name) for name in names], unrestricted=unrestricted)
    builder = part.builder
    found = solve(builder, part.occupied, None, SCFSettings(ladder=False, tolerance=1e-10))
    change, moved = lowest_move(builder, part.occupied, found.density, found.fock, found.orbitals)
    before = builder.energy(found.density, found.fock)
    after = builder.energy(moved, builder(moved))
    torch.testing.assert_close(change, after - before, rtol=0, atol=1e-9)
    assert bool((change > 1.0).all())
    # a determinant with as many electrons
    torch.testing.assert_close(moved @ moved, moved, rtol=0, atol=1e-9)
    electrons = moved.diagonal(dim1=2, dim2=3).sum(2)
    torch.testing.assert_close(electrons, part.occupied.to(torch.float64), rtol=0, atol=1e-9)
    if unrestricted:  # one electron, of one spin
        turned = (moved - found.density).abs().amax((2, 3)) > 1e-6
        assert turned.sum(0).tolist() == [1] * len(names)


def test_nothing_can_move_without_an_empty_or_a_filled_orbital():
    part = problem([build("H2")])
    found = solve(part.builder, part.occupied, None, SCFSettings())
    for count in (0, 2):
        occupied = torch.full_like(part.occupied, count)
        change, _ = lowest_move(part.builder, occupied, found.density, found.fock, found.orbitals)
        assert change.tolist() == [np.inf]


def twisted(angle: float) -> Atoms:
    """Ethylene, one end turned about the double bond."""
    atoms = molecule("C2H4")
    first, second = atoms.positions[:2]
    near = np.linalg.norm(atoms.positions - second, axis=1) < 1.2
    near[:2] = False
    part = atoms[near]
    part.rotate(angle, second - first, center=first)
    atoms.positions[near] = part.positions
    return atoms


@pytest.mark.parametrize("step", [2, 15])
@pytest.mark.parametrize("options", [{}, {"method": "PM3"}], ids=str)
def test_ethylene_twisted_beyond_its_barrier(options, step):
    """It is the mirror image of ethylene twisted less; followed, it was 8 eV higher."""
    calc = MLSEQM(**options)
    angles = np.arange(90 - 2 * step, 90 + 2 * step + 1, step)
    energies = [calc.get_potential_energy(twisted(angle)) for angle in angles]
    np.testing.assert_allclose(energies, energies[::-1], rtol=0, atol=1e-6)
    assert np.argmax(energies) == 2


def test_radical_that_is_pressed_together_again():
    """Methyl from 1.55 times its size: followed, it was 5 eV higher at its minimum."""
    calc = MLSEQM(method="PM3")
    atoms = molecule("CH3")
    for scale in (1.55, 1.45, 1.35, 1.25, 1.15, 1.0):
        here = atoms.copy()
        here.positions *= scale
        found = calc.get_potential_energy(here)
    (anew,) = evaluate([atoms], "PM3")
    assert found == pytest.approx(anew.energy, abs=1e-6)


def test_start_from_atoms_that_ends_too_high():
    """Ethynyl, in which DIIS alone fills the wrong orbital."""
    atoms = molecule("CCH")
    atoms.positions *= 0.95
    options = {"properties": ("energy", "mo_energies")}
    (bare,) = evaluate([atoms], scf=SCFSettings(ladder=False), **options)
    (found,) = evaluate([atoms], **options)
    assert bare.converged
    assert bare.gap > search.LOWER  # nothing in it shows
    assert found.energy < bare.energy - 1.0


def test_what_cannot_be_left_is_searched(monkeypatch):
    """Three moves that do not help end in the search from all starts."""
    searched = []
    monkeypatch.setattr(search, "climb", lambda *args: None)
    monkeypatch.setattr(
        "ase_mlseqm.scf.driver.search", lambda *args: searched.append(args[3].tolist())
    )
    before, after = evaluate([twisted(84)], "PM3", ("density",))[0], twisted(100)
    evaluate([molecule("H2O"), after], "PM3", guesses=None)
    assert searched == []
    evaluate([after], "PM3", guesses=[before.density])
    assert searched == [[0]]
