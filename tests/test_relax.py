"""Relaxation as a workflow, and its figure."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.build import molecule
from ase.calculators.calculator import CalculatorError, SCFError
from ase.calculators.emt import EMT
from ase.constraints import FixAtoms, FixInternals
from ase.io import read, write
from helpers import Broken
from PIL import Image

from ase_mlseqm import MLSEQM, InputError
from ase_mlseqm.cli import app as cli
from ase_mlseqm.options import field_docs
from ase_mlseqm.workflows import Interrupted, RelaxConfig, RelaxResult, relax
from ase_mlseqm.workflows.relax_config import OPTIMIZERS
from ase_mlseqm.workflows.relax_figures import plot_convergence, plot_convergences


class Failing(EMT):
    """A calculator that raises ``error`` at the call ``after``."""

    def __init__(self, after, error):
        super().__init__()
        self.calls, self.after, self.error = 0, after, error

    def calculate(self, *args, **keywords):
        self.calls += 1
        if self.calls > self.after:
            raise self.error
        super().calculate(*args, **keywords)


@pytest.fixture
def copper():
    """Something that costs nothing: three atoms with ASE's EMT."""
    return Atoms("Cu3", [(0, 0, 0), (2.9, 0, 0), (0.5, 2.7, 0)])


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_all_optimizers_find_the_minimum(optimizer):
    start = molecule("H2O")
    before = start.positions.copy()
    calc = MLSEQM(method="PM3")
    result = relax(start, calc, RelaxConfig(fmax=1e-3, optimizer=optimizer.lower()))
    assert result.converged
    assert result.config.optimizer == optimizer
    assert result.max_force < 1e-3
    assert result.energy == result.energies[-1] <= min(result.energies) + 1e-6
    assert len(result.energies) == len(result.max_forces) == result.steps + 1
    np.testing.assert_array_equal(start.positions, before)
    assert start.calc is None
    # PM3's water (Stewart, J. Comput. Chem. 10 (1989) 221): 0.951 Angstrom, 107.7 degrees
    assert result.atoms.get_distance(0, 1) == pytest.approx(0.951, abs=1e-3)
    assert result.atoms.get_angle(1, 0, 2) == pytest.approx(107.7, abs=0.1)


def test_result_is_a_minimum_and_carries_its_numbers():
    result = relax(molecule("CH3OH"), MLSEQM(method="PM3"), RelaxConfig(fmax=2e-3))
    again = result.atoms.copy()
    again.calc = MLSEQM(method="PM3")
    assert result.energy == pytest.approx(again.get_potential_energy(), abs=1e-8)
    assert result.atoms.get_potential_energy() == result.energy
    np.testing.assert_allclose(result.atoms.get_forces(), again.get_forces(), atol=1e-5)
    np.testing.assert_allclose(result.atoms.get_charges(), again.get_charges(), atol=1e-5)
    vibrations = np.linalg.eigvalsh(again.calc.get_hessian(again))
    assert vibrations.min() > -0.02  # eV/Angstrom^2; six are zero but for what fmax leaves
    assert result.max_force == np.linalg.norm(result.atoms.get_forces(), axis=1).max()


def test_other_calculators_work(copper):
    calc = EMT()
    result = relax(copper, calc, RelaxConfig(fmax=0.005))
    assert result.converged
    assert result.message == f"converged in {result.steps} steps"
    stored = json.loads(json.dumps(result.to_dict()))
    assert stored["converged"] is True
    assert stored["steps"] == result.steps
    assert stored["config"]["fmax"] == 0.005
    np.testing.assert_array_equal(stored["positions"], result.atoms.positions)


def test_steps_that_run_out_are_flagged(copper):
    result = relax(copper, EMT(), RelaxConfig(fmax=1e-6, max_steps=3))
    assert not result.converged
    assert result.steps == 3
    assert "not converged in 3 steps" in result.message
    assert "1e-06" in result.message
    result = relax(copper, EMT(), RelaxConfig(max_steps=0))
    assert result.steps == 0
    assert not result.converged


def test_a_relaxed_start_takes_no_step(copper):
    relaxed = relax(copper, EMT(), RelaxConfig(fmax=0.005)).atoms
    result = relax(relaxed, EMT(), RelaxConfig(fmax=0.01))
    assert result.converged
    assert result.steps == 0


def test_constraints_are_respected(copper):
    copper.set_constraint(FixAtoms([0]))
    result = relax(copper, EMT(), RelaxConfig(fmax=0.005))
    assert result.converged
    np.testing.assert_array_equal(result.atoms.positions[0], copper.positions[0])
    assert result.atoms.constraints
    assert np.abs(result.atoms.get_forces(apply_constraint=False)[0]).max() < 1.0


