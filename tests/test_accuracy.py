"""The script that evaluates models, on made-up labels (benchmarks/accuracy.py)."""

from __future__ import annotations

import csv
import dataclasses
import itertools
import json
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
from ase import Atoms
from ase.build import molecule as g2
from learned import learned

from ase_mlseqm import evaluate, evaluation_log
from ase_mlseqm.batch import Molecule
from ase_mlseqm.nn.weights import save_model
from ase_mlseqm.training.isolated import KNOWN
from ase_mlseqm.training.readers import read
from ase_mlseqm.units import E_ANGSTROM_TO_DEBYE, EV_TO_KCAL, HARTREE
from ase_mlseqm.workflows.transferability.gfn2 import GFN2 as Peer

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))

import accuracy
import accuracy_sets
import model_card
from accuracy_methods import AM1, GFN2, LEARNED, PM3, Properties, fit_shifts, predict
from accuracy_metrics import (
    METRICS,
    Interval,
    Sample,
    Summary,
    frame_errors,
    interval,
    summarise,
)
from accuracy_results import Evaluation
from accuracy_tables import target_rows

sys.path.pop(0)  # names there, such as training, also are names of folders here


def made_up(sizes: list[int], seed: int = 0) -> Properties:
    """Random numbers for frames of so many atoms."""
    rng = np.random.default_rng(seed)
    return Properties(
        rng.normal(size=len(sizes)),
        [rng.normal(size=(n, 3)) for n in sizes],
        rng.normal(size=(len(sizes), 3)),
        [rng.normal(size=n) for n in sizes],
        rng.normal(size=len(sizes)),
        np.ones(len(sizes), dtype=bool),
    )


SIZES = [3, 3, 3, 5, 5, 2]
MOLECULE = np.array([7, 7, 7, 2, 2, 9])


@pytest.fixture
def pair() -> tuple[Properties, Properties]:
    """Predictions and labels."""
    return made_up(SIZES, 1), made_up(SIZES, 2)


def test_metrics_against_sums_written_out(pair):
    predicted, reference = pair
    shifts = np.linspace(-1, 1, len(SIZES))
    errors = frame_errors(predicted, reference, shifts)
    found = summarise({LEARNED: errors}, MOLECULE, samples=10).metrics[LEARNED]

    def both(field: str) -> tuple[np.ndarray, np.ndarray]:
        a, b = (getattr(p, field) for p in pair)
        return np.concatenate([np.ravel(v) for v in a]), np.concatenate([np.ravel(v) for v in b])

    a, b = both("forces")
    assert found["force_mae"].value == pytest.approx(np.abs(a - b).mean() * EV_TO_KCAL)
    assert found["force_rmse"].value == pytest.approx(((a - b) ** 2).mean() ** 0.5 * EV_TO_KCAL)
    a, b = both("charges")
    assert found["charge_mae"].value == pytest.approx(np.abs(a - b).mean())
    lengths = [np.linalg.norm(x - y) for x, y in zip(*[p.dipoles for p in pair], strict=True)]
    assert found["dipole_mae"].value == pytest.approx(np.mean(lengths) * E_ANGSTROM_TO_DEBYE)
    a, b = both("atomization")
    assert found["atomization_mae"].value == pytest.approx(np.abs(a - b).mean() * EV_TO_KCAL)
    shifted = np.abs(a + shifts - b).mean() * EV_TO_KCAL
    assert found["atomization_shifted_mae"].value == pytest.approx(shifted)
    a, b = both("gaps")
    assert found["gap_mae"].value == pytest.approx(np.abs(a - b).mean())
    assert found["gap_correlation"].value == pytest.approx(np.corrcoef(a, b)[0, 1])


def test_energy_differences_weigh_molecules_equally(pair):
    predicted, reference = pair
    errors = frame_errors(predicted, reference, np.zeros(len(SIZES)))
    found = summarise({LEARNED: errors}, MOLECULE, samples=10)
    means = []
    for frames in ([0, 1, 2], [3, 4]):
        means.append(
            np.mean(
                [
                    abs(
                        (predicted.atomization[i] - predicted.atomization[j])
                        - (reference.atomization[i] - reference.atomization[j])
                    )
                    for i, j in itertools.combinations(frames, 2)
                ]
            )
        )
    value = found.metrics[LEARNED]["energy_difference_mae"].value
    assert value == pytest.approx(np.mean(means) * EV_TO_KCAL)
    assert (found.frames, found.molecules, found.pairs) == (6, 3, 4)


