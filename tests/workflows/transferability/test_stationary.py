"""Barriers at the stationary points of a method: refined transition states and paths."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.build import molecule
from test_reactions_rdb7 import hcn, write_rdb7
from transfer import PLAIN, metrics, stationary_points, table

from ase_mlseqm import MLSEQM
from ase_mlseqm.cli import app as cli
from ase_mlseqm.errors import InputError
from ase_mlseqm.runs.transferability import transferability_run
from ase_mlseqm.units import EV_TO_KCAL
from ase_mlseqm.workflows.geometry import distance
from ase_mlseqm.workflows.transferability import stationary
from ase_mlseqm.workflows.transferability.config import TransferabilityConfig
from ase_mlseqm.workflows.transferability.files import find_files
from ase_mlseqm.workflows.transferability.reactions import ReactionEnergies
from ase_mlseqm.workflows.transferability.registry import TESTS
from ase_mlseqm.workflows.transferability.stationary import Reaction, along_path, refined
from ase_mlseqm.workflows.ts import TSConfig, ts
from ase_mlseqm.workflows.vibrations import VibrationsConfig, vibrations

BENCHMARKS = Path(__file__).parents[3] / "benchmarks" / "transferability"
ISOMERISATION = Reaction("rxn000007", hcn(0), hcn(75), hcn(180))
SMALL = dataclasses.replace(PLAIN, method=("PM3",), max_refined=1, max_paths=1, path_images=5)


KCAL = "heat_of_formation_kcal_mol"


@pytest.fixture(scope="module")
def mopac():
    """HCN to HNC by MOPAC, from the same structures."""
    points = stationary_points("HCN")
    for place, atoms in zip(points, (hcn(0), hcn(75), hcn(180)), strict=True):
        np.testing.assert_allclose(points[place]["start"], atoms.positions, atol=1e-9)
    assert sum(f < 0 for f in points["top"]["frequencies"]) == 1
    return points


@pytest.fixture(scope="module")
def pm3():
    return MLSEQM(method="PM3")


@pytest.fixture(scope="module")
def found(pm3):
    """HCN to HNC with PM3, refined."""
    return refined(ISOMERISATION, pm3, SMALL, {"barrier"})


def above(points, place, key=KCAL):
    """MOPAC's difference from the reactant, kcal/mol."""
    return points[place][key] - points["reactant"][key]


def moved(points, place):
    """How far MOPAC's search led, Angstrom."""
    point = points[place]
    start, end = (Atoms(point["numbers"], point[key]) for key in ("start", "positions"))
    return distance(end, start)


def test_refined_transition_state(found, mopac):
    """PM3's own stationary points are those of MOPAC, not the structures of the data set."""
    assert (found.converged, found.one_mode, found.connects) == (True, True, True)
    assert not found.failures
    energies = {name: value * EV_TO_KCAL for name, value in found.energies.items()}
    assert energies["barrier"] == pytest.approx(above(mopac, "top"), abs=0.01)
    assert energies["reaction energy"] == pytest.approx(above(mopac, "product"), abs=0.01)
    ends = (moved(mopac, "reactant") + moved(mopac, "product")) / 2
    assert found.displacements["barrier"] == pytest.approx(moved(mopac, "top"), abs=2e-3)
    assert found.displacements["reaction energy"] == pytest.approx(ends, abs=2e-3)
    assert set(found.zero_point) == {"barrier"}
    change = above(mopac, "top", "zero_point_energy_kcal_mol")
    assert found.zero_point["barrier"] * EV_TO_KCAL == pytest.approx(change, abs=0.02)


def test_zero_point_energies_are_those_of_the_stationary_points(found, pm3):
    settings = VibrationsConfig(relax=False)
    top = vibrations(found.top, pm3, settings)
    assert (top.frequencies < -100).sum() == 1
    end = vibrations(hcn(0), pm3, VibrationsConfig(fmax=0.005))
    change = top.zero_point_energy - end.zero_point_energy
    assert found.zero_point["barrier"] == pytest.approx(change, abs=1e-3)


def test_path_leads_over_the_refined_transition_state(found, pm3):
    path = along_path(ISOMERISATION, pm3, SMALL)
    assert path.converged and not path.failures and not path.zero_point
    assert path.energies["barrier"] == pytest.approx(found.energies["barrier"], abs=5e-3)
    assert path.displacements["barrier"] == pytest.approx(found.displacements["barrier"], abs=0.02)


