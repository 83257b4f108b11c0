"""Where a restricted solution is not the lowest one is known without looking for another."""

import dataclasses
import itertools
import json

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import molecule
from ase.collections import g2
from ase.io import read
from helpers import TIGHT, torn
from scipy.spatial.transform import Rotation

from ase_mlseqm import MLSEQM, Engine, Status, engine, evaluate
from ase_mlseqm.batch import Molecule
from ase_mlseqm.cli.app import main
from ase_mlseqm.nddo.fock import FockBuilder
from ase_mlseqm.scf.stability import SAME_LEVEL

ASKED = ("energy", "stability")
STRETCHES = (1.0, 1.2, 1.4, 1.6, 2.0, 2.5)
BROKEN = [("C2H6", 0, 1), ("CH3OH", 0, 1), ("N2H4", 0, 1), ("H2O2", 0, 1), ("CH4", 0, 1)]
MODELS = ({"method": "MNDO"}, {"method": "AM1"}, {"method": "PM3"}, {})


@pytest.fixture
def solved(monkeypatch):
    """The batches that the engine computed."""
    found, compute = [], engine.compute

    def kept(*args, **keywords):
        found.append(compute(*args, **keywords))
        return found[-1]

    monkeypatch.setattr(engine, "compute", kept)
    return found


@pytest.mark.parametrize("name", ["H2O", "CH3CHO", "O3", "CH2_s1A1d", "HCl", "N2", "CO2", "CH4"])
def test_it_is_the_second_derivative_of_the_energy(solved, name):
    """One of alpha orbitals that turn by an angle and beta orbitals that turn the other way is 4
    times that: two electrons, and the energy of either goes with the square.  Of degenerate
    orbitals it is a matrix, and the lowest eigenvalue counts."""
    atoms = molecule(name)
    (point,) = Engine("PM3", scf=TIGHT).run([Molecule(atoms.numbers, atoms.positions)], ASKED)
    (batch,) = solved
    scf, builder = batch.solution.scf, batch.solution.problem.builder
    orbitals, levels, n = scf.orbitals[0, 0], scf.mo_energies[0, 0], int(batch.occupied[0, 0])
    filled = [k for k in range(n) if levels[n - 1] - levels[k] < SAME_LEVEL]
    empty = [k for k in range(n, len(levels)) if levels[k] - levels[n] < SAME_LEVEL]
    turns = list(itertools.product(filled, empty))
    assert len(turns) == {"HCl": 2, "N2": 2, "CO2": 4, "CH4": 3}.get(name, 1)

    def energy(generator):
        spins = []
        for sign in (1, -1):
            turned = orbitals @ torch.linalg.matrix_exp(sign * generator)
            spins.append((turned[:, :n] @ turned[:, :n].T).unsqueeze(0))
        density = torch.stack(spins)
        fock = builder(density) + builder(torch.zeros_like(density))
        return 0.5 * float((fock * density).sum())

    def second(*chosen):
        """Derivative along the sum of some turns."""
        generator = torch.zeros_like(orbitals)
        for i, a in chosen:
            generator[a, i], generator[i, a] = 1.0, -1.0
        step = 2e-3
        outer, inner = (
            energy(k * step * generator) + energy(-k * step * generator) for k in (2, 1)
        )
        return (16 * inner - outer - 30 * energy(0.0 * generator)) / (12 * step**2)

    with torch.inference_mode():
        own = [second(turn) for turn in turns]
        matrix = np.diag(own)
        for k, m in itertools.combinations(range(len(turns)), 2):
            both = second(turns[k], turns[m])
            matrix[k, m] = matrix[m, k] = 0.5 * (both - own[k] - own[m])
    assert point.stability == pytest.approx(np.linalg.eigvalsh(matrix)[0] / 4, abs=1e-4)
    assert (point.status is Status.UNSTABLE) == (point.stability < 0)


@pytest.mark.parametrize("keywords", MODELS, ids=str)
def test_what_is_called_unstable_has_a_lower_unrestricted_solution(keywords):
    systems = [torn(*bond, factor) for bond in BROKEN for factor in STRETCHES]
    systems.append(molecule("O3"))
    restricted = evaluate(systems, properties=ASKED, **keywords)
    lower = evaluate(systems, properties=("energy",), unrestricted=True, **keywords)
    gain = np.array([r.energy - u.energy for r, u in zip(restricted, lower, strict=True)])
    found = np.array([r.status is Status.UNSTABLE for r in restricted])
    assert gain[found].min() > 1e-3
    # the other way round holds where the bond is the highest orbital: one step later at most
    table = found[:-1].reshape(len(BROKEN), -1)
    assert (np.diff(table.astype(int), axis=1) >= 0).all()
    assert not table[:, :2].any() and table[:, -1].all() and found[-1]
    missed = (gain[:-1].reshape(table.shape) > 1e-3) & ~table
    assert missed.sum(1).max() <= 1


