"""Gradients that are called forces are refused, and the other way round."""

import dataclasses

import ase.io
import h5py
import numpy as np
import pytest
from ase.build import molecule as g2
from ase.calculators.singlepoint import SinglePointCalculator
from helpers import build
from labelled import LEVEL, UNITS, frames, group, standard, write_h5, write_zhou
from small import dataset

from ase_mlseqm.errors import InputError
from ase_mlseqm.training import signs
from ase_mlseqm.training.readers import read
from ase_mlseqm.training.signs import force_correlation


def test_correlation(tmp_path):
    data = read(standard(tmp_path))
    assert force_correlation(data) == pytest.approx(1, abs=1e-6)
    turned = dataclasses.replace(data, forces=[-f for f in data.forces])
    assert force_correlation(turned) == pytest.approx(-1, abs=1e-6)


def test_forces_of_ions():
    data = dataset([build("NH4", 1), build("HCOOH", -2), build("H2O")], "PM3")
    assert force_correlation(data) == pytest.approx(1, abs=1e-6)
    neutral = dataclasses.replace(data, charge=np.array([1, 0, 0]))
    assert force_correlation(neutral) < 0.99


def test_gradients_are_refused(tmp_path):
    path = standard(tmp_path)
    with h5py.File(path, "a") as file:
        for target in file.values():
            target["forces"][...] *= -1
    with pytest.raises(InputError, match=r"set.h5: .* gradients, not forces .* gradients=True"):
        read(path)
    data = read(path, gradients=True)
    np.testing.assert_allclose(data.forces[0], group("H2O").forces[0], atol=1e-9)


@pytest.mark.parametrize(("noise", "refused"), [(1.0, True), (10.0, False)])
def test_signs_of_forces_that_are_not_those_of_pm3(tmp_path, noise, refused):
    """Noise as large as the forces leaves a correlation of 0.7, ten times as much less than 0.3."""
    path, rng = standard(tmp_path), np.random.default_rng(2)
    with h5py.File(path, "a") as file:
        for target in file.values():
            forces = target["forces"][...]
            width = noise * np.sqrt((forces**2).mean())
            target["forces"][...] = -forces + width * rng.standard_normal(forces.shape)
    if refused:
        with pytest.raises(InputError, match=r"gradients, not forces .*-0\.[67]"):
            read(path)
    else:
        assert len(read(path)) == 8


def test_forces_are_refused_as_gradients(tmp_path):
    with pytest.raises(InputError, match=r"forces, not gradients .* leave out gradients=True"):
        read(standard(tmp_path), gradients=True)


def test_forces_in_the_set_of_zhou_are_refused(tmp_path):
    folder = write_zhou(tmp_path / "zhou", [group("CH3CH2OH")])
    np.save(folder / "Gradient_ev.npy", -np.load(folder / "Gradient_ev.npy"))
    with pytest.raises(InputError, match=r"forces, not gradients .* change their sign"):
        read(folder, level=LEVEL)


@pytest.mark.parametrize("scale", [0.0, 1e-3])
def test_no_verdict_without_a_relation(tmp_path, scale):
    """Frames at minima: the forces are noise, or none."""
    path = standard(tmp_path)
    rng = np.random.default_rng(1)
    with h5py.File(path, "a") as file:
        for target in file.values():
            target["forces"][...] = scale * rng.standard_normal(target["forces"].shape)
    assert len(read(path)) == len(read(path, gradients=True)) == 8


def test_frames_that_pm3_cannot_do_are_passed_over(tmp_path):
    """Argon has no PM3 parameters; without a frame left there is no verdict."""
    water = frames(group("H2O"))
    foreign = [atoms.copy() for atoms in water]
    for atoms, source in zip(foreign, water, strict=True):
        atoms.numbers[0] = 18
        atoms.calc = source.calc
        atoms.calc.atoms = atoms.copy()
    isolated = {"Ar": -75.0424652, "H": -0.4993212, "O": -75.0424652}
    ase.io.write(tmp_path / "a.xyz", foreign, format="extxyz")
    data = read(tmp_path / "a.xyz", level=LEVEL, isolated=isolated)
    assert len(data) == 4 and np.isnan(force_correlation(data))
    ase.io.write(tmp_path / "b.xyz", frames(group("CH3CH2OH")), format="extxyz")
    both = type(data).concatenate([data, read(tmp_path / "b.xyz", level=LEVEL)])
    assert force_correlation(both) == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("sign", [1, -1])
def test_boron_which_pm3_does_not_have(tmp_path, sign):
    """Stretched bonds pull, each by its own."""
    stretched = []
    for lengths in ((0.1, 0.1, 0.1), (0.2, 0.0, 0.1), (0.0, 0.3, 0.1)):
        atoms = g2("BF3")
        along = atoms.positions[1:] / np.linalg.norm(atoms.positions[1:], axis=1)[:, None]
        atoms.positions[1:] += np.array(lengths)[:, None] * along
        pull = -40.0 * np.array(lengths)[:, None] * along
        forces = sign * np.concatenate([-pull.sum(0, keepdims=True), pull])
        atoms.calc = SinglePointCalculator(atoms, energy=-20.0, forces=forces)
        stretched.append(atoms)
    ase.io.write(tmp_path / "b.xyz", stretched, format="extxyz")
    given = {"level": "another", "isolated": {"B": 0.0, "F": 0.0}}
    if sign > 0:
        assert len(read(tmp_path / "b.xyz", **given)) == 3
    else:
        with pytest.raises(InputError, match="gradients, not forces"):
            read(tmp_path / "b.xyz", **given)


def test_the_sample_is_small_and_spread(tmp_path, monkeypatch):
    seen = []
    evaluate = signs.evaluate

    def spy(molecules, *args):
        seen.append([len(m.numbers) for m in molecules])
        return evaluate(molecules, *args)

    monkeypatch.setattr(signs, "evaluate", spy)
    groups = {"a": group("H2O", 60), "b": group("CH4", 60)}
    read(write_h5(tmp_path / "x.h5", groups, level=LEVEL, units=UNITS))
    assert len(seen) == 1 and len(seen[0]) == signs.SAMPLE
    assert seen[0].count(3) == seen[0].count(5)
