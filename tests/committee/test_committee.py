"""The uncertainty of a learned model is what independent calculations with its networks give."""

import dataclasses
import itertools
import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import molecule
from ase.calculators.calculator import InputError as ASEInputError
from helpers import SHARED, TIGHT, build, needs_shared, torn
from learned import learned
from networks import ASKED, engine_of, network

from ase_mlseqm import MLSEQM, Engine, Status, committee, evaluate
from ase_mlseqm.batch import Molecule
from ase_mlseqm.cli.app import main
from ase_mlseqm.committee_file import committee_path, read_committee, write_committee
from ase_mlseqm.errors import InputError
from ase_mlseqm.nn.weights import load_model, save_model
from ase_mlseqm.runs.run import Run
from ase_mlseqm.training.readers import read as read_labels

DRUGS = SHARED / "dft_large_val.h5"
RING = list(enumerate(np.linspace(0, 2 * np.pi, 6, endpoint=False)))


@pytest.fixture
def model(files):
    """A model with a committee of two."""
    write_committee(files[0], files[1:], 2.0, 1.0, {})
    return files[0]


def radical(positions=((0, 0, 0), (0, 0, 1.25), (0, 0.95, -0.3))):
    return Molecule(np.array([8, 8, 1]), np.array(positions, dtype=float))


@pytest.mark.filterwarnings("ignore:ions and radicals")
@pytest.mark.parametrize("field", [None, (0.2, -0.1, 0.3)])
def test_it_is_the_deviation_of_converged_energies(field):
    """The members' SCF, though loose and started from the model's density, loses nothing."""
    molecules = [build("C6H6"), build("CH3CONH2"), build("H2O"), radical()]
    networks = [network(seed) for seed in range(3)]
    energies = [
        [p.atomization_energy for p in Engine(n, scf=TIGHT).run(molecules, field=field)]
        for n in networks
    ]
    expected = 1.7 * np.std(energies, axis=0, ddof=1)
    assert expected.min() > 0.02
    engine = engine_of(*networks[1:], scale=1.7)
    found = [p.uncertainty for p in engine.run(molecules, ASKED, field=field)]
    np.testing.assert_allclose(found, expected, rtol=0, atol=5e-4)


def test_networks_that_agree_have_none():
    (point,) = engine_of(network(0)).run([build("CH3CONH2")], ASKED)
    assert 0.0 <= point.uncertainty < 1e-9


def test_batch_equals_single_and_a_result_that_is_assessed_later():
    molecules = [build("C6H6"), build("H2O"), build("CH3CONH2")]
    engine = engine_of(network(1), network(2))
    together = engine.run(molecules, ASKED)
    for one, point in zip(molecules, together, strict=True):
        (alone,) = engine.run([one], ASKED)
        assert alone.uncertainty == pytest.approx(point.uncertainty, abs=1e-9)
        (bare,) = engine.run([one], ("energy", "density"))
        assert bare.uncertainty is None
        assert engine.assess(one, bare).uncertainty == pytest.approx(alone.uncertainty, abs=1e-9)


def test_a_member_without_a_solution():
    """Nothing is known of a molecule for which one fails; the result itself stays."""
    molecules = [build("C6H6"), build("H2O")]
    absurd = learned(std=1e3, seed=1)
    engine = engine_of(network(1), absurd)
    ring, water = engine.run(molecules, ASKED)
    assert np.isnan(ring.uncertainty) and ring.status is Status.UNCERTAIN
    assert np.isfinite(water.uncertainty) and water.status is Status.CONVERGED
    (alone,) = Engine(network(0), scf=TIGHT).run(molecules[:1])
    assert ring.converged and ring.energy == pytest.approx(alone.energy, abs=1e-8)
    (bare,) = engine.run(molecules[:1], ("energy", "density"))
    later = engine.assess(molecules[0], bare)
    assert np.isnan(later.uncertainty) and later.status is Status.UNCERTAIN


