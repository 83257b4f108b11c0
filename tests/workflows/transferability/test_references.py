"""The committed references of `benchmarks/transferability`: read, at one level, and sane."""

import csv
from pathlib import Path

import numpy as np
import pytest
from ase.constraints import FixInternals
from ase.io import read
from helpers import SHARED, needs_shared
from scipy.interpolate import CubicSpline

from ase_mlseqm.units import EV_TO_KCAL
from ase_mlseqm.workflows.normal_modes import rigid_motions
from ase_mlseqm.workflows.transferability.config import TransferabilityConfig
from ase_mlseqm.workflows.transferability.files import find_files
from ase_mlseqm.workflows.transferability.registry import TESTS

FOLDER = Path(__file__).parents[3] / "benchmarks" / "transferability"
FILES = find_files(FOLDER, TESTS)
LEVEL = "wB97X/6-31G* (PySCF, Cartesian d functions, density fitting"
SERIES = FILES["torsions"] + FILES["dissociation"]

STEEP = {"C5H8O_387": 1.0}
"""kcal/mol; between points 30 degrees apart the aldehyde passes the ring, which a spline misses."""
ENOUGH = {"frequencies": 10, "torsions": 11, "dissociation": 5, "reactions": 10}


def load(name):
    """What the test of the workflow makes of the files."""
    (test,) = [test for test in TESTS if test.name == name]
    return test.load(FILES[name], TransferabilityConfig())


def motion(frames, atoms):
    """Structures that change with ``atoms`` as a spline, and minus their forces on the way."""
    x = [frame.get_distance(*atoms) if len(atoms) == 2 else k for k, frame in enumerate(frames)]
    path = spline(frames, x, [frame.positions for frame in frames])
    gradient = [-frame.get_forces() for frame in frames]
    return np.array(x), (path(x, 1) * gradient).sum((1, 2))


def spline(frames, x, values):
    """Through the values of a series; those of a rigid turn by 360 degrees come again."""
    whole = len(frames) == 12 and not frames[0].info.get("relaxed", True)
    if not whole:
        return CubicSpline(x, values)
    return CubicSpline([*x, 12], [*values, values[0]], bc_type="periodic")


@pytest.mark.parametrize(("name", "least"), ENOUGH.items())
def test_there_are_enough(name, least):
    found = load(name)
    assert not found.skipped
    assert len(found.differences if name == "reactions" else found) >= least


@pytest.mark.parametrize("path", [*SERIES, *FILES["frequencies"]], ids=lambda path: path.stem)
def test_level_is_stated(path):
    for frame in read(path, ":"):
        assert frame.info["level"].startswith(LEVEL)
        assert ("unrestricted" in frame.info["level"]) == (path in FILES["dissociation"])
        assert frame.info["program"].startswith("PySCF ")
        assert np.isfinite(frame.get_forces()).all()


@pytest.mark.parametrize("path", SERIES, ids=lambda path: path.stem)
def test_forces_are_the_slope_along_a_series(path):
    """Integrated along the path: within 0.5 kcal/mol, or 1 % of the curve."""
    frames = read(path, ":")
    x, slope = motion(frames, frames[0].info["scan_atoms"])
    energy = np.array([frame.get_potential_energy() for frame in frames])
    work = spline(frames, x, slope).antiderivative()(x)
    wrong = np.abs(energy - energy[0] - work).max() * EV_TO_KCAL
    assert wrong < max(STEEP.get(path.stem, 0.5), 0.01 * np.ptp(energy) * EV_TO_KCAL)


def test_rigid_torsions_are_rigid():
    rigid = [series for series in load("torsions") if not series.relaxed]
    assert len(rigid) >= 11
    for series in rigid:
        assert len(series) >= 12
        assert series.x[0] == pytest.approx(0, abs=1e-4), "not 359.9999, at the other end"
        first = series.systems[0].get_all_distances()
        near = first < 1.6  # bonds
        for system in series.systems:
            assert system.get_all_distances()[near] == pytest.approx(first[near], abs=0.01)


def test_relaxed_torsions_are_relaxed():
    """No force is left but along the torsion, and none is above the rigid one."""
    paths = [path for path in FILES["torsions"] if path.stem.endswith("_relaxed")]
    assert len(paths) >= 2
    for path in paths:
        frames = read(path, ":")
        rigid = read(path.with_stem(path.stem.removesuffix("_relaxed")), ":")
        found = profile(frames)
        assert len(found) >= 7 and all(frame.info["relaxed"] for frame in frames)
        for angle, energy in profile(rigid).items():
            if angle in found:
                assert found[angle] < energy + 1e-4
        for frame in frames:
            forces = frame.get_forces()  # before the constraint, which changes them
            scan = [int(k) for k in frame.info["scan_atoms"]]
            held = FixInternals(dihedrals_deg=[[frame.get_dihedral(*scan), scan]])
            held.adjust_forces(frame, forces)
            assert np.abs(forces).max() < 0.03


def profile(frames):
    """Energy, eV, by angle in whole degrees."""
    scan = frames[0].info["scan_atoms"]
    return {
        round(frame.get_dihedral(*scan)) % 360: frame.get_potential_energy() for frame in frames
    }


def test_curves_end_at_the_radicals():
    """Behind its minimum a curve rises, to the energy of both radicals by themselves."""
    for path in FILES["dissociation"]:
        frames = read(path, ":")
        energy = np.array([frame.get_potential_energy() for frame in frames])
        lowest = int(energy.argmin())
        assert (np.diff(energy[:lowest]) < 0).all()
        assert (np.diff(energy[lowest:]) > -0.02).all(), path.stem
        assert frames[-1].info["limit"] == pytest.approx(energy[-1], abs=0.15), path.stem
        assert energy[-1] - energy[lowest] > 1.5
        spins = [frame.info["spin_squared"] for frame in frames]
        assert spins[lowest] == pytest.approx(0, abs=1e-3)
        assert spins[-1] == pytest.approx(1, abs=0.1)


