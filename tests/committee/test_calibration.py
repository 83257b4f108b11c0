"""Committees are made from networks and labels, and lose no other file."""

import dataclasses
import json
import warnings
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from ase.build import molecule
from helpers import TIGHT, build
from learned import learned
from networks import network

from ase_mlseqm import MLSEQM, Engine, evaluate
from ase_mlseqm.cli.app import main
from ase_mlseqm.committee_file import committee_path, read_committee
from ase_mlseqm.errors import InputError
from ase_mlseqm.nn.weights import load_model, save_model
from ase_mlseqm.training.calibration import Calibration, calibrate, unseen
from ase_mlseqm.training.dataset import Dataset, Skipped
from ase_mlseqm.training.history import files_behind
from ase_mlseqm.training.split import split


def labelled(points, molecules):
    """Frames whose labels are these results."""
    energies = np.array([p.atomization_energy for p in points])
    return Dataset(
        numbers=[m.numbers for m in molecules],
        positions=[m.positions for m in molecules],
        energies=energies,
        atomization=energies,
        forces=[np.zeros_like(m.positions) for m in molecules],
        charge=np.array([m.charge for m in molecules]),
        multiplicity=np.ones(len(molecules), dtype=np.int64),
        unrestricted=np.zeros(len(molecules), dtype=bool),
        molecule=np.arange(len(molecules)),
        names=[str(k) for k in range(len(molecules))],
        smiles=["C" * (1 + k) for k in range(len(molecules))],
        level=["made"],
        source=np.zeros(len(molecules), dtype=np.int64),
        checksums={"made.h5": "abc"},
    )


@pytest.fixture
def made(files, monkeypatch):
    """30 frames with labels of another network, in the place of what is read from files."""
    molecules = [build("CH3OH", seed=k) for k in range(30)]
    data = labelled(Engine(network(5)).run(molecules), molecules)
    monkeypatch.setattr("ase_mlseqm.training.calibration.read", lambda *_, **__: data)
    return data


def test_scale_limit_and_correlation_by_hand():
    """Errors of both signs, twice as large as the networks disagree; 995 of 1000 frames keep."""
    spread = np.linspace(0.0, 1.0, 1001)
    error = 2.0 * spread * np.where(np.arange(1001) % 3, -1.0, 1.0)
    found = Calibration(spread, error, np.full(1001, 4))
    assert found.scale == pytest.approx(2.0)
    assert found.limit == pytest.approx(2.0 * 0.995 / 4)
    assert found.correlation == pytest.approx(1.0)


def test_so_many_frames_at_most(made, files):
    _, found = calibrate(files[0], files[1:], ["made.h5"], max_frames=25)
    assert len(found.spread) == len(found.error) == len(found.n_atoms) == 25


def test_frames_without_a_solution_of_every_network_are_left_out(made, files, monkeypatch):
    class Failing(Engine):
        """A member that has no solution for the second molecule."""

        def run(self, *args, **keywords):
            points = super().run(*args, **keywords)
            points[1] = dataclasses.replace(points[1], uncertainty=float("nan"))
            return points

    monkeypatch.setattr("ase_mlseqm.training.calibration.Engine", Failing)
    _, found = calibrate(files[0], files[1:], ["made.h5"])
    assert len(found.error) == len(found.n_atoms) == 29
    assert np.isfinite(found.spread).all()


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


def test_spread_that_says_nothing_of_errors_is_said(files, made):
    """Errors that grow with the spread are fine, those that fall with it are not."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        _, found = calibrate(files[0], files[1:], ["made.h5"])
    order = np.random.default_rng(0).permutation(len(made))
    energies, rank = np.empty(len(made)), np.empty(len(made))
    energies[order] = found.error + made.atomization[order]
    rank[order] = np.argsort(np.argsort(found.spread))
    made.atomization[:] = energies - 0.1 * (1 + rank)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert calibrate(files[0], files[1:], ["made.h5"])[1].correlation > 0.99
    made.atomization[:] = energies - 0.1 * (len(made) - rank)
    with pytest.warns(UserWarning, match=r"do not disagree more where .* \(rank correlation -1.00"):
        calibrate(files[0], files[1:], ["made.h5"])


def test_networks_that_are_the_same_or_agree_are_no_committee(files, monkeypatch):
    """Whatever their files are called and say: what they disagree about would be rounding."""
    save_model(files[1], network(0), {"another": "card"})
    with pytest.raises(InputError, match=r"b.safetensors is the same network as the model: leave"):
        calibrate(files[0], files[1:], ["made.h5"])
    with pytest.raises(InputError, match=r"c.safetensors is given twice as a member"):
        calibrate(files[0], [files[2], files[2]], ["made.h5"])
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
    with pytest.raises(InputError, match="of other files without those trained on, or train all"):
        unseen(data.select(range(20)), networks)
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


def test_paths_may_be_text(files, made):
    """The description came last, and did not know text: all was computed in vain."""
    model, *others = map(str, files)
    path, _ = calibrate(model, others, "made.h5")
    assert path == committee_path(files[0])
    assert len(read_committee(model).members) == 2
    calibrate(model, others[0], "made.h5")
    assert len(read_committee(model).members) == 1