def test_missing_labels_are_left_out_and_not_zero(pair):
    predicted, reference = pair
    charges = [np.full(n, np.nan) for n in SIZES]
    gaps = np.array([1.0, np.nan, np.nan, np.nan, np.nan, np.nan])
    reference = dataclasses.replace(
        reference, charges=charges, gaps=gaps, dipoles=np.full((6, 3), np.nan)
    )
    errors = frame_errors(predicted, reference, np.zeros(len(SIZES)))
    found = summarise({LEARNED: errors, PM3: errors}, MOLECULE, samples=50)
    metrics = found.metrics[LEARNED]
    assert np.isnan(metrics["charge_mae"]).all() and np.isnan(metrics["gap_correlation"]).all()
    assert metrics["gap_mae"].value == pytest.approx(abs(predicted.gaps[0] - 1.0))
    assert np.isnan(found.ratios["dipole_mae"][PM3]).all()
    assert found.ratios["force_mae"][PM3] == pytest.approx((1.0, 1.0, 1.0))


def test_samples_are_metrics_of_resampled_molecules(pair):
    """The weighted sums against the metrics of frames that are really repeated."""
    errors = frame_errors(*pair, np.zeros(len(SIZES)))
    sample = Sample(MOLECULE, samples=20, seed=3)
    metrics = sample.metrics(errors)
    molecules = np.unique(MOLECULE)
    for k in range(1, 21):
        chosen = np.repeat(molecules, sample.weights[k].astype(int))
        frames = np.concatenate([np.flatnonzero(m == MOLECULE) for m in chosen])
        copy = np.repeat(np.arange(len(chosen)), [(m == MOLECULE).sum() for m in chosen])
        again = Sample(copy, samples=1).metrics(errors.select(frames))
        for name, values in metrics.items():
            np.testing.assert_allclose(values[k], again[name][0], rtol=1e-9, err_msg=name)


def test_interval_covers_the_mean_as_often_as_it_says():
    rng = np.random.default_rng(0)
    n_molecules, n_trials, inside = 40, 200, 0
    molecule = np.repeat(np.arange(n_molecules), 3)
    for trial in range(n_trials):
        # frames of one molecule are alike: an interval over frames would be too narrow
        values = np.repeat(rng.normal(5.0, 1.0, n_molecules), 3) + 0.1 * rng.normal(size=120)
        found = interval(Sample(molecule, 300, seed=trial).mean(values))
        assert found.low < found.value < found.high
        inside += found.low < 5.0 < found.high
    assert 0.88 < inside / n_trials < 0.99


def test_constants_per_element_are_found_again():
    rng = np.random.default_rng(0)
    counts = rng.integers(0, 6, (50, 4))
    constants = np.array([0.1, -2.0, 3.0, 0.5])
    predicted = rng.normal(size=50)
    reference = predicted + counts @ constants
    reference[7] = np.nan
    found, n_frames = fit_shifts(predicted, reference, counts)
    np.testing.assert_allclose(found, constants, atol=1e-10)
    assert n_frames == 49


def test_gfn2_beside_the_calculator_of_tblite():
    tblite = pytest.importorskip("tblite.ase")
    atoms = g2("CH3OH")
    atoms.rattle(0.05, seed=1)
    found = predict(GFN2, [Molecule(atoms.numbers, atoms.positions, 0, 1)], "")
    atoms.calc = tblite.TBLite(method=GFN2, accuracy=0.01, verbosity=0)
    forces, dipole = atoms.get_forces(), atoms.get_dipole_moment()
    isolated = 0.0
    for symbol, unpaired in (("C", 2), ("O", 2), *[("H", 1)] * 4):
        atom = Atoms(symbol)
        atom.calc = tblite.TBLite(method=GFN2, multiplicity=unpaired + 1, verbosity=0)
        isolated += atom.get_potential_energy()
    assert found.atomization[0] == pytest.approx(atoms.get_potential_energy() - isolated, abs=1e-4)
    np.testing.assert_allclose(found.forces[0], forces, atol=1e-4)
    np.testing.assert_allclose(found.dipoles[0], dipole, atol=1e-4)