def test_held_dihedral():
    """Hydrogen peroxide, which PM3 has planar, with its hydrogens 60 degrees apart."""
    free = relax(molecule("H2O2"), MLSEQM(method="PM3"))
    bent = molecule("H2O2")
    bent.set_dihedral(2, 0, 1, 3, 60.0, indices=[3])
    bent.set_constraint(FixInternals(dihedrals_deg=[[60.0, [2, 0, 1, 3]]]))
    for optimizer in ("BFGS", "FIRE"):
        config = RelaxConfig(fmax=1e-3, optimizer=optimizer)
        result = relax(bent, MLSEQM(method="PM3"), config)
        assert result.converged and result.energies[-1] < result.energies[0] - 0.01
        assert result.atoms.get_dihedral(2, 0, 1, 3) == pytest.approx(60.0, abs=1e-3)
        assert result.energy == pytest.approx(free.energy + 0.2160, abs=1e-3)
        # all that is left is what would turn the dihedral: nothing along the bonds
        forces = result.atoms.get_forces(apply_constraint=False)
        for pair in ((0, 1), (0, 2), (1, 3)):
            along = np.diff(result.atoms.positions[list(pair)], axis=0)[0]
            assert abs(forces[pair[1]] @ along / np.linalg.norm(along)) < 5e-3
        assert np.linalg.norm(forces, axis=1).max() > 0.1


@pytest.mark.parametrize("names", [("CH3OH",), ("CH3OH", "H2O")])
def test_atoms_that_a_file_holds(tmp_path, monkeypatch, names):
    """``move_mask`` of an extended XYZ, alone and in a batch."""
    monkeypatch.chdir(tmp_path)
    systems = [molecule(name) for name in names]
    for atoms in systems:
        atoms.rattle(0.1, seed=2)
        atoms.set_constraint(FixAtoms([0, 2]))
    write("held.extxyz", systems)
    assert "move_mask" in Path("held.extxyz").read_text()
    assert cli.main(["relax", "held.extxyz", "--method", "PM3", "--no-figure"]) == 0
    for start, end in zip(systems, read("held_relaxed.extxyz", ":"), strict=True):
        moved = np.linalg.norm(end.positions - start.positions, axis=1)
        assert moved[[0, 2]].max() < 1e-7 < 0.01 < moved[1]
        assert end.info["relaxed"] and list(end.constraints[0].index) == [0, 2]


def test_the_table_shows_what_constraints_leave_of_the_forces(tmp_path, monkeypatch, capsys):
    """It showed 1 eV/Angstrom on the fixed atoms, beside "converged"."""
    monkeypatch.chdir(tmp_path)
    atoms = molecule("CH3OH")
    atoms.set_distance(0, 1, 1.6)
    atoms.set_constraint(FixAtoms([0, 1]))
    write("held.traj", atoms)
    assert cli.main(["relax", "held.traj", "--method", "PM3", "--no-figure"]) == 0
    (line,) = re.findall(r"largest force .*", capsys.readouterr().out)
    end = read("held_relaxed.extxyz")
    free = np.linalg.norm(end.get_forces(), axis=1).max()
    assert float(line.split()[-1]) == pytest.approx(free, abs=1e-4) and free < 0.01
    assert np.linalg.norm(end.get_forces(apply_constraint=False), axis=1).max() > 0.5


def test_lists(copper):
    """One call for one molecule or many."""
    other = copper.copy()
    other.positions[1, 0] = 2.6
    config = RelaxConfig(fmax=0.005)
    results = relax([copper, other], EMT(), config)
    for atoms, result in zip((copper, other), results, strict=True):
        alone = relax(atoms, EMT(), config)
        assert result.converged and result.energies == pytest.approx(alone.energies, abs=1e-9)
    assert len(relax((copper,), EMT())) == 1 and relax([], EMT()) == []
    with pytest.raises(InputError, match="is for one molecule"):
        relax([copper], EMT(), trajectory="t.traj")
    ready, nothing = relax([copper, "Cu3"], EMT())
    assert ready.converged and isinstance(nothing, InputError)
    assert isinstance(relax([copper], Failing(0, SCFError("no")))[0], SCFError)


def test_failure_on_the_way_keeps_what_was_done(copper, tmp_path):
    calc = Failing(4, SCFError("Cu3: the SCF did not converge"))
    result = relax(copper, calc, RelaxConfig(fmax=1e-6), trajectory=tmp_path / "t.traj")
    good = relax(copper, EMT(), RelaxConfig(fmax=1e-6, max_steps=3))
    assert not result.converged
    assert result.message == "stopped after step 3: Cu3: the SCF did not converge"
    assert result.energies == good.energies
    np.testing.assert_array_equal(result.atoms.positions, good.atoms.positions)
    assert result.atoms.get_potential_energy() == good.energy
    frames = read(tmp_path / "t.traj", ":")
    assert [frame.get_potential_energy() for frame in frames] == result.energies