def test_the_limit_grows_with_the_number_of_atoms():
    molecules = [build("C6H6"), build("H2O")]
    sizes = np.array([len(m.numbers) for m in molecules])
    sure = engine_of(network(1), network(2)).run(molecules, ASKED)
    relative = np.array([p.uncertainty for p in sure]) / sizes
    limit = relative.mean()
    found = engine_of(network(1), network(2), limit=limit).run(molecules, ASKED)
    expected = [Status.UNCERTAIN if r > limit else Status.CONVERGED for r in relative]
    assert [p.status for p in found] == expected
    assert set(expected) == {Status.UNCERTAIN, Status.CONVERGED}
    assert all(p.converged and np.isfinite(p.energy) for p in found)


def test_unknown_goes_before_unstable():
    """In a batch and when a result is assessed later; the number tells the other one, too."""
    broken = torn("C2H6", 0, 1, 2.0)
    molecules = [Molecule(broken.numbers, broken.positions)]
    asked = ("energy", "density", "stability")
    for limit, expected in ((np.inf, Status.UNSTABLE), (0.0, Status.UNCERTAIN)):
        engine = engine_of(network(1), network(2), limit=limit)
        (whole,) = engine.run(molecules, (*asked, "uncertainty"))
        (bare,) = engine.run(molecules, asked)
        later = engine.assess(molecules[0], bare)
        assert whole.status is later.status is expected
        assert whole.unstable and later.unstable


@pytest.mark.filterwarnings("ignore:ions and radicals")
def test_ions_keep_their_own_status():
    ion = Molecule(np.array([8, 1]), np.array([[0, 0, 0], [0, 0, 0.97]]), -1)
    (point,) = engine_of(network(1), limit=0.0).run([ion], ASKED)
    assert point.status is Status.NOT_IN_TRAINING and point.uncertain
    (sure,) = engine_of(network(1), limit=np.inf).run([ion], ASKED)
    assert sure.status is Status.NOT_IN_TRAINING and not sure.uncertain


def test_calculator(model):
    atoms = molecule("CH3CONH2")
    atoms.calc = MLSEQM(model=model, uncertainty=True)
    atoms.get_potential_energy()
    found = atoms.calc.singlepoint
    positions = atoms.positions
    same = Molecule(atoms.numbers, positions)
    (expected,) = engine_of(network(1), network(2), scale=2.0).run([same], ASKED)
    assert found.uncertainty == pytest.approx(expected.uncertainty, abs=1e-5)
    assert MLSEQM(model=model).parameters["uncertainty"] is None
    atoms.calc = MLSEQM(model=model)
    atoms.get_potential_energy()
    assert atoms.calc.singlepoint.uncertainty is None


def test_what_has_no_committee_says_so(files):
    with pytest.raises(ASEInputError, match="only a learned model"):
        MLSEQM("PM3", uncertainty=True)
    with pytest.raises(ASEInputError, match="mlseqm committee"):
        MLSEQM(model=files[0], uncertainty=True)
    with pytest.raises(InputError, match="mlseqm committee"):
        Engine(load_model(files[0]).model).run([build("H2O")], ASKED)


def edited(path, **changes):
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_other_files_are_refused(model, files):
    description = committee_path(model)
    assert len(read_committee(model).members) == 2
    save_model(files[1], network(7), {})
    with pytest.raises(InputError, match=r"another version of b\.safetensors; write") as refused:
        read_committee(model)
    assert str(refused.value).count(str(description)) == 1  # said once
    files[1].unlink()
    with pytest.raises(InputError, match=r"there is no model file b\.safetensors beside it; write"):
        read_committee(model)
    for numbers in ({"scale": -1.0}, {"scale": float("nan")}, {"limit": float("nan")}):
        whole = description.read_text()
        save_model(files[1], network(1), {})
        edited(description, **numbers)
        with pytest.raises(InputError, match=r"its scale is .*, and its limit"):
            read_committee(model)
        description.write_text(whole)
    edited(description, members={})
    with pytest.raises(InputError, match="needs a member"):
        read_committee(model)
    edited(description, model="0" * 64)
    with pytest.raises(InputError, match="another version of mine"):
        read_committee(model)
    edited(description, format="something else")
    with pytest.raises(InputError, match="not the description of a committee"):
        read_committee(model)
    description.write_text("{")
    with pytest.raises(InputError, match="cannot be read"):
        read_committee(model)


