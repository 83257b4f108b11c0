"""Paths that were cut off take the steps of those that were not."""

import dataclasses
import os
import signal
import subprocess
import sys
import textwrap

import numpy as np
import pytest
from ase.calculators.calculator import Calculator
from ase.calculators.emt import EMT
from ase.constraints import FixBondLength
from ase.io import read, write
from reactions import hop, inversion, isomerisation, torsion

from ase_mlseqm import MLSEQM
from ase_mlseqm.workflows.neb import NEBConfig, neb

FINE = NEBConfig(images=5, fmax=0.02)


def pm3():
    return MLSEQM(method="PM3", tolerance=1e-10)


def traced(ends, calc, config, path=None, cut=None):
    """The path, and what its callback was told; with Ctrl-C at the step ``cut``."""
    told = []

    def step(*values):
        told.append(values)
        if values[0] == cut:
            raise KeyboardInterrupt

    try:
        return neb(*ends, calc, config, path=path, callback=step), told
    except KeyboardInterrupt:
        return None, told


def same(one, other, digits):
    """The same steps, and at the end the same path (Angstrom)."""
    assert one.converged == other.converged and one.message == other.message
    assert one.steps == other.steps
    for image, expected in zip(one.images, other.images, strict=True):
        np.testing.assert_allclose(image.positions, expected.positions, rtol=0, atol=digits)
        np.testing.assert_allclose(image.get_forces(), expected.get_forces(), rtol=0, atol=1e-6)


@pytest.mark.parametrize("optimizer", ["BFGS", "LBFGS", "FIRE"])
def test_every_optimiser_goes_on_as_if_nothing_had_been(optimizer, tmp_path):
    """Cut off again and again, before and behind the step at which the top begins to climb."""
    config = dataclasses.replace(FINE, optimizer=optimizer)
    whole, steps = traced(hop(), EMT(), config)
    assert whole.converged and whole.steps > 20
    file, seen = tmp_path / "path.extxyz", []
    for cut in (0, 1, 6, 7, 15, whole.steps, None):
        rest, told = traced(hop(), EMT(), config, file, cut)
        assert told[0][0] == (seen[-1][0] if seen else 0)
        seen += told[bool(seen) :]  # the first is the last of before
    same(rest, whole, 0.0)
    assert seen == steps
    climbing = [read(file, 0).info[name] for name in ("climbing", "step")]
    assert climbing == [True, whole.steps]


class Counted(EMT):
    """Counts the structures."""

    count = 0

    def calculate(self, *args):
        type(self).count += 1
        super().calculate(*args)


def test_nothing_is_computed_twice(tmp_path, monkeypatch):
    """Neither the ends nor the path where it was; of one that is finished nothing at all."""
    monkeypatch.setattr(Counted, "count", 0)
    whole, _ = traced(hop(), Counted(), FINE)
    every = Counted.count
    for cut in (5, 9, None, None):
        rest, _ = traced(hop(), Counted(), FINE, tmp_path / "n.xyz", cut)
        if cut is None:
            assert Counted.count == 2 * every
    same(rest, whole, 0.0)


