"""Transition states: one imaginary mode, the right ends, and the commands on reactions."""

import json
import sys
import types
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.build import molecule
from ase.calculators.calculator import Calculator
from ase.calculators.emt import EMT
from ase.io import read, write
from helpers import SHARED
from PIL import Image
from reactions import bent as saddle_of_hcn
from reactions import inversion, isomerisation, torsion

from ase_mlseqm import MLSEQM, InputError
from ase_mlseqm.cli import app as cli
from ase_mlseqm.workflows.geometry import bonds, distance
from ase_mlseqm.workflows.irc import bofill, quadratic_step
from ase_mlseqm.workflows.neb import NEBConfig, neb
from ase_mlseqm.workflows.reaction_figures import plot_irc
from ase_mlseqm.workflows.ts import TSConfig, ts

RDB7 = SHARED / "rdb7_subset"


def pm3():
    return MLSEQM(method="PM3")


@pytest.fixture(scope="module")
def bent():
    """HCN to HNC."""
    return saddle_of_hcn()


def test_isomerisation(bent):
    assert bent.converged, bent.message
    assert bent.connects
    assert len(bent.imaginary) == 1
    assert bent.imaginary[0] < -1000
    assert len(bent.vibrations.frequencies) == 3
    forward, back = bent.minima
    assert bonds(forward.atoms) == {(0, 1), (1, 2)}
    assert bonds(back.atoms) == {(0, 2), (1, 2)}
    for minimum, barrier in zip(bent.minima, bent.barriers, strict=True):
        energies = [bent.energy, *(atoms.get_potential_energy() for atoms in minimum.path)]
        assert (np.diff(energies) < 0).all()
        assert minimum.atoms.get_potential_energy() == pytest.approx(bent.energy - barrier)
    assert (bent.activation.energies_zero_point < bent.barriers).all()


def test_barrier_equals_that_of_the_path(bent):
    path = neb(*isomerisation(), pm3(), NEBConfig(images=7, fmax=0.03))
    assert path.barrier == pytest.approx(bent.barriers[0], abs=1e-3)
    assert path.reverse_barrier == pytest.approx(bent.barriers[1], abs=1e-3)


def test_result_as_json_and_picture(bent, tmp_path):
    stored = json.loads(json.dumps(bent.to_dict()))
    assert stored["connects"] is True
    assert stored["imaginary"] == bent.imaginary.tolist()
    plot_irc(bent, tmp_path / "i.png", "HCN")
    with Image.open(tmp_path / "i.png") as picture:
        assert picture.size[0] > 600


def test_wrong_ends_are_noticed(bent):
    hcn, _ = isomerisation()
    result = ts(bent.atoms, pm3(), TSConfig(refiner="dimer"), reactant=hcn, product=hcn)
    assert result.connects is False
    assert not result.converged
    assert "does not connect" in result.message


def test_mirror_images_are_told_apart():
    flat = Atoms("NH3", [(0, 0, 0), (1, 0, 0.05), (-0.5, 0.87, 0), (-0.5, -0.87, 0)])
    up, down = inversion()
    result = ts(flat, pm3(), TSConfig(refiner="dimer"), reactant=up, product=down)
    assert result.connects
    assert result.barriers[0] == pytest.approx(result.barriers[1], abs=1e-4)
    assert distance(result.minima[0].atoms, up) < 0.1 < distance(result.minima[1].atoms, up)


def test_a_minimum_is_no_transition_state():
    result = ts(molecule("H2O"), pm3(), TSConfig(refiner="dimer", max_steps=0))
    assert not result.converged
    assert "0 imaginary modes instead of one" in result.message
    assert result.minima == []
    assert result.barriers == []


@pytest.mark.slow
def test_sella():
    pytest.importorskip("sella")
    path = neb(*torsion(), pm3(), NEBConfig(images=7))
    ends = {"reactant": path.images[0], "product": path.images[-1]}
    found = [
        ts(path.images[path.top], pm3(), TSConfig(refiner=refiner), **ends)
        for refiner in ("sella", "dimer")
    ]
    assert all(result.converged and result.connects for result in found)
    assert found[0].energy == pytest.approx(found[1].energy, abs=1e-4)


@pytest.mark.parametrize("seed", [1, 5, pytest.param(6, marks=pytest.mark.slow)])
def test_sella_is_not_content_too_early(seed):
    """Far from where it started its own measure of the forces can be 30 times too small."""
    pytest.importorskip("sella")
    guess = molecule("H2O2")
    guess.rattle(0.25, seed=seed)
    settings = TSConfig(refiner="sella", fmax=0.1, max_steps=150, irc=False)
    result = ts(guess, pm3(), settings)
    assert np.linalg.norm(result.atoms.get_forces(), axis=1).max() <= 0.1
    assert "not refined" not in result.message and result.steps < 150


