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

from ase_mlseqm import MLSEQM, Engine, Status, committee, evaluate
from ase_mlseqm.batch import Molecule
from ase_mlseqm.cli import main
from ase_mlseqm.committee import Committee
from ase_mlseqm.committee_file import committee_path, read_committee, write_committee
from ase_mlseqm.errors import InputError
from ase_mlseqm.nn.weights import load_model, save_model
from ase_mlseqm.runs import Run
from ase_mlseqm.training.calibration import calibrate, unseen
from ase_mlseqm.training.dataset import Dataset, Skipped
from ase_mlseqm.training.history import files_behind
from ase_mlseqm.training.readers import read as read_labels
from ase_mlseqm.training.split import split

DRUGS = SHARED / "dft_large_val.h5"
RING = list(enumerate(np.linspace(0, 2 * np.pi, 6, endpoint=False)))
ASKED = ("energy", "density", "uncertainty")


def network(seed):
    return learned(std=0.1, seed=seed)


def engine_of(*members, scale=1.0, limit=np.inf, scf=TIGHT):
    return Engine(network(0), scf=scf, committee=Committee(members, scale, limit))


@pytest.fixture
def files(tmp_path):
    """A model and two others in a folder."""
    paths = [tmp_path / name for name in ("mine.safetensors", "b.safetensors", "c.safetensors")]
    for seed, path in enumerate(paths):
        save_model(path, network(seed), {})
    return paths


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


def labelled(points, molecules):
    """Frames whose labels are these results."""
    energies = np.array([p.atomization_energy for p in points])
    return Dataset(
        numbers=[m.numbers for m in molecules],
        positions=[m.positions for m in molecules],
        energies=energies,
        atomization=energies,
        forces=[np.zeros_like(m.positions) for m in molecules],
        molecule=np.arange(len(molecules)),
        names=[str(k) for k in range(len(molecules))],
        smiles=["C" * (1 + k) for k in range(len(molecules))],
        level=["made"],
        source=np.zeros(len(molecules), dtype=np.int64),
        checksums={"made.h5": "abc"},
    )


def test_calibration(files, monkeypatch):
    """Labels of a fourth network like the others: errors are those of three draws about a mean."""
    random = np.random.default_rng(0)
    molecules = [build(n, seed=k) for k in range(12) for n in ("H2O", "CH4", "CH3OH")]
    data = labelled(Engine(network(5), scf=TIGHT).run(molecules), molecules)
    monkeypatch.setattr("ase_mlseqm.training.calibration.read", lambda *_, **__: data)
    path, found = calibrate(files[0], files[1:], ["made.h5"])
    energies = [
        [p.atomization_energy for p in Engine(network(s), scf=TIGHT).run(molecules)]
        for s in range(3)
    ]
    order = random.permutation(len(molecules))
    spread = np.std(energies, axis=0, ddof=1)[order]
    error = (np.array(energies[0]) - data.atomization)[order]
    np.testing.assert_allclose(found.spread, spread, atol=5e-4)
    np.testing.assert_allclose(found.error, error, atol=5e-4)
    scale = np.sqrt((error**2).sum() / (spread**2).sum())
    assert found.scale == pytest.approx(scale, rel=1e-2)
    committee = read_committee(files[0])
    assert (committee.scale, committee.limit) == (found.scale, found.limit)
    names = {p.name for p in files[0].parent.glob("mine.*.safetensors")}
    assert names == {"mine.1.safetensors", "mine.2.safetensors"}
    assert json.loads(path.read_text())["calibration"]["frames"] == len(molecules)


