"""The command, its files, its report, and that it goes on where it stopped."""

import importlib.metadata
import json
import re
import shutil
from importlib import resources
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.build import molecule
from ase.data.s22 import create_s22_system
from ase.io import write
from transfer import PLAIN, metrics, table, write_labels

from ase_mlseqm.cli import app as cli
from ase_mlseqm.errors import InputError
from ase_mlseqm.models import model_file
from ase_mlseqm.nddo.parameters import symbols
from ase_mlseqm.runs.transferability import transferability_run
from ase_mlseqm.workflows import transferability
from ase_mlseqm.workflows.transferability.base import Case, Outcome, common
from ase_mlseqm.workflows.transferability.config import TransferabilityConfig
from ase_mlseqm.workflows.transferability.files import checksum, find_files
from ase_mlseqm.workflows.transferability.methods import Point, Semiempirical
from ase_mlseqm.workflows.transferability.registry import TESTS, methods
from ase_mlseqm.workflows.transferability.run import choose_tests
from ase_mlseqm.workflows.transferability.statistics import (
    correlation,
    mean,
    pair_difference,
    slope,
    slope_within,
)

ONLY = ("--tests", "extensibility", "--tests", "large")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    return write_labels(folder / "dft_large.h5").parent


def run(data, out, *more):
    return cli.main(
        ["transferability", "--data", str(data), "--out", str(out), "--samples", "200", *ONLY]
        + ["--method", "PM3", "--method", "AM1", *more]
    )


@pytest.fixture(scope="module")
def done(data, tmp_path_factory):
    out = tmp_path_factory.mktemp("out")
    assert run(data, out) == 0
    return out


def test_files(done):
    names = {path.name for path in done.iterdir()}
    assert names == {
        *("extensibility.csv", "extensibility.png", "large.csv", "large.png", "summary.csv"),
        *(
            "failures.csv",
            "skipped.csv",
            "transferability.html",
            "mlseqm_transferability.json",
            "results",
        ),
    }
    rows = table(done / "extensibility.csv")
    assert len(rows) == 2 * 2 * 6
    assert set(rows[0]) == {
        *("method", "case", "molecule", "formula", "heavy_atoms"),
        *("force_mae", "force_size", "atomization_error", "kinds"),
    }
    summary = json.loads((done / "mlseqm_transferability.json").read_text())
    assert set(summary["results"]["large"]["PM3"]["metrics"]) >= {"force MAE", "gap MAE"}
    assert summary["results"]["large"]["files"]["dft_large.h5"]
    assert summary["results"]["models"] == {}


def test_the_method_that_made_the_labels_has_no_error(done):
    for test in ("extensibility", "large"):
        for (method, name), value in metrics(done, test).items():
            if name.endswith(("MAE", "error", "per heavy atom")) and not name.startswith("slope"):
                assert value < 1e-3 if method == "AM1" else value > 1e-2, (method, name)
    assert metrics(done, "large")["AM1", "gap correlation"] == pytest.approx(1.0)


def test_report_needs_no_network(done):
    page = (done / "transferability.html").read_text()
    assert page.count("data:image/png;base64,") == 2
    assert not re.search(r"(src|href)=\"(?!data:|#)", page)
    assert "http" not in page
    cases = json.loads(
        re.search(r'id="cases">(.*?)</script>', page, re.DOTALL)[1].replace("<\\/", "</")
    )
    assert len(cases) == page.count("<canvas ") == 2 * 2 * 3
    assert all(len(c["positions"]) == len(c["numbers"]) == len(c["values"]) for c in cases)
    assert cases[0]["bonds"]


def test_a_rerun_computes_what_is_missing_only(data, done, tmp_path, monkeypatch):
    out = tmp_path / "again"
    shutil.copytree(done, out)
    (out / "results" / "large_PM3.json").unlink()
    asked = []
    points = Semiempirical.points

    def counted(self, systems, *rest, **more):
        asked.append((self.name, len(systems)))
        return points(self, systems, *rest, **more)

    monkeypatch.setattr(Semiempirical, "points", counted)
    assert run(data, out) == 0
    assert asked == [("PM3", 12)]
    assert (out / "summary.csv").read_text() == (done / "summary.csv").read_text()
    # other data, other results
    write_labels(tmp_path / "dft_large.h5", ("CH4", "C2H6"))
    assert run(tmp_path, out) == 0
    assert len(asked) == 5


