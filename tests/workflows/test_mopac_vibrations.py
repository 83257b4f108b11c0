"""The reference vibrations are what MOPAC says, where it is installed."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

FOLDER = Path(__file__).parent.parent / "reference"
BOUNDS = {
    "positions": 1e-4,
    "frequencies": 0.05,
    "transition_dipoles": 1e-3,
    "zero_point_energy_kcal_mol": 1e-3,
    "heat_of_formation_kcal_mol": 1e-3,
    "heat_capacities": 1e-3,
    "heats_of_formation": 1e-3,
}
"""How far another run, or version, of MOPAC may be from the file, in the units of the file."""


@pytest.mark.skipif(shutil.which("mopac") is None, reason="mopac is not installed")
def test_references_are_what_mopac_says(tmp_path):
    line = [sys.executable, "make_vibrations.py", "--out", str(tmp_path / "new.json")]
    subprocess.run(line, cwd=FOLDER, check=True, capture_output=True)
    files = (FOLDER / "vibrations.json", tmp_path / "new.json")
    before, again = (json.loads(file.read_text())["molecules"] for file in files)
    assert len(before) >= 20
    for then, now in zip(before, again, strict=True):
        assert then["name"] == now["name"] and then.keys() == now.keys()
        for name, bound in BOUNDS.items():
            where = f"{then['name']} {name}"
            np.testing.assert_allclose(now[name], then[name], rtol=0, atol=bound, err_msg=where)
