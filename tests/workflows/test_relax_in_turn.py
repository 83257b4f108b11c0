"""Relaxations one by one that were cut off: what is done is not done again."""

import json
from collections import Counter

import numpy as np
import pytest
from ase import Atoms
from ase.build import molecule
from ase.calculators.emt import EMT
from ase.io import read, write
from ase.io.trajectory import Trajectory
from killing import killed
from springs import Stopping

from ase_mlseqm.cli import app as cli
from ase_mlseqm.engine import Engine
from ase_mlseqm.workflows import Interrupted, RelaxConfig, checkpoints, relax
from ase_mlseqm.workflows.relax_config import OPTIMIZERS

COPPER = Atoms("Cu3", [(0, 0, 0), (2.9, 0, 0), (0.5, 2.7, 0)])


@pytest.fixture
def every_step(monkeypatch):
    """Checkpoints after every step."""
    monkeypatch.setattr(checkpoints, "SECONDS", 0.0)


@pytest.fixture
def counted(monkeypatch):
    """How often the engine computed a molecule, by its number of atoms."""
    calls, run = Counter(), Engine.run

    def counting(self, molecules, *args, **keywords):
        calls.update(len(found.numbers) for found in molecules)
        return run(self, molecules, *args, **keywords)

    monkeypatch.setattr(Engine, "run", counting)
    return calls


def cut_off(folder, config, left=8, name="c"):
    """Copper whose relaxation stops after so many calls; the result until then."""
    with pytest.raises(Interrupted) as caught:
        relax(
            COPPER,
            Stopping(left),
            config,
            checkpoint=folder / f"{name}.extxyz",
            trajectory=folder / f"{name}.traj",
        )
    return caught.value.result


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_goes_on(tmp_path, every_step, optimizer):
    config = RelaxConfig(fmax=1e-3, optimizer=optimizer)
    whole = relax(COPPER, EMT(), config)
    before = cut_off(tmp_path, config)
    calc, seen = Stopping(), []
    result = relax(
        COPPER,
        calc,
        config,
        checkpoint=tmp_path / "c.extxyz",
        trajectory=tmp_path / "c.traj",
        callback=lambda number, energy, force: seen.append(number),
    )
    assert result.converged and result.energy == pytest.approx(whole.energy, abs=1e-5)
    assert result.energies[: before.steps + 1] == before.energies
    assert seen == list(range(before.steps + 1, result.steps + 1))
    if optimizer != "BFGSLineSearch":  # the only one with several calls a step
        assert calc.calls == 1 + result.steps - before.steps
    frames = read(tmp_path / "c.traj", ":")
    assert [atoms.get_potential_energy() for atoms in frames] == result.energies
    assert [path.name for path in tmp_path.iterdir()] == ["c.traj"]


def test_goes_on_in_files_with_an_at_sign(tmp_path, every_step):
    """To ASE what is behind it is the number of a frame."""
    before, calc = cut_off(tmp_path, RelaxConfig(fmax=1e-3), name="c@1"), Stopping()
    paths = {"checkpoint": tmp_path / "c@1.extxyz", "trajectory": tmp_path / "c@1.traj"}
    result = relax(COPPER, calc, RelaxConfig(fmax=1e-3), **paths)
    assert calc.calls == 1 + result.steps - before.steps
    frames = read(tmp_path / "c@1.traj", ":", do_not_split_by_at_sign=True)
    assert [atoms.get_potential_energy() for atoms in frames] == result.energies


def test_steps_count_from_the_first_run(tmp_path, every_step):
    before = cut_off(tmp_path, RelaxConfig(fmax=1e-6))
    config = RelaxConfig(fmax=1e-6, max_steps=before.steps + 2)
    result = relax(COPPER, EMT(), config, checkpoint=tmp_path / "c.extxyz")
    assert result.steps == config.max_steps and not result.converged
    assert f"not converged in {config.max_steps} steps" in result.message


def test_trajectory_ahead_of_the_checkpoint(tmp_path):
    """The file is written every few seconds: here only after the first structure."""
    config = RelaxConfig(fmax=1e-3)
    before = cut_off(tmp_path, config)
    assert len(read(tmp_path / "c.traj", ":")) == before.steps + 1 > 1
    paths = {"checkpoint": tmp_path / "c.extxyz", "trajectory": tmp_path / "c.traj"}
    result = relax(COPPER, EMT(), config, **paths)
    frames = read(tmp_path / "c.traj", ":")
    assert [atoms.get_potential_energy() for atoms in frames] == result.energies