def test_failures_are_counted_and_in_no_mean(data, done, tmp_path, monkeypatch, capsys):
    points = Semiempirical.points

    def broken(self, systems, *rest, **more):
        found = points(self, systems, *rest, **more)
        if self.name == "AM1":
            found[3] = Point(failed="the SCF\ndid not converge")
        return found

    monkeypatch.setattr(Semiempirical, "points", broken)
    assert run(data, tmp_path) == 1
    failed = table(tmp_path / "failures.csv")
    assert [row["reason"] for row in failed] == ["the SCF did not converge"] * 2
    rows = table(tmp_path / "large.csv")
    case = failed[0]["case"]
    assert [row["method"] for row in rows if row["case"] == case] == ["PM3"]
    # PM3's own mean leaves the case out, too
    assert metrics(tmp_path, "large")["PM3", "force MAE"] != pytest.approx(
        metrics(done, "large")["PM3", "force MAE"], abs=1e-9
    )
    assert "1 failures" in (tmp_path / "transferability.html").read_text()


def test_a_picture_of_an_earlier_run_does_not_stay_where_there_is_none(tmp_path):
    """Of methods that have no case in common any more."""
    write(tmp_path / "dynamics.xyz", molecule("HF"), format="extxyz")
    (tmp_path / "transferability.yaml").write_text("dynamics: dynamics.xyz\n")
    config = TransferabilityConfig(tests=("dynamics",), method=("PM3",), md_steps=5)
    assert transferability_run(config, tmp_path, tmp_path / "out") == 0
    assert (tmp_path / "out" / "dynamics.png").exists()
    write(tmp_path / "dynamics.xyz", Atoms("XeF", [[0, 0, 0], [0, 0, 2.0]]), format="extxyz")
    assert transferability_run(config, tmp_path, tmp_path / "out") == 1
    assert not (tmp_path / "out" / "dynamics.png").exists()


def test_common_cases():
    rows = [{"case": name, "x": k} for k, name in enumerate("aabc")]
    one, two = Outcome(rows), Outcome(rows[:3])
    two.fail("b", "why")
    assert {m: [r["x"] for r in found] for m, found in common({"1": one, "2": two}).items()} == {
        "1": [0, 1],
        "2": [0, 1],
    }


def test_outcome_to_json_and_back():
    outcome = Outcome([{"case": "a", "x": np.nan, "y": 1.5}], seconds=2.0)
    outcome.fail("b", "no  energy")
    outcome.worst = [Case("a[0]", "force", 1.0, "eV", [1], [[0.0, 0.0, 0.0]])] * 2
    outcome.keep_worst(3)
    from ase_mlseqm.summary import jsonable

    again = Outcome.from_dict(json.loads(json.dumps(jsonable(outcome.to_dict()))))
    assert np.isnan(again.rows[0].pop("x"))
    assert again.rows == [{"case": "a", "y": 1.5}]
    assert (again.failures, again.worst) == (outcome.failures, outcome.worst)
    assert len(again.worst) == 1


# statistics


def test_slope_within_kinds_is_that_of_a_regression_with_dummies():
    rng = np.random.default_rng(3)
    x = rng.integers(4, 20, 60).astype(float)
    share = rng.dirichlet(np.ones(3), 60) * (rng.random((60, 3)) > 0.2)
    y = np.array([1.0, 4.0, 9.0]) + 0.3 * x[:, None] + rng.standard_normal((60, 3))
    y[share == 0] = np.nan  # which nobody may look at
    molecule, kind = np.nonzero(share)
    root = np.sqrt(share[molecule, kind])
    matrix = np.column_stack((x[molecule], np.eye(3)[kind])) * root[:, None]
    expected = np.linalg.lstsq(matrix, y[molecule, kind] * root, rcond=None)[0][0]
    found = slope_within(x, y, share, 500, 0)
    assert found.value == pytest.approx(expected, rel=1e-9)
    assert found.low < 0.3 < found.high and found.high - found.low < 0.2 and found.count == 60
    assert np.isnan(slope_within(np.ones(5), np.ones((5, 2)), np.ones((5, 2)), 10, 0).value)
    assert np.isnan(slope_within(np.ones(0), np.ones((0, 2)), np.ones((0, 2)), 10, 0).value)