def test_sella_climbs_to_the_saddle_point_with_our_hessian(bent, monkeypatch):
    pytest.importorskip("sella")
    asked, get_hessian = [], MLSEQM.get_hessian
    monkeypatch.setattr(MLSEQM, "get_hessian", lambda *own: asked.append(1) or get_hessian(*own))
    guess = Atoms("HCN", [(0, 1.2, 0.55), (0, 0, 0), (0, 0, 1.17)])
    found = ts(guess, pm3(), TSConfig(refiner="sella", irc=False))
    assert found.converged and asked
    assert found.energy == pytest.approx(bent.energy, abs=1e-4)


class Exchange(Calculator):
    """An atom between two that are 1.8 Angstrom apart: it is 0.5 eV lower nearer to one of them."""

    implemented_properties = ["energy", "forces"]

    def calculate(self, *args):
        super().calculate(*args)
        bonds = self.atoms.positions[[1, 2, 2]] - self.atoms.positions[[0, 1, 0]]
        lengths = np.linalg.norm(bonds, axis=1)
        aside, off = (lengths[0] - lengths[1]) / 0.3, lengths[0] + lengths[1] - 2.4
        slope = 2.0 * aside * (aside**2 - 1) / 0.3
        slopes = np.array([slope + 20 * off, -slope + 20 * off, 20 * (lengths[2] - 1.8)])
        pulls = (slopes / lengths)[:, None] * bonds
        forces = np.array([pulls[0] + pulls[2], pulls[1] - pulls[0], -pulls[1] - pulls[2]])
        energy = 0.5 * (aside**2 - 1) ** 2 + 10 * off**2 + 10 * (lengths[2] - 1.8) ** 2
        self.results = {"energy": energy, "forces": forces}


def test_sella_needs_no_hessian_of_a_calculator(monkeypatch):
    sella = pytest.importorskip("sella")
    given, kind = set(), sella.Sella
    monkeypatch.setattr(
        sella, "Sella", lambda *own, **more: given.update(more) or kind(*own, **more)
    )
    guess = Atoms("H3", [(0, 0, 0), (1.0, 0.8, 0), (1.9, 0, 0)])
    found = ts(guess, Exchange(), TSConfig(refiner="sella", irc=False, fmax=0.01))
    assert found.converged, found.message
    assert "order" in given and "hessian_function" not in given
    lengths = found.atoms.get_all_distances()[[0, 1, 0], [1, 2, 2]]
    np.testing.assert_allclose(lengths, [1.2, 1.2, 1.8], atol=1e-3)
    assert found.energy == pytest.approx(0.5, abs=1e-4)


def test_sella_that_begins_anew_has_the_steps_that_are_left(monkeypatch):
    asked = []

    class Sella:
        def __init__(self, atoms, **keywords):
            pass

        def attach(self, step):
            self.observer = step

        def run(self, fmax, steps):
            asked.append(steps)
            self.nsteps = min(3, steps)
            self.observer()

    monkeypatch.setitem(sys.modules, "sella", types.SimpleNamespace(Sella=Sella))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: name)
    guess = Atoms("HCN", [(0, 1.2, 0.55), (0, 0, 0), (0, 0, 1.17)])
    found = ts(guess, pm3(), TSConfig(max_steps=7, irc=False))
    assert asked == [7, 4, 1] and found.steps == 7


def test_sella_that_is_missing(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"ase-mlseqm\[ts\]"):
        ts(molecule("H2O"), EMT(), TSConfig(refiner="sella"))


def test_bad_input():
    with pytest.raises(InputError, match="unknown refiner"):
        TSConfig(refiner="newton")
    with pytest.raises(InputError, match="irc_step is -1"):
        TSConfig(irc_step=-1.0)
    with pytest.raises(InputError, match="2 atoms"):
        ts(molecule("N2"), EMT())
    with pytest.raises(InputError, match="atoms of the guess"):
        ts(molecule("H2O"), EMT(), reactant=molecule("NH3"))


def test_steps_of_the_reaction_coordinate():
    """On a quadratic surface steepest descent is exact: compared with very many tiny steps."""
    hessian = np.array([[2.0, 0.3], [0.3, -0.4]])
    start = np.array([0.3, 0.1])
    x, length = start.copy(), 0.0
    while length < 0.2:
        gradient = hessian @ x
        x = x - 1e-5 * gradient / np.linalg.norm(gradient)
        length = np.linalg.norm(x - start)
    step = quadratic_step(hessian @ start, hessian, 0.2)
    np.testing.assert_allclose(start + step, x, atol=1e-4)
    moved = np.array([0.2, -0.1])
    wrong = np.eye(2)
    updated = wrong + bofill(wrong, moved, hessian @ moved)
    np.testing.assert_allclose(updated @ moved, hessian @ moved, atol=1e-12)
    np.testing.assert_allclose(updated, updated.T)