def test_gfn2_of_ions_beside_the_workflow():
    pytest.importorskip("tblite")
    atoms = g2("CH4")
    atoms.numbers[0] = 7
    atoms.info["charge"] = 1
    found = predict(GFN2, [Molecule(atoms.numbers, atoms.positions, 1, 1)], "")
    (point,) = Peer().points([atoms])
    assert found.converged[0] and found.atomization[0] == point.atomization


FRAMES = 4


def write_set(path: Path, names: dict[str, str]) -> None:
    """Shaken frames with PM3's forces; energies, dipoles, charges and gaps are made up."""
    rng = np.random.default_rng(0)
    with h5py.File(path, "w") as file:
        file.attrs.update(
            level="wB97X/6-31G*", units="Hartree, Angstrom, Hartree/Angstrom, e*Angstrom, e"
        )
        for name, smiles in names.items():
            atoms = g2(name)
            frames = atoms.positions + 0.08 * rng.normal(size=(FRAMES, len(atoms), 3))
            results = evaluate([Molecule(atoms.numbers, p, 0, 1) for p in frames], PM3)
            isolated = sum(KNOWN["wB97X/6-31G*"][s] for s in atoms.symbols)
            charges = rng.normal(size=(FRAMES, len(atoms)))
            group = file.create_group(name)
            group.attrs["smiles"] = smiles
            group["species"] = atoms.numbers
            group["coordinates"] = frames
            group["energies"] = isolated - 0.15 * len(atoms) + 0.01 * rng.normal(size=FRAMES)
            group["forces"] = np.array([r.forces for r in results]) / HARTREE
            group["charges"] = charges - charges.mean(axis=1, keepdims=True)
            group["dipoles"] = rng.normal(size=(FRAMES, 3))
            group["homo"], group["lumo"] = np.full(FRAMES, -0.3), rng.normal(size=FRAMES)


@pytest.fixture
def data(tmp_path) -> Path:
    """Training frames and a final test."""
    folder = tmp_path / "data"
    folder.mkdir()
    molecules = {"H2O": "O", "CH3CH2OH": "CCO", "C6H6": "c1ccccc1", "NH3": "N", "CH4": "C"}
    write_set(folder / "dft_train.h5", molecules | {"CO2": "O=C=O", "CH3OH": "CO"})
    write_set(folder / "dft_test.h5", {"H2O": "O", "HCN": "C#N"})
    return folder


@pytest.fixture
def model(tmp_path) -> Path:
    """A model with small random corrections."""
    path = tmp_path / "small.safetensors"
    training = {"levels": ["wB97X/6-31G*"], "files": {"a.h5": "1" * 64}}
    card = {
        "training": training | {"training": 90, "validation": 10},
        "epoch": 3,
        "step": 40,
        "start": "0" * 64,
        "versions": {"torch": "2"},
    }
    save_model(path, learned(std=0.02), card)
    return path


