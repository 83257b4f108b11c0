"""The benchmark of dynamics, of a small molecule: SCFs that fail are counted."""

import itertools
import sys
from pathlib import Path

import pytest
from ase.calculators.calculator import SCFError

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))
import dynamics

LINE = ["dynamics.py", "--structure", "water", "--method", "PM3"]
LINE += ["--steps", "4", "--equilibration", "3", "--out"]


def row(folder, name):
    """Cells of the table in a row."""
    lines = (folder / "dynamics.md").read_text().splitlines()
    (cells,) = (line.strip("|").split("|")[1:] for line in lines if line.startswith(f"| {name} "))
    return [cell.strip() for cell in cells]


def test_no_failures(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "argv", [*LINE, str(tmp_path)])
    dynamics.main()
    assert row(tmp_path, "SCF failures") == ["0", "0", "yes"]


def test_failures_are_counted(tmp_path, monkeypatch):
    """In the long run, and in the second of the short ones."""
    calls, calculate = itertools.count(1), dynamics.Timed.calculate

    def failing(self, *args, **keywords):
        # structures of the equilibration 4, of the long run 3, of the first short one 5
        if next(calls) in (4 + 3, 4 + 3 + 5 + 7):
            raise SCFError("no convergence")
        calculate(self, *args, **keywords)

    monkeypatch.setattr(dynamics.Timed, "calculate", failing)
    monkeypatch.setattr(sys, "argv", [*LINE, str(tmp_path)])
    with pytest.raises(
        SystemExit, match=r"^nve stopped after step 1, .*; nve_0.25fs stopped after"
    ):
        dynamics.main()
    assert row(tmp_path, "SCF failures") == ["2", "0", "no"]