def test_networks_that_are_the_same_or_agree_are_no_committee(files, monkeypatch):
    """Whatever their files are called and say: what they disagree about would be rounding."""
    save_model(files[1], network(0), {"another": "card"})
    with pytest.raises(InputError, match=r"b.safetensors is the same network as the model: leave"):
        calibrate(files[0], files[1:], ["made.h5"])
    same = network(0)
    with torch.no_grad():
        next(iter(same.network.parameters())).add_(1e-15)
    save_model(files[1], same, {})
    molecules = [build("CH4", seed=k) for k in range(24)]
    data = labelled(Engine(network(5)).run(molecules), molecules)
    monkeypatch.setattr("ase_mlseqm.training.calibration.read", lambda *_, **__: data)
    with pytest.raises(InputError, match="agree to rounding on these frames"):
        calibrate(files[0], files[1:2], ["made.h5"])
    assert not committee_path(files[0]).exists()


def test_a_table_that_stayed_is_no_other_form(files):
    other = network(1)
    other.config = dataclasses.replace(other.config, learn_table=not other.config.learn_table)
    save_model(files[1], other, {})
    write_committee(files[0], files[1:], 2.0, 1.0, {})
    assert len(read_committee(files[0]).members) == 2


def test_files_that_changed_since_the_training(files):
    card = {"training": {"files": {"made.h5": "older"}}, "earlier_files": {"made.h5": "oldest"}}
    save_model(files[0], network(0), card)
    molecules = [build("CH4", seed=k) for k in range(24)]
    data = labelled(Engine("PM3").run(molecules), molecules)
    with pytest.warns(UserWarning, match=r"made.h5 changed since learned was trained on files of"):
        assert len(unseen(data, [load_model(files[0])])) == 24
    assert files_behind(card) == {"made.h5": "oldest", "made.h5 (2)": "older"}


def test_frames_that_were_trained_on_do_not_calibrate(tmp_path):
    molecules = [build("CH4", seed=k) for k in range(400)]
    data = labelled(Engine("PM3").run(molecules), molecules)
    card = {
        "training": {"files": {"made.h5": "abc"}},
        "settings": {"validation_fraction": 0.2, "split_seed": 3},
    }
    networks = []
    for seed in range(2):
        save_model(tmp_path / "m.safetensors", network(seed), card)
        networks.append(load_model(tmp_path / "m.safetensors"))
    rows = unseen(data, networks)
    assert 40 < len(rows) < 120
    save_model(tmp_path / "m.safetensors", network(2), {})
    stranger = load_model(tmp_path / "m.safetensors")
    assert unseen(data, [*networks, stranger]).tolist() == rows.tolist()
    assert len(unseen(data, [stranger])) == len(data)
    # what one of them has seen in an earlier training is not new to it either
    later = card | {"splits": [[0.2, 3], [0.5, 4]]}
    save_model(tmp_path / "m.safetensors", network(2), later)
    twice = load_model(tmp_path / "m.safetensors")
    both = set(split(data, 0.2, 3)[1]) & set(split(data, 0.5, 4)[1])
    assert set(unseen(data, [*networks, twice])) == both
    save_model(tmp_path / "m.safetensors", network(2), {"training": card["training"]})
    with pytest.raises(InputError, match="does not tell what was kept"):
        unseen(data, [*networks, load_model(tmp_path / "m.safetensors")])


def test_a_member_without_a_solution_is_named_in_words(capsys):
    """In the place of the number that there is none of."""
    engine = engine_of(network(1), learned(std=1e3, seed=1))
    (point,) = engine.run([build("C6H6")], ASKED)
    Run.doubt(SimpleNamespace(level="mine"), [(SimpleNamespace(name="ring.xyz"), point)])
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


@pytest.fixture
def made(files, monkeypatch):
    """30 frames with labels of another network, in the place of what is read from files."""
    molecules = [build("CH3OH", seed=k) for k in range(30)]
    data = labelled(Engine(network(5)).run(molecules), molecules)
    monkeypatch.setattr("ase_mlseqm.training.calibration.read", lambda *_, **__: data)
    return data