def test_update_of_the_hessian():
    """Bofill, J. Comput. Chem. 15 (1994) 1: the share of Murtagh and Sargent's is phi.

    With s moved, x = y - H s: phi = (s.x)^2 / (s.s x.x); Murtagh and Sargent: x x^T / (s.x);
    Powell: (x s^T + s x^T) / (s.s) - (s.x) s s^T / (s.s)^2.
    """
    # phi = 1/2, [[1, 1], [1, 1]] and [[1, 1], [1, 0]]
    found = bofill(np.diag([2.0, 1.0]), np.array([1.0, 0.0]), np.array([3.0, 1.0]))
    np.testing.assert_allclose(found, [[1.0, 1.0], [1.0, 0.5]], atol=1e-14)
    # s.s = 9, x = (2, 0, 1), s.x = 4, x.x = 5: phi = 16/45
    murtagh = np.array([[4, 0, 2], [0, 0, 0], [2, 0, 1]]) / 4
    symmetric = np.array([[4, 4, 5], [4, 0, 2], [5, 2, 4]])
    powell = symmetric / 9 - 4 * np.array([[1, 2, 2], [2, 4, 4], [2, 4, 4]]) / 81
    found = bofill(np.diag([1.0, 2.0, 3.0]), np.array([1.0, 2.0, 2.0]), np.array([3.0, 4.0, 7.0]))
    np.testing.assert_allclose(found, (16 * murtagh + 29 * powell) / 45, atol=1e-14)
    # an error across the step: Powell's alone, the other has a pole
    found = bofill(np.zeros((2, 2)), np.array([2.0, 0.0]), np.array([0.0, 3.0]))
    np.testing.assert_allclose(found, [[0.0, 1.5], [1.5, 0.0]], atol=1e-14)
    # what is right stays, and what did not move tells nothing
    right = np.array([[2.0, 0.3], [0.3, -0.4]])
    assert not bofill(right, right[0], right @ right[0]).any()
    assert not bofill(right, np.zeros(2), np.ones(2)).any()


def test_commands(tmp_path, monkeypatch, capsys):
    """Two reactions of which one is nonsense; then the transition state of the other."""
    monkeypatch.chdir(tmp_path)
    for name, (reactant, product) in {"good": torsion(), "bad": torsion()}.items():
        folder = tmp_path / "all" / name
        folder.mkdir(parents=True)
        write(folder / "r000001.xyz", reactant)
        write(folder / "p000001.xyz", product if name == "good" else product[[1, 0, 2, 3]])
        write(folder / "ts000001.xyz", reactant)
    line = ["neb", "--reactions", "all", "--method", "PM3", "--images", "5", "--out", "o"]
    assert cli.main(line) == 2
    said = capsys.readouterr()
    assert "bad: the atoms of reactant and product are in different orders" in said.err
    assert "reverse barrier" in said.out
    stored = json.loads((tmp_path / "o" / "good_neb.json").read_text())
    assert stored["method"] == "PM3"
    assert stored["result"]["converged"]
    path = tmp_path / "o" / "good_path.extxyz"
    assert len(read(path, ":")) == 5
    assert (tmp_path / "o" / "good_profile.png").exists()
    assert not (tmp_path / "o" / "bad_path.extxyz").exists()
    line = ["ts", str(path), "--method", "PM3", "--refiner", "dimer", "--out", "o", "--json"]
    assert cli.main(line) == 0
    said = capsys.readouterr()
    (told,) = json.loads(said.out)["molecules"]
    assert told["ts"]["connects"] is True
    assert told["ts"]["barriers"][0] == pytest.approx(stored["result"]["barrier"], abs=2e-3)
    assert "count them twice" in said.err
    for name in ("ts", "irc", "minima"):
        assert (tmp_path / "o" / f"good_{name}.extxyz").exists()


def test_commands_refuse(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    write("r.xyz", torsion()[0])
    for line, sentence in (
        (["neb", "r.xyz"], "1 files given: give REACTANT and PRODUCT"),
        (["neb", "--reactions", "nowhere"], "nowhere: no such folder"),
        (["neb", "r.xyz", "none.xyz"], "none.xyz: no such file"),
        (["neb", "r.xyz", "r.xyz", "--images", "1"], "images is 1"),
    ):
        assert cli.main([*line, "--method", "PM3"]) == 2
        assert sentence in capsys.readouterr().err
    Path("empty.xyz").touch()
    assert cli.main(["neb", "empty.xyz", "r.xyz"]) == 2


@pytest.mark.slow
@pytest.mark.skipif(not RDB7.is_dir(), reason="needs the subset of RDB7")
def test_reactions_of_rdb7():
    """The top of the path of a published reaction leads to one imaginary mode."""
    folder = min(RDB7.glob("rxn*"), key=lambda f: len(read(next(f.glob("r*.xyz")))))
    ends = [read(next(folder.glob(f"{kind}[0-9]*.xyz"))) for kind in "rp"]
    path = neb(*ends, MLSEQM(), NEBConfig(fmax=0.1, max_steps=300))
    assert path.converged, path.message
    assert path.barrier > 0.3
    found = ts(path.images[path.top], MLSEQM(), TSConfig(refiner="dimer"))
    assert len(found.imaginary) == 1
