"""Paths that are killed between two steps: the same command goes on from the last one."""

import dataclasses
import json

import pytest
from ase.io import read, write
from helpers import recorded
from killing import killed
from reactions import inversion, isomerisation

from ase_mlseqm.cli import app as cli

REACTIONS = {"flip": inversion, "hcn": isomerisation}
IMAGES = 5
MOVING = IMAGES - 2
SETTINGS = ["--method", "PM3", "--images", str(IMAGES), "--fmax", "0.02"]
FILES = {"one path": ["all/hcn/r.xyz", "all/hcn/p.xyz"], "side by side": ["--reactions", "all"]}


@dataclasses.dataclass
class Run:
    """Barriers (eV) and steps of all paths, and the molecules of every call of the engine."""

    barriers: dict[str, float]
    steps: dict[str, int]
    calls: list[int]


def finished(folder, case, out):
    """The command from the folder, not cut off any more."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        calls = recorded(patch)
        assert cli.main(["neb", *FILES[case], *SETTINGS, "--out", out]) == 0
    stored = {path.stem: json.loads(path.read_text()) for path in (folder / out).glob("*.json")}
    del stored["mlseqm_neb"]
    barriers = {name: found["result"]["barrier"] for name, found in stored.items()}
    steps = {name: found["result"]["steps"] for name, found in stored.items()}
    return Run(barriers, steps, calls)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The reactions, each with its two ends."""
    folder = tmp_path_factory.mktemp("neb")
    for name, ends in REACTIONS.items():
        (folder / "all" / name).mkdir(parents=True)
        for end, atoms in zip("rp", ends(), strict=True):
            write(folder / "all" / name / f"{end}.xyz", atoms)
    return folder


@pytest.fixture(scope="module")
def undisturbed(folder):
    return {case: finished(folder, case, f"whole {case}") for case in FILES}


@pytest.mark.parametrize("case", FILES)
def test_killed_command_goes_on(folder, undisturbed, case):
    """Ends are not relaxed again, and no step that is on disk is taken again."""
    whole, out = undisturbed[case], f"cut {case}"
    paths = len(whole.steps)
    moves = [k for k, count in enumerate(whole.calls) if count == paths * MOVING]
    kill = sum(whole.calls[: moves[2 * len(moves) // 3]])
    killed(folder, kill, "neb", *FILES[case], *SETTINGS, "--out", out)
    assert not list((folder / out).glob("*.json"))
    files = sorted((folder / out).glob("*_path.extxyz"))
    kept = [read(file, 0).info["step"] for file in files]
    assert len(kept) == paths and min(kept) >= 4
    rest = finished(folder, case, out)
    assert rest.barriers == pytest.approx(whole.barriers, abs=1e-6)
    assert rest.steps == whole.steps
    taken = sum(rest.steps.values()) - sum(kept)
    assert 0 < taken < sum(whole.steps.values())
    assert rest.calls[0] == paths * MOVING
    assert sum(rest.calls) == taken * MOVING + paths  # for the report


def test_killed_when_one_of_two_is_ready(folder, undisturbed):
    """The path that is ready stays as it is, the other goes on."""
    whole, out = undisturbed["side by side"], "cut late"
    assert whole.steps["flip_neb"] < whole.steps["hcn_neb"] - 2
    kill = sum(whole.calls) - 1 - 2 * MOVING  # the last call is for the report
    killed(folder, kill, "neb", *FILES["side by side"], *SETTINGS, "--out", out)
    assert [file.stem for file in (folder / out).glob("*.json")] == ["flip_neb"]
    rest = finished(folder, "side by side", out)
    assert rest.barriers == pytest.approx(whole.barriers, abs=1e-6)
    assert rest.steps == whole.steps
    assert sum(rest.calls) == 2 * MOVING + 2  # and for the report