def test_hydrogen_turns_unstable_where_it_breaks():
    """With one pair of orbitals it is exact: both signs change at the same distance."""
    lengths = np.arange(0.7, 2.0, 0.01)
    systems = [Atoms("H2", [(0, 0, 0), (0, 0, r)]) for r in lengths]
    found = evaluate(systems, method="PM3", properties=ASKED, scf=TIGHT)
    lower = evaluate(systems, method="PM3", properties=("energy",), unrestricted=True, scf=TIGHT)
    unstable = np.array([point.stability < 0 for point in found])
    below = np.array([u.energy < r.energy - 1e-7 for r, u in zip(found, lower, strict=True)])
    assert 20 < unstable.argmax() < 120
    assert abs(int(unstable.argmax()) - int(below.argmax())) <= 1
    assert unstable[unstable.argmax() :].all() and below[below.argmax() :].all()


@pytest.mark.parametrize("keywords", MODELS[2:], ids=str)
def test_ordinary_molecules_are_stable(keywords):
    """Of the G2 set ozone and singlet methylene are not, both of which are half diradicals, and in
    PM3 carbon disulphide, whose unrestricted solution is 0.07 eV lower."""
    kinds = {1, 6, 7, 8} if not keywords else {1, 6, 7, 8, 9, 16, 17}
    systems = {name: molecule(name) for name in g2.names}
    chosen = {
        name: atoms
        for name, atoms in systems.items()
        if len(atoms) > 1
        and set(atoms.numbers) <= kinds
        and not atoms.get_initial_magnetic_moments().any()
    }
    assert len(chosen) > 50
    points = evaluate(list(chosen.values()), properties=ASKED, **keywords)
    unstable = [n for n, p in zip(chosen, points, strict=True) if p.status is Status.UNSTABLE]
    lower = evaluate([chosen[n] for n in unstable], unrestricted=True, **keywords)
    restricted = dict(zip(chosen, points, strict=True))
    assert all(restricted[n].energy - u.energy > 0.05 for n, u in zip(unstable, lower, strict=True))
    sulphur = [] if not keywords else ["CS2"]
    assert sorted(unstable) == sorted(["CH2_s1A1d", "O3", *sulphur])


@pytest.mark.parametrize("bend", [0.0, 0.02, 0.05, 0.1])
def test_a_sign_does_not_vanish_when_the_molecule_bends(bend):
    """Which splits its degenerate orbitals by hundredths of an eV."""
    atoms = molecule("CS2")
    atoms.positions[atoms.numbers == 6, 0] += bend
    (point,) = evaluate([atoms], method="PM3", properties=ASKED)
    (lower,) = evaluate([atoms], method="PM3", unrestricted=True)
    assert point.energy - lower.energy > 0.05
    assert point.status is Status.UNSTABLE and point.stability < -0.3


DEGENERATE = [("N2", 1.0), ("N2", 1.3), ("CO2", 1.0), ("C2H2", 1.0), ("CH4", 1.0), ("C6H6", 1.0)]


@pytest.mark.parametrize("keywords", MODELS[1:], ids=str)
def test_degenerate_orbitals_have_no_direction(keywords):
    """Which of them is called the highest one depends on rounding, the orientation and the batch:
    the stability does not, and an unstable molecule has a lower solution."""
    systems = []
    for name, factor in DEGENERATE:
        atoms = molecule(name)
        atoms.positions *= factor
        systems.append(atoms)
    turned = []
    for atoms in systems:
        for seed in range(3):
            other = atoms.copy()
            other.positions = other.positions @ Rotation.random(random_state=seed).as_matrix()
            turned.append(other)
    together = evaluate(turned, properties=ASKED, **keywords)
    found = np.array([p.stability for p in together]).reshape(len(systems), -1)
    assert np.ptp(found, axis=1).max() < 1e-4
    alone = [evaluate([atoms], properties=ASKED, **keywords)[0] for atoms in systems]
    assert [p.stability for p in alone] == pytest.approx(found[:, 0], abs=1e-4)
    lower = evaluate(systems, unrestricted=True, **keywords)
    gain = [p.energy - u.energy for p, u in zip(alone, lower, strict=True)]
    assert [p.status is Status.UNSTABLE for p in alone] == [g > 1e-3 for g in gain]
    assert sum(p.status is Status.UNSTABLE for p in alone) == 1