def test_failures_of_a_search_have_reasons(pm3):
    few = dataclasses.replace(SMALL, refine_steps=1, path_steps=1, irc=False)
    search = refined(ISOMERISATION, pm3, few)
    assert not search.energies and not search.converged and search.connects is None
    assert search.failures["reaction energy"].startswith("the reactant: not converged in 1 steps")
    assert search.failures["barrier"].startswith("the transition state: not refined in 1 steps")
    assert "search" not in search.displacements
    path = along_path(ISOMERISATION, pm3, few)
    assert not path.converged and not path.energies
    assert path.failures["barrier"].startswith("the path: not converged in 1 steps")


def test_ends_that_fall_apart_or_are_missing(pm3, mopac):
    far = hcn(180)
    far.positions[2] += [4.0, 0, 0]  # H is bonded to nothing, and comes back
    search = refined(
        dataclasses.replace(ISOMERISATION, reactant=far, product=None),
        pm3,
        dataclasses.replace(SMALL, refine_steps=300),
    )
    assert search.connects is None and search.converged and search.one_mode
    reason = "the reactant: relaxed, it has other bonds than in the data set"
    assert search.failures == {"reaction energy": reason, "barrier": reason}
    assert not search.energies and set(search.displacements) == {"search"}
    half = refined(dataclasses.replace(ISOMERISATION, product=None), pm3, SMALL)
    assert half.failures == {"reaction energy": "the product: it has no structure"}
    energy = above(mopac, "top")
    assert half.energies["barrier"] * EV_TO_KCAL == pytest.approx(energy, abs=0.01)


@pytest.mark.slow
def test_a_structure_that_is_no_transition_state(pm3, mopac):
    """From the minimum, refinement finds another saddle point, far away."""
    search = refined(dataclasses.replace(ISOMERISATION, top=hcn(5)), pm3, SMALL)
    assert (search.converged, search.one_mode, search.connects) == (True, True, False)
    assert "it does not connect the reactant with the product" in search.failures["barrier"]
    assert "barrier" not in search.energies and search.displacements["search"] > 0.3
    energy = above(mopac, "product")
    assert search.energies["reaction energy"] * EV_TO_KCAL == pytest.approx(energy, abs=0.01)


def test_failures_say_where_a_transition_state_leads(pm3, mopac):
    """That of HCN to HNC, asked for between other ends."""
    reaction = dataclasses.replace(ISOMERISATION, product=hcn(5))
    search = refined(reaction, pm3, SMALL)
    assert (search.one_mode, search.connects) == (True, False)
    reason = search.failures["barrier"]
    assert "it leads to another minimum and the reactant, 0." in reason
    assert reason.endswith(" Å from the structure of the data set")
    assert search.displacements["search"] == pytest.approx(moved(mopac, "top"), abs=2e-3)
    far = hcn(180)
    far.positions[2] += [4.0, 0, 0]
    reaction = dataclasses.replace(ISOMERISATION, reactant=far, product=far)
    assert "another minimum on both sides" in refined(reaction, pm3, SMALL).failures["barrier"]


def test_a_saddle_of_higher_order_is_left(pm3, monkeypatch):
    """A refinement that is made to end at linear water, which has two imaginary modes."""
    atoms = Atoms("OH2", [[0, 0, 0], [0.93, 0, 0], [-0.93, 0, 0]])
    starts = []

    def stopped(guess, calc, settings, **ends):
        starts.append(guess.positions.copy())
        steps = 0 if len(starts) == 1 else settings.max_steps
        return ts(guess, calc, dataclasses.replace(settings, max_steps=steps), **ends)

    monkeypatch.setattr(stationary, "ts", stopped)
    assert len(ts(atoms, pm3, TSConfig(irc=False, max_steps=0)).imaginary) == 2
    water = Reaction("rxn000008", molecule("H2O"), atoms, None)
    search = refined(water, pm3, dataclasses.replace(SMALL, irc=False))
    assert len(starts) == 2 and search.failures["barrier"].startswith("the transition state")
    moved = np.abs(starts[1] - starts[0])
    assert np.linalg.norm(moved, axis=1).max() == pytest.approx(0.1)
    assert moved[:, 0].max() < 1e-6, "it is bent"


