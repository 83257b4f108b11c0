"""The test of uncertainties: what it says of estimates that are right by construction."""

import dataclasses

import numpy as np
import pytest
from learned import learned
from transfer import PLAIN, metrics, table, write_labels

from ase_mlseqm.committee_file import write_committee
from ase_mlseqm.nn.weights import save_model
from ase_mlseqm.runs.transferability import transferability_run
from ase_mlseqm.workflows.transferability.uncertainty import Uncertainty


def rows(scale, count=4000):
    rng = np.random.default_rng(0)
    estimate = rng.uniform(0.5, 4.0, count)
    error = scale * estimate * rng.standard_normal(count)
    values = zip(estimate, error, strict=True)
    return [
        {"case": f"{k}[0]", "molecule": str(k), "uncertainty": u, "error": e, "known": int(u < 3)}
        for k, (u, e) in enumerate(values)
    ]


@pytest.mark.parametrize("scale", [1.0, 2.0])
def test_normal_errors(scale):
    found = {m.name: m.interval for m in Uncertainty().metrics(rows(scale), PLAIN)}
    assert found["RMS error over RMS uncertainty"].value == pytest.approx(scale, rel=0.05)
    low, high = found["RMS error over RMS uncertainty"][1:3]
    assert low < scale < high
    shares = {1.0: (68.3, 95.4), 2.0: (38.3, 68.3)}[scale]
    names = ("errors below the uncertainty (68 %)", "errors below twice that (95 %)")
    for name, share in zip(names, shares, strict=True):
        assert found[name].value == pytest.approx(share, abs=2.5)
    assert 0.3 < found["rank correlation with the error"].value < 0.6
    assert found["called unknown"].value == pytest.approx(100 / 3.5, abs=2.5)
    # the mean of |x| of a normal distribution, for means of the estimate below and above three
    ratio = np.sqrt(2 / np.pi) * scale
    assert found["MAE of the known"].value == pytest.approx(1.75 * ratio, rel=0.06)
    assert found["MAE of the unknown"].value == pytest.approx(3.5 * ratio, rel=0.08)


def test_a_model_with_a_committee(tmp_path):
    paths = [tmp_path / f"{name}.safetensors" for name in ("mine", "b", "c")]
    for seed, path in enumerate(paths):
        save_model(path, learned(std=0.05, seed=seed), {})
    write_committee(paths[0], paths[1:], 1.5, 0.1, {})
    data = tmp_path / "data"
    data.mkdir()
    write_labels(data / "uncertainty.h5", method="PM3")
    config = dataclasses.replace(PLAIN, model=(str(paths[0]),), tests=("uncertainty",))
    out = tmp_path / "out"
    assert transferability_run(config, data, out) == 0
    written = table(out / "uncertainty.csv")
    assert len(written) == 12
    assert {row["method"] for row in written} == {"learned"}
    error, estimate = (np.array([float(r[k]) for r in written]) for k in ("error", "uncertainty"))
    assert (estimate > 0).all()
    ratio = metrics(out, "uncertainty")["learned", "RMS error over RMS uncertainty"]
    assert ratio == pytest.approx(np.sqrt((error**2).sum() / (estimate**2).sum()), rel=1e-6)
    assert (out / "uncertainty.png").stat().st_size > 10_000
    assert "Does a model know" in (out / "transferability.html").read_text("utf-8")


def test_methods_without_one(tmp_path, capsys):
    """They are left out, and an explicit wish is refused."""
    write_labels(tmp_path / "uncertainty.h5", ("CH4", "H2O"))
    plain = dataclasses.replace(PLAIN, tests=("uncertainty",))
    assert transferability_run(plain, tmp_path, tmp_path / "out") == 2
    assert "none of these methods" in capsys.readouterr().err