@pytest.mark.parametrize("ends", [inversion, torsion, isomerisation])
def test_molecules_that_are_turned_on_the_way(ends, tmp_path):
    """Only the SCF starts from another density, once."""
    config = NEBConfig(images=5, fmax=0.02)
    whole, _ = traced(ends(), pm3(), config)
    for cut in (2, whole.steps // 2, whole.steps - 1):
        file = tmp_path / f"{cut}.extxyz"
        traced(ends(), pm3(), config, file, cut)
        same(traced(ends(), pm3(), config, file)[0], whole, 1e-9)


class Wells(Calculator):
    """For every atom a double well along x, at -1 and 1 Angstrom, and springs along y and z."""

    implemented_properties = ["energy", "forces"]

    def calculate(self, *args):
        super().calculate(*args)
        x = self.atoms.positions[:, 0]
        forces = np.zeros((len(x), 3))
        forces[:, 0] = -4.0 * x * (x**2 - 1.0)
        forces[:, 1:] = -3.0 * self.atoms.positions[:, 1:]
        energy = ((x**2 - 1.0) ** 2).sum() + 1.5 * (self.atoms.positions[:, 1:] ** 2).sum()
        self.results = {"energy": energy, "forces": forces}


def test_constraints_that_the_file_of_the_images_cannot_keep(tmp_path):
    """extxyz has fixed atoms alone; here two atoms keep their distance."""
    here, there = inversion()
    for atoms, x in ((here, -1.0), (there, 1.0)):
        atoms.positions = [(x, 0, 0), (x, 1, 0), (x, 0, 1), (x, -1, 0)]
        atoms.set_constraint(FixBondLength(0, 1))
    settings = NEBConfig(images=5, relax_ends=False, max_steps=12)
    whole, _ = traced((here, there), Wells(), settings)
    file = tmp_path / "path.extxyz"
    traced((here, there), Wells(), settings, file, 3)
    rest, _ = traced((here, there), Wells(), settings, file)
    same(rest, whole, 1e-12)
    assert [len(image.constraints) for image in rest.images] == [1] * 5


def test_steps_of_all_runs_count(tmp_path):
    """One that was given up takes no more with the same settings, and the missing with more."""
    file = tmp_path / "path.extxyz"
    whole = neb(*hop(), EMT(), FINE)
    few = dataclasses.replace(FINE, max_steps=5)
    for _ in range(2):
        part = neb(*hop(), EMT(), few, path=file)
        assert part.steps == 5 and "not converged in 5 steps" in part.message
    assert [image.info["neb_image"] for image in read(file, ":")] == list(range(5))
    same(neb(*hop(), EMT(), FINE, path=file), whole, 0.0)
    finer = dataclasses.replace(FINE, fmax=0.01)
    same(neb(*hop(), EMT(), finer, path=file), neb(*hop(), EMT(), finer), 0.0)


def test_a_path_that_climbs_goes_on_climbing(tmp_path):
    """Although its forces are larger than those at which one begins to."""
    file, start = tmp_path / "path.extxyz", NEBConfig(images=4, relax_ends=False)
    assert neb(*hop(), EMT(), start, path=file).converged
    finer = dataclasses.replace(start, fmax=0.02, climb_fmax=1e-9, max_steps=40)
    assert neb(*hop(), EMT(), finer, path=file).converged


def test_other_settings_of_the_steps(tmp_path):
    """What the optimiser knows is of no use with others; the path is."""
    file = tmp_path / "path.extxyz"
    neb(*hop(), EMT(), dataclasses.replace(FINE, max_steps=20), path=file)
    for change in ({"optimizer": "FIRE"}, {"spring": 5.0}, {"climb": False}):
        other = dataclasses.replace(FINE, **change)
        rest, told = traced(hop(), EMT(), other, file)
        assert rest.converged and told[0][0] >= 20
        assert rest.barrier == pytest.approx(neb(*hop(), EMT(), other).barrier, abs=2e-3)


def test_files_of_other_runs_are_not_resumed(tmp_path):
    file = tmp_path / "path.extxyz"
    neb(*hop(), EMT(), NEBConfig(images=5, max_steps=3), path=file)
    short = NEBConfig(images=4, max_steps=1)
    result = neb(*hop(), EMT(), short, path=file)
    assert len(result.images) == len(read(file, ":")) == 4
    assert result.steps == 1
    for change in ({"ends_fmax": 0.02}, {"relax_ends": False}):
        _, told = traced(hop(), EMT(), dataclasses.replace(short, **change), file)
        assert [values[0] for values in told] == [0, 1]
    neb(*hop(), EMT(), short, path=file)
    file.unlink()  # who removes the images wants to begin anew
    _, told = traced(hop(), EMT(), short, file)
    assert [values[0] for values in told] == [0, 1]


def test_killed_run_goes_on(tmp_path):
    """SIGKILL at step 4; a second process finishes with the answer of an undisturbed run."""
    write(tmp_path / "r.xyz", hop()[0])
    write(tmp_path / "p.xyz", hop()[1])
    script = """
        import os, signal, sys
        from ase.calculators.emt import EMT
        from ase.io import read
        from ase_mlseqm.workflows.neb import NEBConfig, neb
        def step(number, energies, force):
            if number == int(sys.argv[1]):
                os.kill(os.getpid(), signal.SIGKILL)
        settings = NEBConfig(images=5, fmax=0.02)
        neb(read("r.xyz"), read("p.xyz"), EMT(), settings, path="n.xyz", callback=step)
    """
    line = [sys.executable, "-c", textwrap.dedent(script), "4"]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    first = subprocess.run(line, cwd=tmp_path, env=environment, check=False)
    assert first.returncode == -signal.SIGKILL
    assert read(tmp_path / "n.xyz", 0).info["step"] == 4
    ends = read(tmp_path / "r.xyz"), read(tmp_path / "p.xyz")
    rest, told = traced(ends, EMT(), FINE, tmp_path / "n.xyz")
    assert told[0][0] == 4
    same(rest, neb(*ends, EMT(), FINE), 1e-9)