def test_failure_at_the_start_is_raised(copper):
    with pytest.raises(SCFError):
        relax(copper, Failing(0, SCFError("no")))


def test_numbers_that_are_not_finite_stop_it(copper):
    with pytest.raises(CalculatorError, match="not finite"):
        relax(copper, Broken())


def test_interruption_keeps_what_was_done(copper):
    with pytest.raises(Interrupted) as caught:
        relax(copper, Failing(3, KeyboardInterrupt()), RelaxConfig(fmax=1e-6))
    result = caught.value.result
    assert isinstance(caught.value, KeyboardInterrupt)
    assert isinstance(result, RelaxResult)
    assert result.steps == 2
    assert not result.converged
    assert result.message == "interrupted after step 2"
    with pytest.raises(KeyboardInterrupt):
        relax(copper, Failing(0, KeyboardInterrupt()))


def test_callback_sees_every_step(copper):
    seen = []
    result = relax(copper, EMT(), callback=lambda *step: seen.append(step))
    steps, energies, forces = zip(*seen, strict=True)
    assert list(steps) == list(range(result.steps + 1))
    assert list(energies) == result.energies
    assert list(forces) == result.max_forces


@pytest.mark.parametrize(
    "settings",
    [{"optimizer": "Newton"}, {"fmax": 0.0}, {"fmax": np.nan}, {"max_steps": -1}],
)
def test_settings_that_make_no_sense(settings):
    with pytest.raises(InputError, match=next(iter(settings))):
        RelaxConfig(**settings)


def test_settings_are_documented():
    docs = field_docs(RelaxConfig)
    assert set(docs) == set(RelaxConfig.__dataclass_fields__)
    assert "eV/Angstrom" in docs["fmax"]
    assert all(name in docs["optimizer"] for name in OPTIMIZERS)


@pytest.mark.parametrize("max_steps", [0, 1, 200])
def test_figure(copper, tmp_path, max_steps):
    result = relax(copper, EMT(), RelaxConfig(fmax=1e-3, max_steps=max_steps))
    plot_convergence(result, tmp_path / "c.png", "Cu3")
    with Image.open(tmp_path / "c.png") as image:
        assert image.format == "PNG"
        assert min(image.size) > 600
    # both curves are drawn
    assert {(0x1F, 0x4E, 0x79), (0xB0, 0x3A, 0x2E)} <= colours(tmp_path / "c.png")


def test_figure_of_a_lone_atom(tmp_path):
    result = relax(Atoms("O"), MLSEQM(multiplicity=3))
    assert result.converged
    assert result.max_force < 1e-10
    plot_convergence(result, tmp_path / "c.png")
    assert (tmp_path / "c.png").stat().st_size > 1000


def colours(path):
    with Image.open(path) as image:
        return {colour for _, colour in image.convert("RGB").getcolors(1 << 20)}


@pytest.mark.parametrize("many", [20, 21])
def test_figures_of_many(tmp_path, monkeypatch, many):
    """One for each; beyond 20 one for all."""
    monkeypatch.chdir(tmp_path)
    write("many.xyz", [molecule("H2")] * many)
    drawn = []
    for name in ("plot_convergence", "plot_convergences"):
        monkeypatch.setattr(
            f"ase_mlseqm.runs.relax.{name}", lambda result, path, title: drawn.append(path.name)
        )
    assert cli.main(["relax", "many.xyz", "--method", "PM3", "--out", "o"]) == 0
    assert len(drawn) == (20 if many == 20 else 1)
    assert drawn[-1] == (
        "many_0019_convergence.png" if many == 20 else "mlseqm_relax_convergence.png"
    )


def test_figure_of_many(copper, tmp_path):
    results = [relax(copper, EMT(), RelaxConfig(max_steps=steps)) for steps in (3, 200, 0)]
    plot_convergences(results, tmp_path / "c.png", "Cu3")
    assert (0xB0, 0x3A, 0x2E) in colours(tmp_path / "c.png")  # the median


def test_the_page(tmp_path, monkeypatch, capsys):
    """The example in the documentation runs."""
    page = Path(__file__).parents[1] / "docs" / "relax.md"
    code = "".join(re.findall(r"```python\n(.*?)```", page.read_text(), re.DOTALL))
    monkeypatch.chdir(tmp_path)
    exec(compile(code, str(page), "exec"), {})
    assert "not converged" not in capsys.readouterr().out
    assert (0xB0, 0x3A, 0x2E) in colours("relax_convergence.png")