@pytest.mark.parametrize("content", [None, b"nonsense", "other"])
def test_trajectory_without_the_steps(tmp_path, every_step, content):
    """It is to have every step: all begins anew."""
    config = RelaxConfig(fmax=1e-3)
    cut_off(tmp_path, config)
    path = tmp_path / "c.traj"
    path.unlink()
    if content == "other":
        with Trajectory(str(path), "w") as writer:
            writer.write(molecule("H2O"))
    elif content is not None:
        path.write_bytes(content)
    result = relax(COPPER, EMT(), config, checkpoint=tmp_path / "c.extxyz", trajectory=path)
    assert result.energies == relax(COPPER, EMT(), config).energies
    assert [atoms.get_potential_energy() for atoms in read(path, ":")] == result.energies


@pytest.mark.parametrize(
    ("names", "options"),
    [
        (("H2O", "CH3OH", "NH3"), ["--trajectory"]),
        (("H2O", "CH3OH", "NH3"), ["--optimizer", "BFGSLineSearch"]),
        (("CH3OH",), []),
    ],
)
def test_killed_command_goes_on(tmp_path, monkeypatch, capsys, counted, names, options):
    """Killed in the middle of methanol: water is ready, ammonia has not begun."""
    monkeypatch.chdir(tmp_path)
    structures = [molecule(name) for name in names]
    for atoms in structures:
        atoms.rattle(0.05, seed=1)
    write("many.xyz", structures)
    line = ["relax", "many.xyz", "--method", "PM3", "--json", "--fmax", "1e-3", *options]

    def run(out):
        counted.clear()
        assert cli.main([*line, "--out", out]) == 0
        found = json.loads(capsys.readouterr().out)["molecules"]
        return [entry["relaxation"] for entry in found], Counter(counted)

    expected, whole = run("whole")
    kill = whole[3] + whole[6] // 2
    killed(".", kill, *line, "--out", "cut")
    kept = read("cut/many_relax_unfinished.extxyz", ":")
    (taken,) = (len(json.loads(a.info["relax_state"])[0]) for a in kept if len(a) == 6)
    assert taken > 3
    found, rest = run("cut")
    assert not list(tmp_path.glob("*/*unfinished*"))
    # water: whether its state is the lowest, and its properties
    assert (rest[3], rest[4]) == (2 * (whole[3] > 0), whole[4])
    methanol = names.index("CH3OH")
    for k, (one, other) in enumerate(zip(found, expected, strict=True)):
        same = taken if k == methanol else None
        assert one["energies"][:same] == pytest.approx(other["energies"][:same], abs=1e-9)
        assert one["converged"] and one["energy"] == pytest.approx(other["energy"], abs=1e-5)
    assert rest[6] < whole[6]
    if "BFGSLineSearch" not in options:
        assert rest[6] == 2 + len(found[methanol]["energies"]) - taken
    for out, results in (("whole", expected), ("cut", found)):
        frames = read(f"{out}/many_relaxed.extxyz", ":")
        for atoms, result in zip(frames, results, strict=True):
            assert atoms.get_potential_energy() == pytest.approx(result["energy"], abs=1e-6)
            np.testing.assert_allclose(atoms.positions, result["positions"], atol=1e-7)
        for path, result in zip(sorted((tmp_path / out).glob("*.traj")), results, strict=False):
            steps = [atoms.get_potential_energy() for atoms in read(path, ":")]
            assert steps == result["energies"]


def test_another_file_in_the_folder_leaves_it_alone(tmp_path, monkeypatch, capsys, counted):
    """A run of water between an interrupted one of methanol and the one that goes on."""
    monkeypatch.chdir(tmp_path)
    line = ["--method", "PM3", "--json", "--fmax", "1e-3", "--out", "out"]
    for name, formula in (("first", "CH3OH"), ("second", "H2O")):
        atoms = molecule(formula)
        atoms.rattle(0.05, seed=1)
        atoms.write(f"{name}.xyz")
    killed(".", 8, "relax", "first.xyz", *line)
    assert len(list(tmp_path.glob("out/*unfinished*"))) == 1
    assert cli.main(["relax", "second.xyz", *line]) == 0
    capsys.readouterr()
    counted.clear()
    assert cli.main(["relax", "first.xyz", *line]) == 0
    (found,) = json.loads(capsys.readouterr().out)["molecules"]
    assert counted[6] < len(found["relaxation"]["energies"])
    assert not list(tmp_path.glob("out/*unfinished*"))