def test_a_table_that_stayed_is_no_other_form(files):
    other = network(1)
    other.config = dataclasses.replace(other.config, learn_table=not other.config.learn_table)
    save_model(files[1], other, {})
    write_committee(files[0], files[1:], 2.0, 1.0, {})
    assert len(read_committee(files[0]).members) == 2


def test_a_member_without_a_solution_is_named_in_words(capsys):
    """In the place of the number that there is none of."""
    engine = engine_of(network(1), learned(std=1e3, seed=1))
    (point,) = engine.run([build("C6H6")], ASKED)
    Run.doubt(SimpleNamespace(level="mine"), [("ring.xyz", point)])
    assert "mine was trained on: ring.xyz (a network has no solution);" in capsys.readouterr().err


def test_command_line(model, tmp_path, monkeypatch, capsys):
    """Every result is judged unless that is not wanted, and what is doubtful is named."""
    monkeypatch.chdir(tmp_path)
    molecule("CH3OH").write("methanol.xyz")
    edited(committee_path(model), limit=1e-9)
    start = tmp_path / "eclipsed.xyz"
    eclipsed = molecule("CH3OH")
    eclipsed.rotate_dihedral(4, 0, 1, 3, 60.0, indices=[3])
    eclipsed.write(start)
    for command in (
        ["sp"],
        ["relax", "--steps", "2"],
        ["vib", "--no-relax"],
        ["thermo", "--no-relax"],
        ["neb", str(start), "--images", "3", "--max-steps", "1"],
        ["ts", "--max-steps", "1", "--no-irc"],
    ):
        main([*command, "methanol.xyz", "--model", str(model)])
        captured = capsys.readouterr()
        assert "unlike what" in captured.err
        assert "methanol.xyz (± " in captured.err
        assert "uncertainty" in captured.out
    assert main(["sp", "methanol.xyz", "--model", str(model), "--json"]) == 0
    (found,) = json.loads(capsys.readouterr().out)["molecules"]
    assert found["uncertainty"] > 0
    assert found["status"] == "uncertain"
    assert main(["sp", "methanol.xyz", "--model", str(model), "--no-uncertainty", "--json"]) == 0
    (found,) = json.loads(capsys.readouterr().out)["molecules"]
    assert "uncertainty" not in found
    assert found["status"] == "converged"
    asked = ["sp", "methanol.xyz", "--properties", "energy,uncertainty", "--json"]
    assert main([*asked, "--model", str(model)]) == 0
    (found,) = json.loads(capsys.readouterr().out)["molecules"]
    assert found["uncertainty"] > 0 and "gap" not in found
    assert main([*asked, "--method", "PM3"]) == 2
    assert "the uncertainty of PM3 is not known" in capsys.readouterr().err


