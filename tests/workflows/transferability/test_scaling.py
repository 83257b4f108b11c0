"""Time and memory against size."""

import dataclasses
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from helpers import interruptible
from scipy.stats import linregress
from transfer import PLAIN, metrics, table

from ase_mlseqm import evaluate
from ase_mlseqm.runs.transferability import transferability_run
from ase_mlseqm.training.graph import bonds
from ase_mlseqm.workflows.transferability.methods import Semiempirical
from ase_mlseqm.workflows.transferability.scaling import Scaling, alkane, exponent


@pytest.mark.parametrize("n", [1, 2, 3, 8])
def test_alkanes(n):
    atoms = alkane(n)
    assert len(atoms) == 3 * n + 2
    linked = bonds(atoms.numbers, atoms.positions[None])[0]
    assert np.array_equal(linked.sum(1), np.where(atoms.numbers == 6, 4, 1))
    (found,) = evaluate([atoms], "PM3")
    assert np.abs(found.forces).max() < 1.5


def test_exponent():
    n = np.array([8.0, 60.0, 120.0, 240.0])
    y = np.where(n < 60, 5.0, 1e-4 * n**2.5)
    assert exponent(n, y).value == pytest.approx(2.5)
    assert np.isnan(exponent(n[:3], y[:3]).value)


def test_interval_of_the_exponent():
    """That of SciPy's regression with Student's distribution."""
    n, y = np.array([60.0, 120.0, 240.0, 480.0]), np.array([1.0, 4.2, 15.0, 70.0])
    found, line = exponent(n, y), linregress(np.log(n), np.log(y))
    assert found.value == pytest.approx(line.slope)
    assert found.high - found.value == pytest.approx(4.30265 * line.stderr, rel=1e-5)


class Dead(Semiempirical):
    """A method whose process ends as soon as it starts."""

    def __reduce__(self):
        return os._exit, (7,)


def test_a_process_that_dies_at_once_is_a_failure():
    config = dataclasses.replace(PLAIN, max_atoms=14)
    test = Scaling()
    found = test.compute(Dead("PM3", None), test.load([], config), config, lambda *_: None)
    assert not found.rows
    assert "code 7" in found.failures[0].reason


def test_a_script_is_not_run_by_its_own_processes(tmp_path):
    """The block of the documentation, as a file."""
    page = Path(__file__).parents[3] / "docs" / "transferability.md"
    code = page.read_text().split("```python\n")[1].split("```")[0]
    (tmp_path / "script.py").write_text(code.replace('("PM3",)', '("PM3",), max_atoms=8'))
    (tmp_path / "data").mkdir()
    subprocess.run([sys.executable, "script.py"], cwd=tmp_path, check=True)
    (row,) = table(tmp_path / "out" / "scaling.csv")
    assert row["atoms"] == "8"


class Waiting(Semiempirical):
    """A method whose process says that it is there, and never ends."""

    def points(self, *_, **__):
        print("computing", flush=True)
        time.sleep(60)


def test_ctrl_c_ends_the_process_without_a_word(tmp_path):
    """A terminal sends it to all processes of a command."""
    code = "\n".join(
        (
            "from ase_mlseqm.workflows.transferability.scaling import Scaling",
            "from test_scaling import PLAIN, Waiting",
            "try:",
            "    Scaling().compute(Waiting('PM3', None), [], PLAIN, None)",
            "except KeyboardInterrupt:",
            "    print('interrupted', flush=True)",
        )
    )
    path = os.pathsep.join(map(str, (Path(__file__).parent, Path(__file__).parents[2])))
    with subprocess.Popen(
        [sys.executable, "-c", code],
        env=os.environ | {"PYTHONPATH": path},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=interruptible,
    ) as command:
        assert command.stdout.readline() == "computing\n"
        os.killpg(command.pid, signal.SIGINT)
        found = command.communicate(timeout=30)
    assert found == ("interrupted\n", "")


def test_run(tmp_path):
    """Memory is that of the molecules, without what the process has anyway."""
    config = dataclasses.replace(PLAIN, tests=("scaling",), method=("PM3",), max_atoms=200)
    assert transferability_run(config, tmp_path, tmp_path / "out") == 0
    rows = table(tmp_path / "out" / "scaling.csv")
    assert [int(row["atoms"]) for row in rows] == [8, 14, 26, 50, 98, 194]
    assert all(0 < float(row["seconds"]) < 100 for row in rows)
    assert metrics(tmp_path / "out", "scaling")["PM3", "largest molecule"] == 194
    assert (tmp_path / "out" / "scaling.png").exists()
    smaller, larger = (float(row["memory"]) for row in rows[-2:])
    assert 10 < smaller < 100
    assert 2 < larger / smaller < 8