def test_frames_that_do_not_count_are_said(files, made, monkeypatch):
    made.skipped.append(Skipped("made.h5", "x[0]", "the energy is not a number"))
    with pytest.warns(UserWarning, match="left out of the files: 1 broken"):
        calibrate(files[0], files[1:], ["made.h5"])

    class Lost(Engine):
        """Without a solution."""

        def run(self, molecules, *_, **__):
            point = SimpleNamespace(uncertainty=None, atomization_energy=None)
            return [point] * len(molecules)

    made.skipped.clear()
    monkeypatch.setattr("ase_mlseqm.training.calibration.Engine", Lost)
    with pytest.raises(InputError, match="have a solution for only 0 frames"):
        calibrate(files[0], files[1:], ["made.h5"])


def test_command_that_makes_one(files, made, capsys):
    arguments = ["committee", *map(str, files), "--data", "made.h5"]
    assert main([*arguments, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["frames"] == 30
    assert len(read_committee(files[0]).members) == 2
    # members may be given where the copies of others go
    copies = [files[0].with_suffix(f".{k}.safetensors") for k in (2, 1)]
    before = [load_model(path).sha256 for path in copies]
    assert main(["committee", str(files[0]), *map(str, copies), "--data", "made.h5"]) == 0
    assert [load_model(path).sha256 for path in reversed(copies)] == before
    assert len(read_committee(files[0]).members) == 2
    capsys.readouterr()
    assert main(["committee", str(files[0]), str(files[0]), "--data", "made.h5"]) == 2
    assert "same network" in capsys.readouterr().err
    save_model(files[1], learned(seed=1, n_features=4), {})
    assert main(arguments) == 2
    assert "another form" in capsys.readouterr().err


def test_members_take_the_place_of_no_other_network(files, made):
    """Not of one with a number of its own that is left out, or made again; members stay as they are
    where they are, and copies of earlier ones make room."""
    model, one, two = files
    beside = [model.with_suffix(f".{k}.safetensors") for k in (1, 2, 3, 4)]
    for k, path in enumerate(beside[:3]):
        save_model(path, network(6 + k), {})
    before = [load_model(path).sha256 for path in beside[:3]]
    calibrate(model, beside[1:3], ["made.h5"])
    assert [load_model(path).sha256 for path in beside[:3]] == before
    members = json.loads(committee_path(model).read_text())["members"]
    assert list(members) == [path.name for path in beside[1:3]]
    # their places are free for others, but for what is not theirs any more
    save_model(beside[1], network(9), {})
    calibrate(model, (one, two), ["made.h5"])
    members = json.loads(committee_path(model).read_text())["members"]
    assert list(members) == [beside[2].name, beside[3].name]
    assert load_model(beside[0]).sha256 == before[0]
    assert len(read_committee(model).members) == 2


def test_a_committee_that_is_made_anew_counts_at_once(files, made):
    """In a session that has used the one before."""
    model, *members = files
    atoms, found = molecule("H2O"), []
    for member in (*members, members[0]):
        _, calibration = calibrate(model, [member], ["made.h5"])
        asked = ("energy", "uncertainty")
        found.append(evaluate([atoms], model=model, properties=asked)[0].uncertainty)
        atoms.calc = MLSEQM(model=model, uncertainty=True)
        atoms.get_potential_energy()
        assert atoms.calc.singlepoint.uncertainty == pytest.approx(found[-1], rel=1e-6)
        energies = [evaluate([atoms], model=path)[0].atomization_energy for path in (model, member)]
        expected = calibration.scale * np.std(energies, ddof=1)
        assert found[-1] == pytest.approx(expected, abs=1e-3)
    assert abs(found[1] - found[0]) > 0.01 and found[2] == pytest.approx(found[0], rel=1e-6)


def test_a_committee_of_a_model_that_is_a_link(files, made, tmp_path):
    """Is beside the file itself, where calculators look for it."""
    (tmp_path / "links").mkdir()
    link = tmp_path / "links" / "linked.safetensors"
    link.symlink_to(files[0])
    path, _ = calibrate(link, files[1:], ["made.h5"])
    assert path == committee_path(files[0])
    point = evaluate([molecule("H2O")], model=link, properties=("energy", "uncertainty"))[0]
    assert point.uncertainty > 0


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
