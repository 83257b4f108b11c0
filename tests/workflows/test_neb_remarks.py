"""What a path says about itself although it converged."""

import pytest
from ase import Atoms
from ase.build import molecule
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io import write

from ase_mlseqm.cli import app as cli
from ase_mlseqm.workflows.neb import NEBConfig, NEBResult

NO_BARRIER = "no image is higher than both ends: there is no barrier on this path"


def result(energies, distances=None, pbc=False):
    """A path of a diatomic molecule with these energies (eV) and distances (Angstrom)."""
    images = []
    for k, energy in enumerate(energies):
        place = (0, 0, distances[k] if distances else 1.0)
        images.append(Atoms("H2", [(0, 0, 0), place], cell=[9, 9, 9], pbc=pbc))
        images[-1].calc = SinglePointCalculator(images[-1], energy=energy)
    return NEBResult(images, True, "converged in 1 steps", 1, 0.0, NEBConfig())


@pytest.mark.parametrize(
    ("energies", "remarks"),
    [
        ([0, 1, 2, 1, 0], []),
        ([0, 1, 0.99, 1, 0], []),  # shallower than what counts
        ([0, 1, 0.5, 1, 0], ["minimum between the ends at image 2: split the path there"]),
        (
            [0, 1, 0.5, 1, 0.4, 2, 0],
            ["minimum between the ends at image 2, 4: split the path there"],
        ),
        ([0, 1, 2, 3], [NO_BARRIER]),
        ([3, 2, 1, 0], [NO_BARRIER]),
        (
            [0, -1, 0],
            [NO_BARRIER, "minimum between the ends at image 1: split the path there"],
        ),
    ],
)
def test_energies(energies, remarks):
    assert result(energies).remarks == remarks


def test_barriers():
    path = result([0.5, 1.0, 3.0, 2.0, 1.25])
    assert (path.top, path.barrier, path.reverse_barrier) == (2, 2.5, 1.75)
    assert path.reaction_energy == 0.75


def test_distances():
    far = "the molecule falls apart at image 1, 2, where parts are 7.5 Angstrom from the others"
    assert result([0, 2, 1], [1.0, 6.0, 7.5]).remarks == [far]
    assert result([0, 2, 1], [1.0, 4.9, 1.0]).remarks == []
    # the next cell is near
    assert result([0, 2, 1], [1.0, 6.0, 7.5], pbc=True).remarks == []


def test_command_prints_them(tmp_path, monkeypatch, capsys):
    """Downhill from bonds that are stretched: converged, and not worth calling a barrier."""
    monkeypatch.chdir(tmp_path)
    water = molecule("H2O")
    write("water.xyz", water)
    for hydrogen in (1, 2):
        water.set_distance(0, hydrogen, 1.3, fix=0)
    write("long.xyz", water)
    line = ["neb", "long.xyz", "water.xyz", "--images", "3", "--fmax", "0.3", "--no-relax-ends"]
    assert cli.main([*line, "--no-climb", "--method", "PM3"]) == 0
    assert capsys.readouterr().err == f"mlseqm: long.xyz → water.xyz: {NO_BARRIER}\n"