def test_frequencies_are_those_of_minima():
    """Water: as measured, without anharmonicity (Benedict, Gailar, Plyler, J. Chem. Phys. 24
    (1956) 1139), within the error of the level."""
    found = {spectrum.name: spectrum for spectrum in load("frequencies")}
    assert found["H2O"].frequencies == pytest.approx([1648, 3832, 3943], abs=80)
    for spectrum in found.values():
        assert spectrum.frequencies.min() > 50
        assert spectrum.frequencies.max() < 4000
    for frame in read(FILES["frequencies"][0], ":"):
        forces = frame.get_forces().ravel()
        rigid = rigid_motions(frame.positions, np.ones(len(frame)))  # those are noise of the grid
        assert np.abs(forces - rigid @ (rigid.T @ forces)).max() < 0.0015


MEASURED = {
    "H2O": (1595, 3657, 3756),
    "NH3": (950, 1627, 1627, 3337, 3444, 3444),
    "HCN": (712, 712, 2089, 3312),
    "C2H2": (612, 612, 729, 729, 1974, 3289, 3374),
    "H2CO": (1167, 1249, 1500, 1746, 2782, 2843),
    "CH4": (1306, 1306, 1306, 1534, 1534, 2917, 3019, 3019, 3019),
    "C2H4": (826, 943, 949, 1023, 1236, 1342, 1444, 1623, 2989, 3026, 3103, 3106),
    "CO2": (667, 667, 1333, 2349),
    "N2O": (589, 589, 1285, 2224),
}
"""Fundamentals, 1/cm (Shimanouchi, NSRDS-NBS 39 (1972); rounded)."""


@pytest.mark.parametrize("name", MEASURED)
def test_frequencies_scale_to_measured_ones(name):
    """By 0.95 or so, as those of such functionals do (Scott, Radom, J. Phys. Chem. 100 (1996)
    16502), which takes up anharmonicity, too."""
    (label,) = [s.frequencies for s in load("frequencies") if s.name == name]
    ratios = MEASURED[name] / np.sort(label)
    assert 0.90 < ratios.mean() < 1.0
    assert ratios.min() > 0.84
    assert ratios.max() < 1.03


@needs_shared
def test_barriers_are_near_the_published_ones():
    """Those of CCSD(T) have the zero-point energy, a few kcal/mol of it lost on the way up."""
    ours, published = (
        {int(row["rxn"]): row for row in csv.DictReader((folder / "data.csv").open())}
        for folder in (FOLDER / "reactions" / "rdb7", SHARED / "rdb7_subset")
    )
    above = [float(row["barrier"]) - float(published[k]["dE0"]) for k, row in ours.items()]
    assert min(above) > 0
    assert max(above) < 30
    assert 8 < np.mean(above) < 17


def test_reactions_are_differences_of_bare_energies():
    differences = load("reactions").differences
    assert not any(d.zero_point for d in differences)
    values = {(d.reaction, d.quantity): d.reference for d in differences}
    for name in {d.reaction for d in differences}:
        assert 5 < values[name, "barrier"] < 160
        assert values[name, "barrier"] > values[name, "reaction energy"]


@pytest.mark.slow
def test_a_label_is_what_pyscf_computes():
    pytest.importorskip("pyscf")
    from ase_mlseqm.labelling import LabelSettings, label

    (frame,) = [a for a in read(FILES["frequencies"][0], ":") if a.info["name"] == "H2O"]
    found = label(frame)
    assert found.energy == pytest.approx(frame.get_potential_energy(), abs=1e-5)
    assert found.forces == pytest.approx(frame.get_forces(), abs=1e-4)
    (path,) = [path for path in FILES["dissociation"] if path.stem == "water_OH"]
    frame = read(path, -1)
    found = label(frame, LabelSettings(unrestricted=True))
    assert found.energy == pytest.approx(frame.get_potential_energy(), abs=1e-5)


def rows_of(path):
    with path.open(newline="") as file:
        return {int(row["rxn"]): row for row in csv.DictReader(file)}


def test_closed_shells_are_never_below_states_that_may_break_symmetry():
    """Of the five reactions that were labelled both ways; elsewhere both are the same."""
    both = rows_of(FOLDER / "reactions" / "rdb7" / "data.csv")
    closed = rows_of(FOLDER / "rdb7_level.csv")
    assert len(closed) == 40 and set(both) < set(closed)
    assert {row["level"] for row in closed.values()} == {f"{LEVEL}, grid level 3)"}
    changes = [
        float(closed[number][name]) - float(row[name])
        for number, row in both.items()
        for name in ("barrier", "reaction_energy")
    ]
    assert min(changes) > -0.005  # kcal/mol
    assert sum(change < 0.005 for change in changes) == 6


@needs_shared
def test_the_level_is_near_coupled_clusters():
    """Barriers of RDB7, those of the whole set with zero-point energies of a few kcal/mol."""
    published, closed = (
        rows_of(SHARED / "rdb7_subset" / "data.csv"),
        rows_of(FOLDER / "rdb7_level.csv"),
    )
    assert set(published) == set(closed)
    pairs = [(float(closed[n]["barrier"]), float(published[n]["dE0"])) for n in closed]
    level, coupled = np.array(pairs).T
    assert np.corrcoef(level, coupled)[0, 1] > 0.97
    assert 5 < (level - coupled).mean() < 15