def test_dynamics_are_judged_where_they_begin(model, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    atoms = molecule("CH3OH")
    atoms.write("methanol.xyz")
    Atoms("Fe").write("iron.xyz")
    edited(committee_path(model), limit=1e-9)
    for more, judged in (([], 2), (["--replicas", "2"], 1)):
        line = ["md", "methanol.xyz", "iron.xyz", "--steps", "1", "--model", str(model), *more]
        assert main(line) == 2
        lines = [text for text in capsys.readouterr().err.splitlines() if "(± " in text]
        assert len(lines) == judged
        start = lines[0].partition("(± ")[2].partition(" eV")[0]
        (point,) = evaluate([atoms], model=str(model), properties=("energy", "uncertainty"))
        assert float(start) == pytest.approx(point.uncertainty, abs=0.006)
        main([*line, "--no-uncertainty"])
        assert "(± " not in capsys.readouterr().err


def test_shipped_model_knows_what_it_does_not_know(tmp_path, monkeypatch, capsys):
    """A chain of nitrogen, which nothing in its training data is like, is named; ethanol is not."""
    monkeypatch.chdir(tmp_path)
    chain = Atoms("N8", [(1.1 * k, 0.55 * (k % 2), 0.3 * (k // 2)) for k in range(8)])
    chain.write("chain.xyz")
    molecule("CH3CH2OH").write("ethanol.xyz")
    assert main(["sp", "chain.xyz", "ethanol.xyz"]) == 0
    (warning,) = [line for line in capsys.readouterr().err.splitlines() if "(± " in line]
    assert "chain.xyz" in warning and "ethanol.xyz" not in warning


def test_members_cost_a_few_iterations_and_no_gradient(model, monkeypatch):
    """One batch of all members, from the model's density, which it stops early."""
    calls, solve = [], committee.solve_at

    def counted(*args, **keywords):
        out = solve(*args, **keywords)
        calls.append((out.scf.iterations, keywords["with_gradient"]))
        return out

    monkeypatch.setattr(committee, "solve_at", counted)
    atoms = molecule("CH3CH2OH")
    atoms.calc = MLSEQM(model=str(model), uncertainty=True)
    atoms.get_forces()
    found = atoms.calc.singlepoint
    ((iterations, gradient),) = calls
    assert len(iterations) == 2
    assert not gradient
    assert 0 < int(iterations.max()) <= 0.5 * found.iterations


@needs_shared
def test_limit_of_the_shipped_model():
    """Drugs are not called unknown, odd molecules are, and errors are of the size of estimates."""
    cubane = np.array(list(itertools.product((-0.785, 0.785), repeat=3)))
    strange = [
        Atoms("N8", [(1.1 * k, 0.55 * (k % 2), 0.3 * (k // 2)) for k in range(8)]),
        Atoms("C8H8", np.concatenate([cubane, cubane * (1 + 1.09 / (0.785 * 3**0.5))])),
        Atoms("O6", [(1.45 * np.cos(t), 1.45 * np.sin(t), 0.2 * (-1) ** k) for k, t in RING]),
    ]
    data = read_labels([str(DRUGS)])
    drugs = [Atoms(z, x) for z, x in zip(data.numbers, data.positions, strict=True)]
    found = evaluate(drugs + strange, properties=("energy", "uncertainty"))
    unknown = [point.status is Status.UNCERTAIN for point in found]
    assert sum(unknown[: len(drugs)]) <= 1
    assert all(unknown[len(drugs) :])
    errors = [p.atomization_energy - e for p, e in zip(found, data.atomization, strict=False)]
    estimates = [p.uncertainty for p in found[: len(drugs)]]
    assert 0.3 < np.linalg.norm(errors) / np.linalg.norm(estimates) < 3


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_cuda_against_cpu(model):
    systems = [molecule(name) for name in ("CH3CONH2", "H2O", "C6H6")]
    asked = ("energy", "forces", "uncertainty")
    cpu = evaluate(systems, model=str(model), properties=asked, scf=TIGHT)
    gpu = evaluate(systems, model=str(model), properties=asked, scf=TIGHT, device="cuda")
    for one, two in zip(gpu, cpu, strict=True):
        assert one.energy == pytest.approx(two.energy, abs=1e-8)
        np.testing.assert_allclose(one.forces, two.forces, rtol=0, atol=1e-8)
        # the members' SCF is a loose one, which is looked at more rarely on a device
        assert one.uncertainty == pytest.approx(two.uncertainty, abs=1e-4)