def test_script_end_to_end(tmp_path, data, model, capsys):
    out, log = tmp_path / "out", tmp_path / "log.csv"
    arguments = ["--model", str(model), "--data", str(data), "--out", str(out)]
    arguments += ["--log", str(log), "--samples", "50", "--fraction", "0.3"]
    accuracy.main([*arguments, "--sets", "test,validation"])
    (row,) = csv.DictReader(log.open())
    assert (row["set"], row["frames"], row["molecules"]) == ("test", "8", "2")
    run = Evaluation.read(out / "accuracy.json")
    assert row["sha256"] == run.sha256
    test = run.sets["test"].groups["all"]
    assert row["learned force_mae"] == f"{test.metrics[LEARNED]['force_mae'].value:.6g}"
    assert test.metrics[PM3]["force_mae"].value == pytest.approx(0.0, abs=1e-3)
    assert not set(run.sets["validation"].groups["all"].metrics[PM3]) - set(METRICS)
    assert len(run.sets["test"].worst()) == 5 and not run.sets["test"].unconverged
    assert sum(g.frames for n, g in run.sets["test"].groups.items() if "heavy" in n) == 8
    assert {p.name for p in out.iterdir()} == {
        "accuracy.json",
        "accuracy.md",
        "forces_test.png",
        "forces_validation.png",
        "sizes.png",
    }
    assert str(tmp_path) not in (out / "accuracy.md").read_text() + log.read_text()

    page = tmp_path / "card.md"
    model_card.main([str(out / "accuracy.json"), "--log", str(log), "--out", str(page)])
    assert "Training: 90 frames, and 10 for validation, of `a.h5`" in page.read_text()
    assert "0000" in page.read_text() and str(tmp_path) not in page.read_text()
    # the page of what a model was started from tells of its trainings, another page does not
    start, known = model_card.told(page, run.sha256)
    assert start.startswith("It was started from the model with sha256 `0000")
    assert known.startswith("Training: 90 frames") and "\n" not in known
    assert model_card.told(page, "0" * 64) == model_card.told(page, None) == []
    assert model_card.told(tmp_path / "none.md", run.sha256) == []
    model_card.main([str(out / "accuracy.json"), "--log", str(log), "--out", str(page)])
    assert model_card.told(page, run.sha256) == [start, known]  # written anew it tells no less
    assert "model_card_curves" not in page.read_text()
    text = json.loads((out / "accuracy.json").read_text())
    text["card"]["start"], text["sha256"] = run.sha256, "1" * 64
    (tmp_path / "later.json").write_text(json.dumps(text))
    model_card.main([str(tmp_path / "later.json"), "--log", str(log), "--out", str(page)])
    stages = model_card.told(page, "1" * 64)
    assert stages[:2] == [start, known] and stages[2].startswith("Fine-tuning: 90 frames")
    assert model_card.told(page, run.sha256) == []
    # a mean of it and of a training that began with it
    parts = [text["card"] | {"sha256": "2" * 64}, {"sha256": run.sha256}]
    text["card"]["averaged"] = [part | {"share": 0.5} for part in parts]
    text["card"]["start"], text["sha256"] = "1" * 64, "3" * 64
    text["card"]["averaged"][0]["start"] = "1" * 64
    (tmp_path / "mean.json").write_text(json.dumps(text))
    for _ in range(2):
        model_card.main([str(tmp_path / "mean.json"), "--log", str(log), "--out", str(page)])
        assert model_card.told(page, "3" * 64)[:3] == stages
    training, mean = model_card.told(page, "3" * 64)[3:]
    assert training.startswith(f"Fine-tuning ({'2' * 12}): 90 frames")
    assert f"0.5 of {'2' * 12}, 0.5 of {run.sha256[:12]}; {'1' * 12}" in mean
    capsys.readouterr()

    accuracy.main([*arguments, "--sets", "test"])  # a second evaluation is a second row
    assert len(list(csv.DictReader(log.open()))) == 2
    table = model_card.log_table(log).splitlines()[2:]  # but one line of the model
    forces = f"{float(row['learned force_mae']):.2f}"
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in table]
    assert cells == [[row["date"][:10], f"`learned` `{run.sha256[:12]}`", "2", forces, "–", "–"]]


def test_final_test_is_not_read_when_the_log_cannot_be_written(tmp_path, data, model, monkeypatch):
    monkeypatch.setattr(accuracy, "load", lambda *_: pytest.fail("a final test was read"))
    arguments = ["--model", str(model), "--data", str(data), "--out", str(tmp_path / "out")]
    with pytest.raises(SystemExit, match=r"log\.csv: cannot be written"):
        accuracy.main([*arguments, "--sets", "test", "--log", str(tmp_path / "no" / "log.csv")])


