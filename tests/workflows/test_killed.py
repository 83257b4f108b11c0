"""Commands that are killed: the same command again finishes, with the answers of one run.

The other workflows have such a test beside their own.
"""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from ase import Atoms
from ase.build import molecule
from ase.io import read, write

from ase_mlseqm.cli import app as cli


def planar():
    """Ammonia near the top of its inversion."""
    atoms = molecule("NH3")
    atoms.positions[0, 2] = atoms.positions[1, 2] + 0.02
    return atoms


def relaxed(folder):
    frames = read(folder / "many_relaxed.extxyz", ":")
    # a torsion is so soft that the smallest forces leave 1e-5 Angstrom
    return [[atoms.get_potential_energy(), *atoms.get_all_distances()[0] / 100] for atoms in frames]


def thermal(folder):
    files = sorted(folder.glob("many_*_thermo.json"))
    results = [json.loads(file.read_text())["result"] for file in files]
    return [[*found["entropies"], *found["enthalpies"]] for found in results]


def saddles(folder):
    files = sorted(folder.glob("many_*_ts.json"))
    results = [json.loads(file.read_text())["result"] for file in files]
    return [[found["energy"], found["imaginary"][0] / 1000] for found in results]


MOLECULES = [molecule(name) for name in ("H2O", "CH3OH", "CH3CHO", "C2H6")]
BENT = Atoms("HCN", [(0, 1.2, 0.55), (0, 0, 0), (0, 0, 1.17)])
CASES = {
    # optimisers begin anew: only the minima are the same
    "relax": (MOLECULES, ["--trajectory", "--fmax", "1e-5"], "many_relaxed.extxyz", relaxed),
    "relax as one batch": (
        MOLECULES,
        ["--fmax", "1e-5"],
        "many_relax_unfinished.extxyz",
        relaxed,
    ),
    "thermo": (
        MOLECULES,
        ["--symmetry-number", "1", "--temperatures", "300,500"],
        "many_0000_vib.json",
        thermal,
    ),
    "ts": (
        [planar(), BENT, BENT],
        ["--no-irc", "--refiner", "dimer"],
        "many_0000_ts.json",
        saddles,
    ),
}


# commands that other files kill, too: `test_relax_in_turn` and `test_vibrations_command`
SLOW = ("relax as one batch", "thermo")


@pytest.mark.parametrize(
    "case", [pytest.param(c, marks=pytest.mark.slow) if c in SLOW else c for c in CASES]
)
def test_killed_run_finishes(tmp_path, monkeypatch, case):
    structures, options, first, numbers = CASES[case]
    command = case.split()[0]
    write(tmp_path / "many.xyz", structures)
    line = [sys.executable, "-m", "ase_mlseqm", command, "many.xyz", "--method", "PM3"]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}

    job = subprocess.Popen(
        [*line, *options, "--out", "a"],
        cwd=tmp_path,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    while not (tmp_path / "a" / first).exists() and job.poll() is None:
        time.sleep(0.005)
    job.send_signal(signal.SIGKILL)
    assert job.wait() == -signal.SIGKILL
    assert not (tmp_path / "a" / f"mlseqm_{command}.json").exists()
    monkeypatch.chdir(tmp_path)
    for out in "ab":
        assert cli.main([*line[3:], *options, "--out", out]) == 0
    assert not list(tmp_path.glob("*/*_unfinished*"))
    found, expected = (numbers(tmp_path / out) for out in "ab")
    assert len(found) == len(structures)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-6)