def test_slope_and_its_interval():
    rng = np.random.default_rng(3)
    x = rng.integers(1, 20, 200).astype(float)
    found = slope(x, 2.0 + 0.5 * x + rng.standard_normal(200), 500, 0)
    assert found.low < 0.5 < found.high
    assert found.high - found.low < 0.1
    expected = np.polynomial.Polynomial.fit(x, 1 + 0.5 * x, 1).convert().coef[1]
    assert slope(x, 1 + 0.5 * x, 10, 0).value == pytest.approx(expected)
    assert np.isnan(slope(np.ones(5), np.arange(5.0), 10, 0).value)


def test_means_and_correlations():
    found = mean(np.array([1.0, 2.0, 3.0, np.nan]), 100, 0)
    assert (found.value, found.count) == (2.0, 3)
    assert 1.0 <= found.low < 2.0 < found.high <= 3.0
    assert np.isnan(mean(np.array([]), 100, 0).value)
    assert np.isnan(mean(np.array([1.0, 2.0]), 100, 0).low)
    x = np.arange(10.0)
    assert correlation(x, -3 * x + 1, 50, 0).value == pytest.approx(-1.0)
    assert pair_difference(np.array([5.0, 6.0, 8.0])) == pytest.approx(2.0)
    assert np.isnan(pair_difference(np.array([5.0])))


# which data, which methods


def test_manifest(tmp_path):
    write_labels(tmp_path / "mine.h5", ("CH4",))
    assert not find_files(tmp_path, TESTS)["large"]
    manifest = tmp_path / "transferability.yaml"
    manifest.write_text("large: [mine.h5]\n")
    assert [p.name for p in find_files(tmp_path, TESTS)["large"]] == ["mine.h5"]
    manifest.write_text("large: his.h5\n")
    with pytest.raises(InputError, match=r"there is no 'his\.h5'"):
        find_files(tmp_path, TESTS)
    for wrong in ("5", '""', f"{tmp_path}/mine.h5", "[3]"):
        manifest.write_text(f"large: {wrong}\n")
        with pytest.raises(InputError, match="give names or patterns of files in the folder"):
            find_files(tmp_path, TESTS)
    manifest.write_text("large: '**.h5'\n")
    with pytest.raises(InputError, match=r"transferability\.yaml: large: .*\*\*"):
        find_files(tmp_path, TESTS)
    manifest.write_text("big: [mine.h5]\n")
    with pytest.raises(InputError, match="unknown test 'big'"):
        find_files(tmp_path, TESTS)


def test_manifest_names_files_with_brackets(tmp_path):
    """Which are patterns otherwise."""
    (tmp_path / "drugs[1].h5").write_text("")
    (tmp_path / "transferability.yaml").write_text("large: ['drugs[1].h5']\n")
    assert [p.name for p in find_files(tmp_path, TESTS)["large"]] == ["drugs[1].h5"]


def test_checksums_see_what_readers_see(tmp_path):
    """Also in folders that are links."""
    (tmp_path / "store").mkdir()
    (tmp_path / "data").mkdir()
    (tmp_path / "store" / "a.xyz").write_text("1")
    (tmp_path / "data" / "linked").symlink_to(tmp_path / "store")
    before = checksum(tmp_path / "data")
    (tmp_path / "store" / "a.xyz").write_text("2")
    assert checksum(tmp_path / "data") != before


def test_worst_cases_are_of_different_molecules():
    """SMILES have brackets of their own."""
    smiles = ("C[N+](=O)[O-]", "C[N-]C", "[H][H]", "[C-]#[O+]", "C")
    rows = [{"case": f"{s}[{k}]", "molecule": s} for s in smiles for k in (0, 1)]
    worst = [Case(row["case"], "off", 1.0 + k % 2, "", [1], [[0]]) for k, row in enumerate(rows)]
    outcome = Outcome(rows, worst=worst)
    outcome.keep_worst(9)
    assert {case.case for case in outcome.worst} == {f"{s}[1]" for s in smiles}