def test_unconverged_frames_are_listed_and_in_no_metric(data):
    frames = accuracy_sets.labelled(read(data / "dft_test.h5"), "test")
    good = predict(PM3, frames.molecules, "")
    failed = dataclasses.replace(
        good,
        forces=[np.full_like(good.forces[0], np.nan), *good.forces[1:]],
        atomization=np.array([np.nan, *good.atomization[1:]]),
        converged=np.array([False] + [True] * 7),
    )
    shifts = {LEARNED: np.zeros(4), PM3: np.zeros(4)}
    found = accuracy.evaluate_set(frames, {LEARNED: good, PM3: failed}, shifts, 20, 0)
    assert found.groups["all"].frames == 7
    assert [f.name for f in found.unconverged] == ["H2O[0]"] == [frames.names[0]]
    assert found.unconverged[0].unconverged == [PM3]
    for method in shifts:
        assert np.isfinite(found.groups["all"].metrics[method]["force_mae"]).all()
    assert "H2O[0]" not in {f.name for f in found.worst(100)}


def test_evaluation_without_a_converged_frame_is_logged(tmp_path, data, model, monkeypatch):
    def failing(method, molecules, name):
        found = predict(method, molecules, name)
        # the training frames, on which the constants are fitted, are more
        return dataclasses.replace(found, converged=np.full(len(found), len(found) > 8))

    monkeypatch.setattr(accuracy, "predict", failing)
    log = tmp_path / "log.csv"
    arguments = ["--model", str(model), "--data", str(data), "--out", str(tmp_path / "out")]
    with pytest.raises(SystemExit, match="no frame converged"):
        accuracy.main([*arguments, "--sets", "test", "--log", str(log)])
    (row,) = csv.DictReader(log.open())
    assert (row["frames"], row["unconverged"], row["learned force_mae"]) == ("8", "8", "")


def test_same_smiles_in_two_groups_is_one_molecule(tmp_path):
    path = tmp_path / "set.h5"
    write_set(path, {"H2O": "O", "HCN": "C#N"})
    with h5py.File(path, "a") as file:
        file.copy("H2O", "again")
        file["again/energies"][...] -= 0.01
    frames = accuracy_sets.labelled(read(path), "set")
    assert len(frames) == 12 and len(np.unique(frames.molecule)) == 2
    assert len({frames.molecule[k] for k, s in enumerate(frames.smiles) if s == "O"}) == 1


def test_ions_are_refused_where_dipoles_depend_on_the_origin(tmp_path):
    path = tmp_path / "set.h5"
    write_set(path, {"H2O": "O"})
    with h5py.File(path, "a") as file:
        file["H2O/charges"][...] += 1 / 3
    with pytest.raises(SystemExit, match="ion"):
        accuracy_sets.labelled(read(path), "set")


def test_targets(data):
    intervals = {name: Interval(1.0, 0.9, 1.1) for name in METRICS}
    summary = Summary(
        8,
        2,
        6,
        {LEARNED: intervals | {"atomization_mae": Interval(3.1, 2.0, 4.0)}},
        {"force_mae": {GFN2: Interval(0.57, 0.5, 0.6)}, "dipole_mae": {PM3: intervals["gap_mae"]}},
    )
    found = accuracy.SetResult("", "", "", {"all": summary}, [])
    run = Evaluation("m", "", {}, {}, "", "", [LEARNED], 0.1, 0, 10, {}, 0, {"test": found})
    reached = {row[1].split(",")[0]: row[-1] for row in target_rows(run, ["test", "large"])}
    assert reached == {
        "force MAE / GFN2-xTB's": "yes",
        "force MAE / PM3's": "–",  # not among the ratios
        "energy differences": "yes",
        "atomization energies": "no",
        "dipole error / PM3's": "yes",
    }


def test_ions_and_radicals():
    frames = accuracy_sets.ions_radicals(accuracy_sets.STRUCTURES)
    kinds = {k: frames.kinds.count(k) for k in dict.fromkeys(frames.kinds)}
    assert kinds == {"cations": 10, "anions": 10, "radicals": 20}
    assert len(np.unique(frames.molecule)) == 20
    assert (frames.reference.atomization < 0).all()
    total = np.array([np.sum(q) for q in frames.reference.charges])
    np.testing.assert_allclose(total, [m.charge for m in frames.molecules], atol=1e-6)
    assert str(Path.home()) not in accuracy_sets.STRUCTURES.read_text()


def test_log_has_a_column_for_every_metric():
    assert tuple(METRICS) == evaluation_log.METRICS
    assert evaluation_log.METHODS == (LEARNED, PM3, AM1, GFN2)
