"""The benchmark of single points, with sizes that say nothing about times."""

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parent.parent / "benchmarks" / "singlepoint.py"
SIZES = "--structures water --moves 2 --rounds 1 --conformers 12"


@pytest.mark.parametrize("part", ["single", "batch", "profile"])
def test_part_runs(part, tmp_path):
    pytest.importorskip("scine_sparrow")
    out = tmp_path / "table.md"
    line = [sys.executable, str(SCRIPT), *SIZES.split(), "--peers", "sparrow", "--only", part]
    done = subprocess.run([*line, "--out", str(out)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    # the shares of a step are those of fixed molecules
    rows = {"single": "| water ", "batch": "12 conformers: ", "profile": "| integrals "}
    assert rows[part] in out.read_text()