def test_structures_without_a_name_are_different_molecules():
    """Also where they are called by their places in a file."""
    names = ["spectra[0]", "spectra[1]", "[H][H]", "[H][D]"]
    rows = [{"case": name, "molecule": name} for name in names]
    outcome = Outcome(rows, worst=[Case(name, "off", 1.0, "", [1], [[0]]) for name in names])
    outcome.keep_worst(9)
    assert [case.case for case in outcome.worst] == names


@pytest.mark.parametrize("test", TESTS, ids=lambda test: test.name)
def test_no_case_that_all_methods_complete(test):
    """As where one of them lacks an element of all molecules; the report has no numbers then."""
    assert all(np.isnan(metric.interval.value) for metric in test.metrics([], PLAIN))


def test_results_that_cannot_be_read(data, done, tmp_path, capsys):
    out = tmp_path / "out"
    shutil.copytree(done, out)
    file = out / "results" / "large_PM3.json"
    whole = json.loads(file.read_text())["outcome"]["rows"]
    for content in ("", file.read_text()[:100], '{"theirs": 1}'):
        file.write_text(content)
        capsys.readouterr()
        assert run(data, out) == 0
        (said,) = capsys.readouterr().err.splitlines()
        assert "large_PM3.json holds no results that can be used" in said
        assert json.loads(file.read_text())["outcome"]["rows"] == whole
    file.unlink()
    file.mkdir()  # as good as without permission, which the superuser always has
    assert run(data, out) == 2
    assert "large_PM3.json cannot be read (Is a directory): make it" in capsys.readouterr().err


def test_what_the_results_of_a_method_depend_on(tmp_path):
    """Kept results are not those of another committee or library of dispersion."""
    for path in model_file("hipnn-pm3").model.source.parent.glob("hipnn-pm3.*"):
        shutil.copy(path, tmp_path)
    model = str(tmp_path / "hipnn-pm3.safetensors")
    before = Semiempirical(None, model).identity
    assert Semiempirical(None, model).identity == before
    committee = tmp_path / "hipnn-pm3.committee.json"
    committee.write_text(json.dumps(json.loads(committee.read_text()) | {"scale": 2.0}))
    other = Semiempirical(None, model).identity
    committee.unlink()
    assert len({before, other, Semiempirical(None, model).identity}) == 3
    version = importlib.metadata.version("dftd4")
    assert Semiempirical("PM3", None, dispersion="wb97x-d4").identity.endswith(f" {version}")


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        (("--tests", "size"), "unknown test 'size'"),
        (("--peer", "gfn1"), "unknown peer 'gfn1'"),
        (("--method", "PM6"), "unknown method 'PM6'"),
        (("--model", "nothing"), "unknown model 'nothing'"),
        (("--method", "PM3"), "PM3 is given twice"),
        (("--samples", "-1"), "samples is -1"),
    ],
)
def test_refusals(data, tmp_path, capsys, more, sentence):
    assert run(data, tmp_path / "out", *more) == 2
    err = capsys.readouterr().err
    assert sentence in err
    assert err.count("\n") == 1


def test_no_data(tmp_path, capsys):
    assert run(tmp_path, tmp_path / "out") == 2
    assert "extensibility: the data folder has no dft_test.h5 or" in capsys.readouterr().err
    assert run(tmp_path / "nowhere", tmp_path / "out") == 2
    assert "no such folder" in capsys.readouterr().err


def test_broken_file(data, tmp_path, capsys):
    (tmp_path / "dft_large.h5").write_text("nothing")
    assert run(tmp_path, tmp_path / "out") == 2
    assert "large: dft_large.h5: cannot be read" in capsys.readouterr().err


def test_a_run_that_is_refused_leaves_the_report_of_an_earlier_one(done, data, tmp_path):
    out = shutil.copytree(done, tmp_path / "out")
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    (tmp_path / "dft_large.h5").write_text("nothing")
    assert run(tmp_path, out) == 2
    assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == before


