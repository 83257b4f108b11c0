"""Pictures of paths, reaction coordinates and dynamics show the lines that they are to show."""

import dataclasses

import numpy as np
import pytest
from ase import Atoms
from ase.calculators.emt import EMT
from PIL import Image, ImageColor
from reactions import bent, hop

from ase_mlseqm.workflows import MDConfig, dynamics, md_figures, reaction_figures
from ase_mlseqm.workflows.md_figures import plot_energies, plot_spectrum
from ase_mlseqm.workflows.neb import NEBConfig, neb
from ase_mlseqm.workflows.reaction_figures import plot_irc, plot_profile
from ase_mlseqm.workflows.spectra import Spectrum

BLUE, RED, GREEN = (ImageColor.getrgb(getattr(md_figures, c)) for c in ("BLUE", "RED", "GREEN"))


def pixels(path):
    """How many pixels of a picture have a colour."""
    with Image.open(path) as image:
        return {colour: count for count, colour in image.convert("RGB").getcolors(1 << 20)}


@pytest.fixture(scope="module")
def path():
    return neb(*hop(), EMT(), NEBConfig(images=5, fmax=0.05))


def test_profile(path, tmp_path):
    """The line in blue, the barrier in red."""
    plot_profile(path, tmp_path / "p.png", "hop")
    found = pixels(tmp_path / "p.png")
    assert found[BLUE] > 1000 and found[RED] > 100
    downhill = dataclasses.replace(path, images=path.images[2:])
    plot_profile(downhill, tmp_path / "d.png", "hop")
    found = pixels(tmp_path / "d.png")
    assert found[BLUE] > 1000 and RED not in found


def test_reaction_coordinate(tmp_path):
    """Both sides in blue, the transition state in red, both minima in grey."""
    result = bent()
    plot_irc(result, tmp_path / "i.png", "HCN")
    found = pixels(tmp_path / "i.png")
    grey = (round(255 * float(reaction_figures.GREY)),) * 3
    assert found[BLUE] > 1000 and found[RED] > 100 and found[grey] > 100
    first, second = result.minima
    sides = [dataclasses.replace(first, path=[]), second]
    plot_irc(dataclasses.replace(result, minima=sides), tmp_path / "o.png", "HCN")
    assert pixels(tmp_path / "o.png")[BLUE] < 0.8 * found[BLUE]


@pytest.mark.parametrize("ensemble", ["nve", "langevin"])
def test_dynamics(tmp_path, ensemble):
    """Potential, kinetic and conserved energy, each with its colour."""
    copper = Atoms("Cu3", [(0, 0, 0), (2.3, 0, 0), (1.1, 2.0, 0)])
    result = dynamics(copper, EMT(), MDConfig(ensemble=ensemble, timestep=2.0, steps=60))
    plot_energies(result, tmp_path / "e.png", "copper")
    found = pixels(tmp_path / "e.png")
    assert min(found[colour] for colour in (BLUE, RED, GREEN)) > 300


def test_spectrum(tmp_path):
    """The line in blue, the marks, which lie on lines of the grid, in red and pale red."""

    def reddish(path):
        return sum(n for (r, g, b), n in pixels(path).items() if r > max(g, b) + 60)

    wavenumbers = np.linspace(0, 4000, 400)
    line = np.exp(-((wavenumbers - 1500) ** 2) / 1e4)
    spectrum = Spectrum(wavenumbers, line, "power", "K", resolution=10.0)
    plot_spectrum(spectrum, tmp_path / "s.png", "one line")
    assert pixels(tmp_path / "s.png")[BLUE] > 300
    assert reddish(tmp_path / "s.png") == 0
    plot_spectrum(spectrum, tmp_path / "m.png", "one line", marks=(1500.0, 3000.0))
    assert reddish(tmp_path / "m.png") > 300