def test_reactions_are_drawn_at_random():
    files = find_files(BENCHMARKS, TESTS)["reactions"]
    test, config = ReactionEnergies(), TransferabilityConfig(max_refined=3, max_paths=2)
    data = test.load(files, config)
    names = data.searches["refined"]
    assert len(set(names)) == 3 and data.searches["path"] == names[:2]
    assert test.load(files, config).searches == data.searches
    seeds = {
        tuple(test.load(files, dataclasses.replace(config, seed=k)).searches["refined"])
        for k in range(5)
    }
    assert len(seeds) > 1
    off = test.load(files, dataclasses.replace(config, max_refined=0, max_paths=0))
    assert off.searches == {"refined": [], "path": []}
    assert len(off) == len(data) - 5
    everything = test.load(files, dataclasses.replace(config, max_refined=99))
    assert len(everything.searches["refined"]) == 5


def test_options(tmp_path, capsys):
    for arguments, sentence in (
        (("--max-paths", "-1"), "max_paths is -1"),
        (("--refine-steps", "0"), "refine_steps is 0"),
        (("--path-images", "2"), "path_images is 2: give 3 or more"),
    ):
        line = ["transferability", "--data", str(tmp_path), "--out", str(tmp_path), *arguments]
        assert cli.main(line) == 2
        assert sentence in capsys.readouterr().err


def test_command(tmp_path, mopac):
    write_rdb7(tmp_path / "rdb7", "rxn,barrier,reaction_energy", "7,75.0,20.0")
    config = dataclasses.replace(SMALL, tests=("reactions",))
    assert transferability_run(config, tmp_path, tmp_path / "out") == 0
    rows = {row["case"]: row for row in table(tmp_path / "out" / "reactions.csv")}
    assert set(rows) == {
        "rxn000007 barrier",
        "rxn000007 reaction energy",
        "rxn000007 search, refined",
        "rxn000007 barrier, refined",
        "rxn000007 reaction energy, refined",
        "rxn000007 search, path",
        "rxn000007 barrier, path",
    }
    search = rows["rxn000007 search, refined"]
    assert [search[key] for key in ("converged", "one_mode", "connects")] == ["1", "1", "1"]
    assert search["displacement"] == rows["rxn000007 barrier, refined"]["displacement"]
    numbers = metrics(tmp_path / "out", "reactions")
    error = float(rows["rxn000007 barrier, refined"]["energy"]) - 75.0
    assert error == pytest.approx(above(mopac, "top") - 75.0, abs=0.01)
    assert numbers["PM3", "barrier bias, refined"] == pytest.approx(error, abs=1e-6)
    assert numbers["PM3", "that connect reactant and product"] == 100
    assert numbers["PM3", "paths converged"] == 100
    assert numbers["PM3", "displacement, barrier, path"] > 0
    assert np.isfinite(numbers["PM3", "barrier MAE"]), "single points, as before"
    assert (tmp_path / "out" / "reactions.png").exists()


def test_searches_that_fail_are_counted_and_in_no_mean(tmp_path):
    write_rdb7(tmp_path / "rdb7", "rxn,barrier,reaction_energy", "7,75.0,20.0")
    config = dataclasses.replace(SMALL, tests=("reactions",), refine_steps=1, path_steps=1)
    assert transferability_run(config, tmp_path, tmp_path / "out") == 1
    assert {row["case"] for row in table(tmp_path / "out" / "failures.csv")} == {
        "rxn000007 barrier, refined",
        "rxn000007 reaction energy, refined",
        "rxn000007 barrier, path",
    }
    numbers = metrics(tmp_path / "out", "reactions")
    assert numbers["PM3", "transition states refined"] == 0
    assert numbers["PM3", "paths converged"] == 0
    assert not any(name.startswith("barrier MAE,") for _, name in numbers)


@pytest.mark.slow
def test_small_reactions_of_the_benchmark(tmp_path):
    """Barriers by both searches are those between MOPAC's stationary points."""
    config = dataclasses.replace(SMALL, tests=("reactions",), max_refined=2, max_paths=2)
    assert transferability_run(config, BENCHMARKS, tmp_path) == 0
    rows = table(tmp_path / "reactions.csv")
    assert not table(tmp_path / "failures.csv")
    for kind in ("refined", "path"):
        searches = [r for r in rows if (r["kind"], r["quantity"]) == (kind, "search")]
        energies = [r for r in rows if (r["kind"], r["quantity"]) == (kind, "barrier")]
        assert len(searches) == len(energies) == 2
        for row in energies:
            energy = above(stationary_points(row["case"].split()[0]), "top")
            assert float(row["energy"]) == pytest.approx(energy, abs=0.1), row["case"]


def test_settings_say_what_is_wrong():
    with pytest.raises(InputError, match="max_refined is -1"):
        TransferabilityConfig(max_refined=-1)
