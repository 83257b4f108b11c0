"""The benchmark of the workflows, with sizes that say nothing about times."""

import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).parent.parent / "benchmarks" / "workflows.py"


def test_all_parts_run_and_agree(tmp_path):
    sizes = ["--molecule", "malonaldehyde", "--steps", "2", "--images", "4", "--molecules", "3"]
    sizes += [
        "--paths",
        "2",
        "--replicas",
        "2",
        "--structure",
        "water",
        "--method",
        "PM3",
        "--no-tblite",
    ]
    line = [sys.executable, str(SCRIPT), *sizes, "--out", str(tmp_path / "table.md")]
    done = subprocess.run(line, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    table = (tmp_path / "table.md").read_text()
    rows = [
        [cell.strip() for cell in text.strip("|").split("|")]
        for text in table.splitlines()
        if text.startswith("|")
    ][2:]
    assert [row[1] for row in rows] == ["54", "4", "8", "3", "2"]
    differences = [float(row[-1].split()[0]) for row in rows]
    # frequencies in 1/cm, energies in eV, positions in Angstrom
    assert differences[0] < 0.1 and max(differences[1:]) < 1e-4