def test_settings_from_a_file(data, tmp_path, capsys):
    file = tmp_path / "settings.yaml"
    file.write_text("method: [MNDO]\ntests: [large]\nworst: 0\n")
    arguments = ["--data", str(data), "--out", str(tmp_path / "out"), "--config", str(file)]
    assert cli.main(["transferability", *arguments, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert next(iter(found["results"]["large"]["MNDO"]["metrics"])) == "force MAE"
    assert found["settings"]["worst"] == 0
    file.write_text("methods: [MNDO]\n")
    assert cli.main(["transferability", *arguments]) == 2
    assert "unknown keyword 'methods'" in capsys.readouterr().err


def test_default_methods():
    assert [m.name for m in methods(TransferabilityConfig())] == ["hipnn-pm3", "PM3"]
    assert [m.name for m in methods(PLAIN)] == ["PM3", "AM1"]
    assert not methods(PLAIN)[0].bare


def test_interrupted(data, tmp_path, monkeypatch, capsys):
    points, calls = Semiempirical.points, []

    def stopped(self, *rest, **more):
        calls.append(self.name)
        if len(calls) > 2:
            raise KeyboardInterrupt
        return points(self, *rest, **more)

    monkeypatch.setattr(Semiempirical, "points", stopped)
    assert run(data, tmp_path) == 130
    assert "interrupted; 1 tests are in the report" in capsys.readouterr().err
    assert (tmp_path / "transferability.html").exists()
    assert not (tmp_path / "large.csv").exists()


def test_every_test_says_what_it_is():
    names = [test.name for test in TESTS]
    assert len(set(names)) == len(names)
    for test in TESTS:
        assert test.title and test.question.endswith(("?", ".")) and test.columns
        assert test.patterns or not test.needs_files
        assert set(test.settings) <= set(TransferabilityConfig.__dataclass_fields__)
    assert choose_tests(TESTS, {t.name: [] for t in TESTS}, ()) == [
        t for t in TESTS if not t.needs_files
    ]


def test_python_interface(data, tmp_path):
    import dataclasses

    config = dataclasses.replace(PLAIN, tests=("large",))
    assert transferability_run(config, data, tmp_path) == 0


def test_documentation_names_the_files_of_every_test():
    page = (Path(__file__).parents[3] / "docs" / "transferability.md").read_text()
    for test in TESTS:
        (line,) = (text for text in page.splitlines() if text.startswith(f"| `{test.name}` |"))
        for pattern in test.patterns:
            assert f"`{pattern}`" in line, (test.name, pattern)


def test_models_are_told_by_their_checksum_and_dispersion_stands_beside():
    pytest.importorskip("dftd3")
    config = TransferabilityConfig(
        model=("hipnn-pm3",), method=("PM3",), dispersion=("wb97x-d3bj",)
    )
    names = {method.name: method.checksum for method in methods(config)}
    assert list(names) == ["hipnn-pm3", "PM3", "hipnn-pm3 + wb97x-d3bj", "PM3 + wb97x-d3bj"]
    assert len(names["hipnn-pm3"]) == 64 and not names["PM3"]
    dimer = create_s22_system("Methane_dimer")
    points = [method.points([dimer])[0].energy for method in methods(config)]
    assert points[2] < points[0] - 0.01
    assert points[2] - points[0] == pytest.approx(points[3] - points[1], abs=1e-6)
    with pytest.raises(InputError, match="unknown dispersion 'd3'"):
        methods(TransferabilityConfig(dispersion=("d3",)))


def test_every_element_has_a_colour_of_its_own():
    """That of aluminium was the one of what is unknown, next to iodine's."""
    script = (resources.files(transferability) / "viewer.js").read_text("utf-8")
    (table,) = re.findall(r"COLOURS = \{(.*?)\}", script, re.DOTALL)
    colours = dict(re.findall(r'(\d+): "(#\w+)"', table))
    assert {int(number) for number in colours} == set(symbols())
    assert len(set(colours.values())) == len(colours)
