"""The first path of a reaction is that of the image-dependent pair potential (IDPP)."""

from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, molecule
from ase.calculators.emt import EMT
from ase.constraints import FixAtoms
from ase.io import read
from ase.mep import NEB
from reactions import hop, inversion, torsion

from ase_mlseqm.errors import InputError
from ase_mlseqm.workflows import neb_path
from ase_mlseqm.workflows.neb_config import NEBConfig
from ase_mlseqm.workflows.neb_path import first_path

EXAMPLES = Path(__file__).parents[2] / "examples"
AS_GIVEN = NEBConfig(images=7, relax_ends=False)


def example(name):
    return lambda: read(EXAMPLES / f"{name}.xyz", ":2")


REACTIONS = [torsion, *map(example, ("claisen", "cyclohexane", "keto_enol"))]


def linear(ends, share):
    """Between the first and the last of two or more arrays."""
    return (1 - share) * ends[0] + share * ends[-1]


def objective(path):
    """Eq. 2 and 3 of Smidstrup et al., J. Chem. Phys. 140 (2014) 214106, of all images, 1/A^2."""
    path = np.array(path)
    first, second = np.triu_indices(path.shape[1], 1)
    distances = np.linalg.norm(path[:, first] - path[:, second], axis=-1)
    wanted = [linear(distances, k / (len(path) - 1)) for k in range(len(path))]
    return float((((distances - wanted) ** 2) / distances**4).sum())


@pytest.mark.parametrize("ends", REACTIONS)
def test_pairs_are_as_far_apart_as_between_the_ends(ends):
    """Far nearer to it than on the straight path, although that was bent before."""
    images, problems = first_path(*ends(), EMT(), AS_GIVEN)
    positions = [atoms.positions for atoms in images]
    straight = [linear(positions, k / 6) for k in range(7)]
    assert problems == []
    assert objective(positions) < 0.5 * objective(straight)


@pytest.mark.parametrize("ends", [hop, *REACTIONS])
def test_path_is_that_of_ase(monkeypatch, ends):
    """Without the bend, which ASE's function does not have."""
    monkeypatch.setattr(neb_path, "BOW", (0.0, 0.0))
    found, _ = first_path(*ends(), EMT(), AS_GIVEN)
    images = [*(found[0].copy() for _ in range(6)), found[-1].copy()]
    for atoms in images:
        atoms.set_constraint()
    NEB(images, method="improvedtangent").interpolate("idpp", mic=bool(images[0].pbc.any()))
    for one, other in zip(found, images, strict=True):
        np.testing.assert_allclose(one.positions, other.positions, atol=1e-9)


def test_ends_that_a_turn_takes_onto_each_other():
    """Water with its hydrogen atoms exchanged is water, turned about its axis."""
    water = molecule("H2O")
    with pytest.raises(InputError, match="once they are moved and turned onto each other"):
        first_path(water, water[[0, 2, 1]], EMT(), NEBConfig(relax_ends=False))
    with pytest.raises(InputError, match="the same structure, so there is no path"):
        first_path(water, water, EMT(), NEBConfig(relax_ends=False))


def crossing():
    """A copper atom on one side of a cluster's corner, and on the other."""
    corners = [(0, 0, 0), (-1.8, 1.8, 0), (-1.8, 0, 1.8), (-1.8, -1.8, -0.5)]
    held = FixAtoms([0])  # nothing is turned
    return [Atoms("Cu5", [*corners, (0.5, 2.4 * y, 0)], constraint=held) for y in (1, -1)]


def around():
    """A copper atom that goes round a flat cluster."""
    corners, held = [(0, 0, 0), (2.4, 0, 0), (1.2, 2.0, 0)], FixAtoms([0])
    moved = [(-1.2, 2.0, 0), (-2.2, 0.5, 0)]
    return [Atoms("Cu4", [*corners, place], constraint=held) for place in moved]


@pytest.mark.parametrize(
    ("ends", "bend"), [(crossing, 0.4), (around, 0.4), (inversion, 0.02), (REACTIONS[2], 0.02)]
)
def test_bends(monkeypatch, ends, bend):
    """Much where the path runs through an atom or stays in a plane, and little elsewhere."""
    monkeypatch.setattr(neb_path, "idpp_interpolate", lambda *_, **__: None)
    images, _ = first_path(*ends(), EMT(), AS_GIVEN)
    path = np.array([atoms.positions for atoms in images])
    straight = np.array([linear(path, k / 6) for k in range(7)])
    off = np.linalg.norm(path - straight, axis=2).max(1)
    expected = bend * np.sin(np.pi * np.arange(7) / 6)
    np.testing.assert_allclose(off, expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(("moved", "refused"), [(0.09, True), (0.11, False)])
def test_how_far_apart_ends_are(moved, refused):
    """One of four atoms moves: half of that is the root mean square, and 0.05 Angstrom the least.
    Places in other cells are the same places."""
    here = bulk("Al", cubic=True)
    there = here.copy()
    there.positions[1, 2] += moved
    there.positions[2] += here.cell[0] - here.cell[2]
    if refused:
        with pytest.raises(InputError, match="the same structure, so there is no path"):
            first_path(here, there, EMT(), AS_GIVEN)
        return
    images, _ = first_path(here, there, EMT(), AS_GIVEN)
    assert max(np.abs(a.positions - here.positions).max() for a in images[:-1]) < 0.2
