"""The tests of labelled frames: extensibility and large molecules."""

import dataclasses
import shutil

import numpy as np
import pytest
from transfer import PLAIN, SHARED, metrics, needs_shared, table, write_labels

from ase_mlseqm.runs_transferability import transferability_run
from ase_mlseqm.workflows.transferability.extensibility import element_constants, per_molecule
from ase_mlseqm.workflows.transferability.labelled import load_frames


def test_element_constants():
    formulas = ["CH4", "C2H6", "C3H8", "H2O"]
    counts = np.array([[1, 4, 0], [2, 6, 0], [3, 8, 0], [0, 2, 1]])
    errors = counts @ [1.5, -0.25, 3.0]
    assert element_constants(formulas, errors) == pytest.approx(errors)
    assert np.isfinite(element_constants(formulas, np.where([1, 1, 0, 1], errors, np.nan))).all()


def test_offsets_of_molecules_do_not_matter():
    rows = [
        {
            "molecule": m,
            "formula": "CH4",
            "heavy_atoms": 1,
            "force_mae": 1.0,
            "atomization_error": e,
        }
        for m, e in (("a", 100.0), ("a", 101.0), ("b", -7.0), ("b", -4.0), ("c", 0.0))
    ]
    assert per_molecule(rows)["relative energies"] == pytest.approx([1.0, 3.0, np.nan], nan_ok=True)


def test_frames_have_the_names_of_their_molecules(tmp_path):
    frames = load_frames([write_labels(tmp_path / "a.h5", ("CH4", "CH3OH"))])
    assert frames.cases == ["ch3oh[0]", "ch3oh[1]", "ch4[0]", "ch4[1]"]
    assert [frames.heavy(k) for k in range(4)] == [2, 2, 1, 1]


@needs_shared
def test_drugs_of_the_validation_file(tmp_path):
    shutil.copyfile(SHARED / "dft_large_val.h5", tmp_path / "dft_large.h5")
    config = dataclasses.replace(PLAIN, tests=("large",), method=("PM3",))
    assert transferability_run(config, tmp_path, tmp_path / "out") == 0
    found = metrics(tmp_path / "out", "large")
    assert 5 < found["PM3", "force MAE"] < 12
    assert 0 < found["PM3", "dipole error"] < 1.5
    assert found["PM3", "gap correlation"] > 0.8
    assert "nicotine" in {row["molecule"] for row in table(tmp_path / "out" / "large.csv")}


def test_peer(tmp_path):
    pytest.importorskip("tblite")
    write_labels(tmp_path / "dft_large.h5", ("CH4", "H2O", "C2H6"))
    config = dataclasses.replace(PLAIN, tests=("extensibility",), method=("AM1",), peer=("gfn2",))
    assert transferability_run(config, tmp_path, tmp_path / "out") == 0
    found = metrics(tmp_path / "out", "extensibility")
    assert 1 < found["GFN2-xTB", "force MAE"] < 30
    assert found["GFN2-xTB", "atomization MAE per heavy atom"] < 20