@pytest.mark.parametrize(("name", "factor"), [("CH4", 1.0), ("N2", 1.3), ("H2O", 1.0)])
def test_many_molecules_apart_are_as_stable_as_one(monkeypatch, name, factor):
    """Their levels hold all their orbitals, hundreds of pairs, of which not every one is tried."""
    alone = molecule(name)
    alone.positions *= factor
    many = alone.copy()
    for k in range(1, 12):
        many += Atoms(alone.numbers, alone.positions + (100.0 * k, 0, 0))
    calls, build = [], FockBuilder.__call__
    (expected,) = evaluate([alone], method="PM3", properties=ASKED)
    monkeypatch.setattr(FockBuilder, "__call__", lambda *a: calls.append(None) or build(*a))
    found, beside = evaluate([many, alone], method="PM3", properties=ASKED, scf=TIGHT)
    assert found.stability == pytest.approx(expected.stability, abs=1e-4)
    assert beside.stability == pytest.approx(expected.stability, abs=1e-4)
    assert found.status is expected.status and len(calls) < 100


@pytest.mark.parametrize("field", [None, (0.1, 0.0, -0.2)])
@pytest.mark.parametrize("keywords", MODELS[2:], ids=str)
def test_batch_calculator_and_single_agree(keywords, field):
    systems = [torn("C2H6", 0, 1, 1.8), molecule("CH3CONH2"), molecule("H2O")]
    systems[1].rattle(0.05, seed=2)  # orbitals of equal energy have no order
    together = evaluate(systems, properties=(*ASKED, "mo_energies"), field=field, **keywords)
    for atoms, point in zip(systems, together, strict=True):
        atoms.calc = MLSEQM(field=field, **keywords)
        atoms.get_potential_energy()
        later = atoms.calc.singlepoint
        assert later.stability == pytest.approx(point.stability, abs=1e-4)
        assert later.status is point.status
        assert point.stability < point.gap
    assert [p.status is Status.UNSTABLE for p in together] == [True, False, False]


def test_unrestricted_results_and_lone_shells_have_none():
    broken = torn("C2H6", 0, 1, 2.0)
    (point,) = evaluate([broken], method="PM3", properties=ASKED, unrestricted=True)
    assert point.stability is None and point.status is Status.CONVERGED
    (point,) = evaluate([Atoms("F")], method="PM3", properties=ASKED, charges=[-1])
    assert np.isnan(point.stability) and point.status is Status.CONVERGED


@pytest.mark.parametrize("command", [["sp"], ["relax", "--steps", "0"], ["vib", "--no-relax"]])
def test_commands_name_them(tmp_path, monkeypatch, capsys, command):
    monkeypatch.chdir(tmp_path)
    torn("C2H6", 0, 1, 2.0).write("broken.xyz")
    molecule("C2H6").write("whole.xyz")
    line = [*command, "broken.xyz", "whole.xyz", "--method", "PM3", "--json"]
    main(line)
    captured = capsys.readouterr()
    (warning,) = [text for text in captured.err.splitlines() if "unrestricted solution" in text]
    assert "broken.xyz" in warning and "whole.xyz" not in warning
    assert warning.endswith("give --unrestricted")
    found = json.loads(captured.out)["molecules"]
    assert [entry["status"] for entry in found] == ["unstable", "converged"]
    if command == ["sp"]:
        assert read("broken_sp.extxyz").info["stability"] == found[0]["stability"] < 0
    main([*line, "--unrestricted"])
    assert "unrestricted solution" not in capsys.readouterr().err


@pytest.mark.parametrize(("value", "unstable"), [(-1e-6, True), (0.01, False), (None, False)])
def test_only_what_is_negative_is_unstable(value, unstable):
    """Small positive values, as next to where a bond breaks, are no matter."""
    (point,) = evaluate([molecule("H2")], "PM3", ("energy",))
    assert dataclasses.replace(point, stability=value).unstable is unstable
