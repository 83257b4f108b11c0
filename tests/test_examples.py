"""The scripts in examples/ run as a user would run them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from ase.io import read

EXAMPLES = Path(__file__).parent.parent / "examples"


@pytest.mark.parametrize("script", sorted(EXAMPLES.glob("*.py")), ids=lambda path: path.name)
def test_script_runs(script: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(script)], cwd=tmp_path, capture_output=True, text=True, timeout=240
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()
    assert "nan" not in done.stdout.lower()


def test_the_drug_of_the_demo_is_what_it_says() -> None:
    atoms = read(EXAMPLES / "imatinib.xyz")
    assert atoms.get_chemical_formula() == "C29H31N7O"
    distances = atoms.get_all_distances()
    distances[distances == 0] = 9.0
    assert distances.min() > 0.9
