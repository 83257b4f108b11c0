"""The command ``mlseqm train``, from settings and data to a model that the calculator takes."""

import dataclasses
import json
import shutil

import h5py
import numpy as np
import pytest
import torch
from ase import Atoms
from labelled import LEVEL, UNITS, group, write_h5

from ase_mlseqm import MLSEQM
from ase_mlseqm.cli import app as cli
from ase_mlseqm.cli.train import _Screen, _settings
from ase_mlseqm.configfile import load
from ase_mlseqm.errors import InputError
from ase_mlseqm.nn.weights import load_model
from ase_mlseqm.training.checkpoint import read_log
from ase_mlseqm.training.config import TrainConfig
from ase_mlseqm.training.history import files_behind
from ase_mlseqm.training.parallel import World
from ase_mlseqm.training.readers import read
from ase_mlseqm.training.run import default_threads, own_device
from ase_mlseqm.training.run import train as run_training
from ase_mlseqm.training.split import split

SETTINGS = """
model:
  network: {n_features: 8, n_sensitivities: 4, n_atom_layers: 1}
  parameters: [U_ss, U_pp, alpha]
optimizer: {learning_rate: 5e-3, warm_up: 2}
batch_size: 4
epochs: 2
validation_fraction: 0.3
"""
SMILES = {"H2O": "O", "NH3": "N", "CH3OH": "CO", "H2CO": "C=O", "HCN": "C#N", "CO": "[C-]#[O+]"}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Working directory with data and settings."""
    monkeypatch.chdir(tmp_path)
    groups = {name: group(name, 3) for name in SMILES}
    path = write_h5(tmp_path / "data.h5", groups, level=LEVEL, units=UNITS)
    with h5py.File(path, "a") as file:
        for name, smiles in SMILES.items():
            file[name].attrs["smiles"] = smiles
    (tmp_path / "small.yaml").write_text(SETTINGS)
    return tmp_path


def train(*more):
    return cli.main(["train", *map(str, more)])


def validation_errors(data, rows, calc):
    """Of frames, by the calculator: energies in eV, forces in eV/Angstrom."""
    energies, forces = [], []
    for row in rows:
        atoms = Atoms(data.numbers[row], data.positions[row], calculator=calc)
        wrong = atoms.get_forces() - data.forces[row]
        energies.append(calc.singlepoint.atomization_energy - data.atomization[row])
        forces.extend(wrong.ravel())
    return {
        "energy_mae": np.abs(energies).mean(),
        "energy_rmse": np.sqrt(np.square(energies).mean()),
        "force_mae": np.abs(forces).mean(),
        "force_rmse": np.sqrt(np.square(forces).mean()),
    }


def test_from_files_to_a_calculator(folder, capsys):
    assert train("small.yaml", "--data", "data.h5", "--out", "run", "--name", "mine", "--json") == 0
    report = json.loads(capsys.readouterr().out)
    assert report["finished"] and report["progress"]["epoch"] == 2
    files = {path.name for path in (folder / "run").iterdir()}
    assert files == {
        *("model.safetensors", "checkpoint.pt", "config.json", "curves.png"),
        *("steps.csv", "epochs.csv"),
    }
    described = json.loads((folder / "run" / "config.json").read_text())
    assert described["config"]["model"]["parameters"] == ["U_ss", "U_pp", "alpha"]
    assert len(described["data"]["data.h5"]) == 64
    counts = described["counts"]
    assert counts["training"] + counts["validation"] == counts["frames"] == 18
    assert counts["single_atoms"] == 0
    assert [row["epoch"] for row in read_log(folder / "run" / "epochs.csv")] == ["0", "1"]
    found = load_model(folder / "run" / "model.safetensors")
    assert found.model.name == "mine"
    assert found.card["training"]["levels"] == [LEVEL]
    best = min(read_log(folder / "run" / "epochs.csv"), key=lambda row: float(row["loss"]))
    assert found.card["epoch"] == int(best["epoch"]) + 1
    assert found.card["validation"]["force_mae"] == pytest.approx(float(best["force_mae"]))
    # the file is the model whose errors were logged, which the published method has not
    data, config = read(["data.h5"]), TrainConfig()
    _, rows, _ = split(data, 0.3, config.split_seed)
    for options, same in (({"model": "run/model.safetensors"}, True), ({"method": "PM3"}, False)):
        errors = validation_errors(data, rows, MLSEQM(**options))
        for name, value in errors.items():
            assert (found.card["validation"][name] == pytest.approx(value, rel=1e-4)) == same, name
    assert (folder / "run" / "curves.png").stat().st_size > 10_000


def test_same_command_goes_on_and_another_is_refused(folder, capsys):
    line = ("small.yaml", "--data", "data.h5", "--out", "run")
    assert train(*line, "--max-hours", "1e-9") == 0
    assert len(read_log(folder / "run" / "steps.csv")) == 1
    assert train(*line) == 0
    rows = read_log(folder / "run" / "steps.csv")
    assert [int(row["step"]) for row in rows] == list(range(1, len(rows) + 1))
    assert train(*line) == 0  # nothing is left to do
    assert len(read_log(folder / "run" / "steps.csv")) == len(rows)
    capsys.readouterr()
    assert train(*line, "--seed", "3") == 2
    error = capsys.readouterr().err
    assert "run holds a training with other settings (seed: 0 before, 3 now)" in error


def test_what_is_reported_is_the_model_that_is_kept(folder, capsys):
    """Not the last one; also by the same command once more."""
    (folder / "still.yaml").write_text(
        SETTINGS.replace("learning_rate: 5e-3", "learning_rate: 0, final_learning_rate: 0")
    )
    line = ("still.yaml", "--data", "data.h5", "--out", "run")
    assert train(*line, "--json") == 0
    first, _ = read_log(folder / "run" / "epochs.csv")
    for _ in range(2):
        report = json.loads(capsys.readouterr().out)
        assert report["progress"]["best_epoch"] == report["validation"]["epoch"] == 0
        assert report["validation"]["force_mae"] == pytest.approx(float(first["force_mae"]))
        assert report["validation"]["frames"] == int(first["frames"])
        assert report["validation"]["dipole_mae"] is None
        assert train(*line, "--json") == 0
    capsys.readouterr()
    assert train(*line) == 0
    assert "finished: run/model.safetensors is that of epoch 1" in capsys.readouterr().err


def test_a_training_that_cannot_go_on_gives_the_threads_back(folder, capsys):
    line = ("small.yaml", "--data", "data.h5", "--out", "run")
    assert train(*line, "--max-hours", "1e-9") == 0
    (folder / "run" / "checkpoint.pt").write_bytes(b"cut off")
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        assert train(*line) == 2
        assert "cannot be read as a checkpoint" in capsys.readouterr().err
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_files_in_another_order_and_other_options_are_another_training(folder, capsys):
    """What settings list by file would be of another one, and frames have other numbers."""
    two = write_h5(folder / "two.h5", {"C2H6": group("C2H6", 2)}, level=LEVEL, units=UNITS)
    with h5py.File(two, "a") as file:
        file["C2H6"].attrs["smiles"] = "CC"
    line = ("small.yaml", "--out", "run", "--max-hours", "1e-9")
    one, other = ("--data", "data.h5"), ("--data", "two.h5")
    assert train(*line, *one, *other) == 0
    capsys.readouterr()
    assert train(*line, *other, *one) == 2
    assert "or the same in another order" in capsys.readouterr().err
    assert train(*line, *one, *other, "--isolated", "H=-0.6") == 2
    assert "other options of the data (isolated" in capsys.readouterr().err
    # a folder that an earlier version has made does not say
    described = folder / "run" / "config.json"
    known = json.loads(described.read_text())
    del known["files"], known["options"]
    described.write_text(json.dumps(known))
    assert train(*line, *one, *other) == 0


def test_threads_and_files_behind_a_model(folder):
    before = torch.get_num_threads()
    assert train("small.yaml", "--data", "data.h5", "--out", "run") == 0
    assert torch.get_num_threads() == before
    tune = "epochs: 1\nvalidation_fraction: 0.3\n"
    (folder / "tune.yaml").write_text(tune)
    start = folder / "run" / "model.safetensors"
    shutil.copy(folder / "data.h5", folder / "more.h5")
    with h5py.File(folder / "more.h5", "a") as file:
        file.attrs["note"] = "other bytes"
    line = ("tune.yaml", "--from", start, "--data", "more.h5", "--out", "tuned")
    assert train(*line) == 0
    cards = [load_model(folder / run / "model.safetensors").card for run in ("run", "tuned")]
    assert set(files_behind(cards[0])) == {"data.h5"}
    assert set(files_behind(cards[1])) == {"data.h5", "more.h5"}


def test_processes_on_a_machine_share_cores_and_devices(monkeypatch):
    alone = default_threads()
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    assert default_threads() == max(1, alone // 2)
    monkeypatch.setenv("LOCAL_RANK", "3")
    assert own_device("cpu") == torch.device("cpu")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert own_device("cuda") == torch.device("cuda", 1)
    assert own_device("cuda:0") == torch.device("cuda", 0)


def test_a_second_process_does_not_look_for_the_file_of_the_first(folder, monkeypatch):
    """Which may still be writing it; here there is no first one."""

    class Second(World):
        chief = False

    monkeypatch.setattr("ase_mlseqm.training.run.find_world", Second)
    (folder / "run").mkdir()
    assert train("small.yaml", "--data", "data.h5", "--out", "run", "--epochs", "1") == 0
    assert not list((folder / "run").iterdir())


def test_frames_of_a_file_taken_more_often(folder, monkeypatch, capsys):
    once = (folder / "small.yaml").read_text()
    steps, screens = [], []

    class Screen(_Screen):
        def __exit__(self, *_):
            screens.append(self.bar.tasks[0])
            super().__exit__()

    monkeypatch.setattr("ase_mlseqm.cli.train._Screen", Screen)
    for times in (1, 3, 1.4, 0.4):
        (folder / "often.yaml").write_text(f"{once}repeats: [{times}]\n")
        assert train("often.yaml", "--data", "data.h5", "--out", f"run{times}") == 0
        steps.append(len(read_log(folder / f"run{times}" / "steps.csv")))
    # whole batches of 4, 2 epochs
    assert steps == [2 * (15 // 4), 2 * (45 // 4), 2 * (21 // 4), 2 * (6 // 4)]
    assert [(bar.completed, bar.total) for bar in screens] == [(n, n) for n in steps]
    told = capsys.readouterr().err
    assert "15 frames for training, 3 for validation, 21 taken in an epoch" in told


@pytest.mark.parametrize("frozen", [True, False])
def test_fine_tuning_keeps_the_table_if_it_says_so(folder, frozen):
    assert train("small.yaml", "--data", "data.h5", "--out", "run") == 0
    start = folder / "run" / "model.safetensors"
    tune = "epochs: 2\nvalidation_fraction: 0.3\noptimizer: {learning_rate: 1e-4}\n"
    if not frozen:
        tune += "freeze_table: false\n"
    (folder / "tune.yaml").write_text(tune)
    line = ("tune.yaml", "--from", start, "--data", "data.h5", "--out", "tuned")
    assert train(*line) == 0
    old, new = load_model(start), load_model(folder / "tuned" / "model.safetensors")
    assert new.card["start"] == old.sha256
    states = [file.model.network.state_dict() for file in (old, new)]
    assert bool((states[0]["table"] == states[1]["table"]).all()) == frozen
    moved = max(float((states[0][k] - states[1][k]).abs().max()) for k in states[0])
    assert 0.0 < moved < 0.05  # a low rate


def test_files_of_a_training_that_cannot_be_read(folder, capsys):
    """One sentence; nothing is written over."""
    line = ("small.yaml", "--data", "data.h5", "--out", "run")
    assert train(*line) == 0
    run = folder / "run"
    state = torch.load(run / "checkpoint.pt", weights_only=True)
    thin = state | {"average": [weight[:1] for weight in state["average"]]}  # would be broadcast
    for name, content, sentence in (
        ("checkpoint.pt", {"theirs": 1}, "cannot be read as a checkpoint ('weights' is unknown)"),
        ("checkpoint.pt", thin, "(its average are those of another network)"),
        ("steps.csv", b"\xff\xfe\x00\n", "steps.csv cannot be read as the log of a training"),
        ("steps.csv", b"a,b\n1,2\n", "steps.csv cannot be read as the log of a training"),
        ("epochs.csv", b"step,loss\n1,2\n", "epochs.csv cannot be read as the log of a training"),
        ("config.json", b"[1]", "config.json is not that of a training"),
        ("config.json", b'{"config": [1], "data": 2}', "config.json is not that of a training"),
    ):
        whole = (run / name).read_bytes()
        if isinstance(content, dict):
            torch.save(content, run / name)
        else:
            (run / name).write_bytes(content)
        before = {path.name: path.read_bytes() for path in run.glob("*.*") if path.suffix != ".png"}
        capsys.readouterr()
        assert train(*line) == 2, name
        told = capsys.readouterr().err
        assert sentence in told.splitlines()[-1] and "Traceback" not in told
        if name != "checkpoint.pt":  # which is read last
            assert {k: (run / k).read_bytes() for k in before} == before
        (run / name).write_bytes(whole)
    assert train(*line) == 0


def test_a_model_is_not_trained_anew_because_its_checkpoint_is_gone(folder, capsys):
    line = ("small.yaml", "--data", "data.h5", "--out", "run")
    assert train(*line) == 0
    model = folder / "run" / "model.safetensors"
    whole = model.read_bytes()
    (folder / "run" / "checkpoint.pt").unlink()
    capsys.readouterr()
    assert train(*line) == 2
    assert "would be overwritten, since checkpoint.pt" in capsys.readouterr().err
    assert model.read_bytes() == whole
    model.unlink()
    assert train(*line) == 0 and model.exists()


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ((), "there is nothing to train on"),
        (("--data", "none.h5"), "none.h5"),
        (("--preset", "big", "--data", "data.h5"), "unknown preset 'big'"),
        (("bad.yaml", "--data", "data.h5"), "bad.yaml: unknown keyword 'epoch'"),
        (("often.yaml", "--data", "data.h5"), "repeats [1, 2] does not fit 1 data files"),
        (("--data", "data.h5", "--isolated", "H"), "--isolated H"),
        (("--data", "data.h5", "--from", "nothing"), "unknown model 'nothing'"),
        (("--data", "data.h5", "--gradients"), "gradients"),
        (("grown.yaml", "--data", "data.h5"), "tensor_order raises that of a model to start from"),
        (("small.yaml", "--data", "data.h5", "--from", "hipnn-pm3"), "leave out model:"),
        (("idle.yaml", "--data", "data.h5"), "patience is 0: give 1 or more"),
        (("none.yaml", "--data", "data.h5"), "repeats [0] leave no frame for training"),
    ],
)
def test_bad_input(folder, capsys, line, sentence):
    (folder / "bad.yaml").write_text("epoch: 3\n")
    (folder / "often.yaml").write_text("repeats: [1, 2]\nvalidation_fraction: 0.3\n")
    (folder / "grown.yaml").write_text("tensor_order: 1\n")
    (folder / "idle.yaml").write_text("patience: 0\n")
    (folder / "none.yaml").write_text("repeats: [0]\nvalidation_fraction: 0.3\n")
    assert train(*line, "--out", "run") == 2
    error = capsys.readouterr().err
    assert sentence in error and error.count("\n") == 1
    assert not (folder / "run" / "model.safetensors").exists()


def test_a_training_in_which_nothing_converges_has_no_model(folder, capsys):
    (folder / "few.yaml").write_text(SETTINGS + "gradient: {max_iterations: 2}\n")
    assert train("few.yaml", "--data", "data.h5", "--out", "run") == 2
    assert "no model came out of the training" in capsys.readouterr().err
    assert not (folder / "run" / "model.safetensors").exists()


@pytest.mark.parametrize(
    "line",
    [
        "gradient: {displacement: 0}",
        "loss: {force_weight: -1}",
        "loss: {rmse_share: 3}",
        "optimizer: {average: 2}",
        "optimizer: {clip: 0}",
        "optimizer: {learning_rate: .nan}",
        "optimizer: {learning_rate: .inf}",
        "loss: {force_weight: .inf}",
        "repeats: [.nan]",
    ],
)
def test_settings_that_lead_nowhere(folder, line, capsys):
    (folder / "odd.yaml").write_text(line + "\n")
    assert train("odd.yaml", "--data", "data.h5", "--out", "run") == 2
    name = line.rpartition(":")[0].rpartition("{")[-1]
    told = capsys.readouterr().err
    assert f"{name} is " in told.replace("holds", "is") and "give" in told


def test_parameters_that_no_element_has(folder, capsys):
    """MNDO has no Gaussians: such a training ended well and had learned nothing."""
    text = SETTINGS.replace("[U_ss, U_pp, alpha]", "[K, L, M]\n  method: {method}")
    (folder / "none.yaml").write_text(text.replace("{method}", "MNDO"))
    (folder / "some.yaml").write_text(text.replace("{method}", "AM1"))
    assert train("none.yaml", "--data", "data.h5", "--out", "run") == 2
    assert "parameters K, L, M in MNDO, so that there is nothing to" in capsys.readouterr().err
    assert not (folder / "run").exists()
    assert train("some.yaml", "--data", "data.h5", "--out", "run", "--epochs", 1) == 0


def test_what_is_odd_about_a_training_is_said(folder, capsys):
    """Dipoles that are not there, a folder of something else, and another split than before."""
    assert train("small.yaml", "--data", "data.h5", "--out", "run") == 0
    model = folder / "run" / "model.safetensors"
    text = "loss: {dipole_weight: 0.5}\nepochs: 1\nvalidation_fraction: 0.4\n"
    (folder / "more.yaml").write_text(text)
    capsys.readouterr()
    assert train("more.yaml", "--from", model, "--data", "data.h5", "--out", "more") == 0
    told = capsys.readouterr().err
    assert "dipole_weight changes nothing" in told
    assert "not new to it" in told
    assert load_model(folder / "more" / "model.safetensors").card["splits"] == [
        [0.3, 0, "fragment"],
        [0.4, 0, "fragment"],
    ]
    (folder / "other").mkdir()
    for content in ("{", '{"architectures": []}', "[]"):
        (folder / "other" / "config.json").write_text(content)
        assert train("small.yaml", "--data", "data.h5", "--out", "other") == 2
        assert "is not that of a training" in capsys.readouterr().err


def test_elements_that_no_frame_has_are_said(folder, capsys):
    """A new model says that it knows them; one to start from may have learned them elsewhere."""
    elements = "model:\n  elements: [1, 6, 7, 8, 16, 17]"
    (folder / "more.yaml").write_text(SETTINGS.replace("model:", elements))
    assert train("more.yaml", "--data", "data.h5", "--out", "more", "--epochs", 1) == 0
    assert "warning: no frame for training has S, Cl: " in capsys.readouterr().err
    tuned = ("--from", "more/model.safetensors", "--data", "data.h5", "--epochs", 1)
    assert train("small.yaml", "--data", "data.h5", "--out", "all", "--epochs", 1) == 0
    (folder / "rest.yaml").write_text("optimizer" + SETTINGS.partition("optimizer")[2])
    assert train("rest.yaml", *tuned, "--out", "tuned") == 0
    assert "no frame for training" not in capsys.readouterr().err


def test_models_of_others_are_not_overwritten(folder, capsys):
    """Neither the one to start from nor another that happens to be in the folder."""
    assert train("small.yaml", "--data", "data.h5", "--out", "run", "--epochs", "1") == 0
    (folder / "tune.yaml").write_text("epochs: 1\nvalidation_fraction: 0.3\n")
    for out in ("alone", "linked"):
        (folder / out).mkdir()
    kept = shutil.copy("run/model.safetensors", "alone")
    (folder / "linked" / "model.safetensors").symlink_to("../run/model.safetensors")
    before = (folder / kept).read_bytes()
    capsys.readouterr()
    for start, out in ((kept, "alone"), ("run/model.safetensors", "run"), (kept, "linked")):
        assert train("tune.yaml", "--from", start, "--data", "data.h5", "--out", out) == 2
        told = capsys.readouterr().err
        assert "would be overwritten" in told and "give another --out" in told
    assert train("small.yaml", "--data", "data.h5", "--out", "alone") == 2
    assert "there is no config.json beside it" in capsys.readouterr().err
    assert (folder / kept).read_bytes() == before
    assert [path.name for path in (folder / "alone").iterdir()] == ["model.safetensors"]


def test_a_settings_file_may_change_a_preset(folder):
    (folder / "few.yaml").write_text("split_seed: 4\noptimizer: {clip: 3.0}\n")
    settings = _settings(folder / "few.yaml", "fine-tune", "hipnn-pm3")
    plain = _settings(None, "fine-tune", "hipnn-pm3")
    optimizer = dataclasses.replace(plain.optimizer, clip=3.0)
    assert settings == dataclasses.replace(plain, split_seed=4, optimizer=optimizer)
    assert _settings(folder / "few.yaml", None, "hipnn-pm3").epochs == TrainConfig().epochs


def test_one_molecule_alone(folder, capsys):
    """Frames of one molecule can be learned if it is said that nothing else matters."""
    write_h5(folder / "one.h5", {"CH3OH": group("CH3OH", 12)}, level=LEVEL, units=UNITS)
    line = ("small.yaml", "--data", "one.h5", "--epochs", "1", "--out", "run")
    assert train(*line) == 2
    assert "--split-by frame" in capsys.readouterr().err
    assert train(*line, "--split-by", "conformer") == 2
    assert "fragment, frame" in capsys.readouterr().err
    assert train(*line, "--split-by", "frame") == 0
    card = load_model(folder / "run" / "model.safetensors").card
    assert card["splits"] == [[0.3, 0, "frame"]]
    (folder / "most.yaml").write_text(SETTINGS.replace("0.3", "0.99"))
    assert train("most.yaml", *line[1:-1], "other", "--split-by", "frame") == 2
    assert "for validation: give more frames, or in" in capsys.readouterr().err
    assert 1 <= card["training"]["validation"] <= 8
    # a folder of before the option goes on
    described = folder / "run" / "config.json"
    known = json.loads(described.read_text())
    assert known["config"].pop("split_by") == "frame"
    described.write_text(json.dumps(known))
    capsys.readouterr()
    assert train(*line, "--split-by", "frame") == 2
    assert "split_by: fragment before, frame now" in capsys.readouterr().err


def test_the_name_of_a_training_stays(folder, capsys):
    """Also where its folder is moved; without one it is that of the folder."""
    line = ("small.yaml", "--data", "data.h5", "--out")
    assert train(*line, "run", "--name", "mine", "--max-hours", "1e-9") == 0
    (folder / "run").rename(folder / "moved")
    capsys.readouterr()
    assert train(*line, "moved", "--name", "other") == 2
    assert "with other name (mine before, other now)" in capsys.readouterr().err
    assert train(*line, "moved") == 0
    assert load_model(folder / "moved" / "model.safetensors").model.name == "mine"
    assert train(*line, "moved", "--name", "other") == 2  # finished
    assert train(*line, "moved", "--name", "mine") == 0


def test_levels_that_are_mixed_are_said(folder, capsys):
    other = write_h5(folder / "two.h5", {"C2H6": group("C2H6", 2)}, level="B3LYP", units=UNITS)
    energies = [f"--isolated={z}={e}" for z, e in (("H", -0.5), ("C", -37.8), ("N", -54.5))]
    line = ("small.yaml", "--data", "data.h5", "--data", other, "--out", "run")
    assert train(*line, *energies, "--isolated=O=-75.0", "--max-hours", "1e-9") == 0
    assert f"learned as one: B3LYP; {LEVEL}" in capsys.readouterr().err


def test_from_python_paths_and_devices_may_be_text(folder):
    config = load("small.yaml", TrainConfig)
    found = run_training(config, "data.h5", "run", device="cpu", threads=1)
    assert found.model == folder.relative_to(folder) / "run" / "model.safetensors"
    assert run_training(config, [folder / "data.h5"], folder / "run", max_hours=1).finished
    for given, words in (
        ({"threads": 0}, "threads is 0: give 1 or more"),
        ({"max_hours": "1"}, "max_hours is '1': give a number"),
        ({"device": "gpu"}, "unknown device 'gpu'"),
    ):
        with pytest.raises(InputError, match=words):
            run_training(config, "data.h5", "run", **given)
    with pytest.raises(InputError, match=r"settings of a training are dict: give TrainConfig"):
        run_training({"epochs": 2}, "data.h5", "run")
