"""Torsions and dissociation: series of structures."""

import dataclasses

import numpy as np
import pytest
from ase import Atoms
from ase.build import molecule
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io import write
from scipy.optimize import minimize
from transfer import PLAIN, metrics, table

from ase_mlseqm import evaluate
from ase_mlseqm.errors import InputError
from ase_mlseqm.runs.transferability import transferability_run
from ase_mlseqm.units import EV_TO_KCAL
from ase_mlseqm.workflows.transferability import panels
from ase_mlseqm.workflows.transferability.dissociation import Dissociation, _jumps, stretched
from ase_mlseqm.workflows.transferability.methods import Point
from ase_mlseqm.workflows.transferability.registry import methods
from ase_mlseqm.workflows.transferability.scans import Scan
from ase_mlseqm.workflows.transferability.series import read_series
from ase_mlseqm.workflows.transferability.torsions import SCAN, Torsions, _relaxed

ANGLES = (0, 30, 60, 90, 120, 180)
PEROXIDE = (2, 0, 1, 3)


def peroxide(angle: float) -> Atoms:
    """H2O2 with this dihedral, degrees."""
    atoms = molecule("H2O2")
    order = [k for k in range(4) if atoms.numbers[k] == 8]
    order += [
        min(
            (k for k in range(4) if atoms.numbers[k] == 1),
            key=lambda k, o=o: atoms.get_distance(k, o),
        )
        for o in order
    ]
    atoms = atoms[order]
    atoms.set_dihedral(*PEROXIDE, angle, indices=[3])
    return atoms


def write_series(path, systems, atoms, method="AM1", **info):
    """Structures with the energies of a method."""
    for system, point in zip(systems, evaluate(systems, method), strict=True):
        system.info |= {"scan_atoms": np.array(atoms)} | info
        system.calc = SinglePointCalculator(system, energy=point.energy, forces=point.forces)
    path.parent.mkdir(exist_ok=True)
    write(path, systems, format="extxyz")
    return path


def test_reader_sorts_by_the_coordinate(tmp_path):
    systems = [peroxide(a) for a in ANGLES[::-1]]
    path = write_series(tmp_path / "h2o2.xyz", systems, PEROXIDE)
    found, skipped = read_series(path, "dihedral")
    assert not skipped
    assert found.x == pytest.approx(ANGLES, abs=1e-4)
    expected = [r.energy for r in evaluate([peroxide(a) for a in ANGLES], "AM1")]
    assert found.energies == pytest.approx(expected, abs=1e-6)
    assert found.atoms == PEROXIDE
    assert not found.relaxed
    assert all(system.calc is None for system in found.systems)


@pytest.mark.parametrize("key", ["units", "energy_unit", "energy_units"])
def test_energies_that_are_not_in_electronvolts_are_no_labels(tmp_path, key):
    systems = [peroxide(a) for a in ANGLES]
    path = write_series(tmp_path / "a.xyz", systems, PEROXIDE, **{key: "eV, Angstrom"})
    assert len(read_series(path, "dihedral")[0]) == len(ANGLES)
    path.write_text(path.read_text().replace("eV, Angstrom", "kcal/mol", 1))
    found, (bad,) = read_series(path, "dihedral")
    assert len(found) == len(ANGLES) - 1
    assert (bad.record, bad.reason) == ("frame 0", f"{key} is 'kcal/mol': give the energy in eV")
    structure = peroxide(0)
    structure.info |= {"scan_atoms": np.array(PEROXIDE), key: "bohr"}  # of something else
    write(path, structure, format="extxyz")
    assert not read_series(path, "dihedral")[1]


def test_energies_of_series_may_be_relative(tmp_path):
    systems = [peroxide(a) for a in ANGLES]
    series, _ = read_series(write_series(tmp_path / "a.xyz", systems, PEROXIDE), "dihedral")
    shifted = dataclasses.replace(series, energies=series.energies - series.energies[2])
    rows = [
        SCAN.outcome([s], lambda _: ("rigid",), lambda *_: {"energy": series.energies}, print).rows
        for s in (series, shifted)
    ]
    labels = [[row["reference"] for row in own] for own in rows]
    assert labels[0] == pytest.approx(labels[1], abs=1e-9)


def test_torsions(tmp_path):
    systems = [peroxide(a) for a in ANGLES]
    write_series(tmp_path / "torsions" / "h2o2.xyz", systems, PEROXIDE, relaxed=True)
    config = dataclasses.replace(PLAIN, tests=("torsions",))
    assert transferability_run(config, tmp_path, tmp_path / "out") == 0
    rows = table(tmp_path / "out" / "torsions.csv")
    assert len(rows) == 2 * 2 * len(ANGLES)
    found = metrics(tmp_path / "out", "torsions")
    assert found["AM1", "profile MAE, rigid"] == pytest.approx(0, abs=1e-4)
    assert found["AM1", "barrier bias, rigid"] == pytest.approx(0, abs=1e-4)
    energies = {m: [r.energy for r in evaluate(systems, m)] for m in ("AM1", "PM3")}
    heights = {m: np.ptp(e) * EV_TO_KCAL for m, e in energies.items()}
    assert found["PM3", "barrier bias, rigid"] == pytest.approx(
        heights["PM3"] - heights["AM1"], abs=1e-4
    )
    # relaxing lowers every point, by up to 0.1 eV here
    assert found["AM1", "profile MAE, relaxed"] > 0.01
    assert (tmp_path / "out" / "torsions.png").exists()


@pytest.mark.parametrize(
    "angles",
    [
        (-60, -30, 0, 30, 60),
        (0, 60, 120, 180),
        (0, 90, 180, 270),
        (10, 20, 350),
        (100, 160, 220, 300),
    ],
)
def test_pictures_of_torsions_have_no_line_across_the_gap(tmp_path, monkeypatch, angles):
    drawn = []
    monkeypatch.setattr(panels, "save", lambda figure, _: drawn.append(figure) or True)
    known = sorted((float(a % 360), float(a)) for a in angles)
    rows = [
        {"series": "a", "scan": "rigid", "angle": x, "energy": a, "reference": a} for x, a in known
    ]
    Torsions().draw({"PM3": rows}, tmp_path / "a.png", PLAIN)
    for line in drawn[0].axes[0].lines:
        x = line.get_xdata()
        assert np.diff(x).min() > 0 and x[-1] - x[0] <= 270
        assert x % 360 == pytest.approx(np.array(line.get_ydata()) % 360)


def test_relaxed_energy_is_the_lowest_with_the_dihedral_held(tmp_path):
    """Against a search over the lengths and angles of H2O2, which knows nothing of gradients."""
    angle = 70.0
    path = write_series(tmp_path / "h2o2.xyz", [peroxide(a) for a in (60, angle, 80)], PEROXIDE)
    series, _ = read_series(path, "dihedral")
    (method,) = methods(dataclasses.replace(PLAIN, method=("AM1",)))
    found = _relaxed(series, method)[1]

    def energy(x):
        oxygen, first, second, left, right = x
        atoms = Atoms("OOH2", np.zeros((4, 3)))
        atoms.positions[1, 0] = oxygen
        for k, (length, bend, sign) in enumerate(((first, left, 1), (second, right, -1)), 2):
            bend = np.radians(bend)
            atoms.positions[k] = atoms.positions[k - 2]
            atoms.positions[k, :2] += length * np.array([sign * np.cos(bend), np.sin(bend)])
        atoms.set_dihedral(2, 0, 1, 3, angle, indices=[3])
        return evaluate([atoms], "AM1", ("energy",))[0].energy

    start = np.array([1.4, 0.98, 0.98, 105.0, 105.0])
    options = {"xatol": 1e-4, "fatol": 1e-7, "maxiter": 800}
    lowest = minimize(energy, start, method="Nelder-Mead", options=options)
    assert found == pytest.approx(lowest.fun, abs=2e-4)


def test_bond_of_one_structure(tmp_path):
    path = write_series(tmp_path / "ethane.xyz", [molecule("C2H6")], (0, 1))
    found = stretched(read_series(path, "distance")[0])
    assert found.x[0] == pytest.approx(0.75 * 1.53, abs=0.02)
    assert found.x[-1] > 5
    for x, atoms in zip(found.x[::10], found.systems[::10], strict=True):
        assert atoms.get_distance(0, 1) == pytest.approx(x)
        assert atoms.get_distance(0, 2) == pytest.approx(found.systems[0].get_distance(0, 2))
    ring = write_series(tmp_path / "ring.xyz", [molecule("C3H6_D3h")], (0, 1))
    with pytest.raises(InputError, match="one of a ring"):
        stretched(read_series(ring, "distance")[0])
    apart = write_series(tmp_path / "apart.xyz", [molecule("C2H6")], (2, 7))
    with pytest.raises(InputError, match="there is no bond"):
        stretched(read_series(apart, "distance")[0])


def test_dissociation(tmp_path):
    lengths = (0.6, 0.7, 0.8, 1.0, 1.4, 2.0, 3.0)
    systems = [Atoms("H2", [[0, 0, 0], [0, 0, d]]) for d in lengths]
    write_series(tmp_path / "dissociation" / "h2.xyz", systems, (0, 1))
    write_series(
        tmp_path / "dissociation" / "bh.extxyz",
        [Atoms("BH", [[0, 0, 0], [0, 0, 1.23]])],
        (0, 1),
        "MNDO",
    )
    config = dataclasses.replace(PLAIN, tests=("dissociation",))
    assert transferability_run(config, tmp_path, tmp_path / "out") == 1, "no B in PM3"
    assert {r["case"] for r in table(tmp_path / "out" / "failures.csv")} == {
        "bh restricted",
        "bh unrestricted",
    }
    rows = table(tmp_path / "out" / "dissociation.csv")
    ends = {(r["method"], r["spin"]): float(r["energy"]) for r in rows if float(r["length"]) == 3.0}
    # restricted, a stretched H2 is half ionic
    assert ends["AM1", "restricted"] > ends["AM1", "unrestricted"] + 20
    found = metrics(tmp_path / "out", "dissociation")
    assert found["AM1", "curve MAE, restricted"] == pytest.approx(0, abs=1e-4)
    assert found["AM1", "curve MAE, unrestricted"] > 5
    assert found["AM1", "hump behind the minimum, unrestricted"] < 1
    assert (tmp_path / "out" / "dissociation.png").exists()


def hydrogen(tmp_path, **info):
    """A series of three frames of H2."""
    systems = [Atoms("H2", [[0, 0, 0], [0, 0, d]]) for d in (0.6, 0.75, 0.9)]
    return read_series(write_series(tmp_path / "h2.xyz", systems, (0, 1), **info), "distance")[0]


def test_rows_of_a_curve(tmp_path):
    series = hydrogen(tmp_path)
    scan = Scan("spin", "length", "{:.2f} Å")
    columns = {"energy": series.energies + np.array([0, 0, 1 / EV_TO_KCAL]), "jump": np.ones(3)}
    steps = []
    found = scan.outcome(
        [series], lambda _: ("a", "b"), lambda _, kind: columns, lambda *step: steps.append(step)
    )
    assert steps == [(1, "h2")]
    assert [row["case"] for row in found.rows] == ["h2 a"] * 3 + ["h2 b"] * 3
    own = scan.curves(found.rows, "b")["h2"]
    assert [row["length"] for row in own] == pytest.approx([0.6, 0.75, 0.9])
    assert min(row["energy"] for row in own) == min(row["reference"] for row in own) == 0
    assert own[2]["energy"] - own[2]["reference"] == pytest.approx(1)
    worst = found.worst[0]
    assert worst.what == "at 0.90 Å energy off by" and worst.error == pytest.approx(1)


def test_jumps_are_what_forces_do_not_explain():
    """A step between two parabolas; on one of them the work of the forces is exact."""
    x = np.array([1.0, 1.1, 1.3, 1.4])
    systems = [Atoms("H2", [[0, 0, 0], [0, 0, d]]) for d in x]
    energies = (x - 1.2) ** 2 + np.where(x > 1.2, 0.25, 0.0)
    forces = [np.array([[0, 0, 2 * (d - 1.2)], [0, 0, -2 * (d - 1.2)]]) for d in x]
    assert _jumps(systems, energies, forces) == pytest.approx([np.nan, 0, 0.25, 0], nan_ok=True)


@pytest.mark.filterwarnings("ignore:ions and radicals")
def test_shipped_model_is_smooth_and_bounded_when_a_bond_breaks(tmp_path):
    """CO of methanol to 3.5 times its length: no step, no hump, and the radicals at the end."""
    atoms = molecule("CH3OH")
    atoms.info["scan_atoms"] = np.flatnonzero(atoms.numbers > 1)
    (tmp_path / "dissociation").mkdir()
    write(tmp_path / "dissociation" / "bond.extxyz", atoms)
    config = dataclasses.replace(PLAIN, tests=("dissociation",), method=(), model=("hipnn-pm3",))
    assert transferability_run(config, tmp_path, tmp_path / "out") == 0
    rows = [r for r in table(tmp_path / "out" / "dissociation.csv") if r["spin"] == "unrestricted"]
    energy = np.array([float(row["energy"]) for row in rows])
    assert len(rows) > 40
    assert max(float(row["jump"]) for row in rows[1:]) < 0.5
    assert energy[energy.argmin() :].max() - energy[-1] < 1.0
    systems = stretched(
        read_series(tmp_path / "dissociation" / "bond.extxyz", "distance")[0]
    ).systems
    parts = [atoms[[1, 3]], atoms[[0, 2, 4, 5]], systems[energy.argmin()]]
    hydroxyl, methyl, whole = (p.energy for p in evaluate(parts, unrestricted=True))
    assert energy[-1] == pytest.approx((hydroxyl + methyl - whole) * EV_TO_KCAL, abs=0.1)


@pytest.mark.filterwarnings("ignore:ions and radicals")
@pytest.mark.parametrize("name", ["CH4", "H2O", "H2O2", "N2H4", "CH3OH"])
def test_five_bonds_break_without_a_step(tmp_path, name):
    """Of points 0.02 Angstrom apart, also where spins begin to part, forces explain the energy.

    With three times that distance the kink of the force there looks like a step of 0.5 kcal/mol.
    """
    path = write_series(tmp_path / "bond.extxyz", [molecule(name)], (0, 1))
    rigid = stretched(read_series(path, "distance")[0])
    start, bond = rigid.systems[0], rigid.x[0]
    moved = np.abs(rigid.systems[1].positions - start.positions).max(1) > 0
    along = (rigid.systems[1].positions - start.positions)[moved][0] / (rigid.x[1] - bond)
    lengths = np.arange(start.get_distance(0, 1) / 0.75, 3.0, 0.02)
    systems = []
    for length in lengths:
        atoms = start.copy()
        atoms.positions[moved] += (length - bond) * along
        systems.append(atoms)
    far = start.copy()
    far.positions[moved] += 100.0 * along
    parts = [start[moved], start[~moved], far]
    points = evaluate(systems, properties=("energy", "forces"), unrestricted=True)
    energies = np.array([point.energy for point in points]) * EV_TO_KCAL
    jumps = EV_TO_KCAL * _jumps(systems, energies / EV_TO_KCAL, [p.forces for p in points])
    assert np.abs(jumps[1:]).max() < 0.05
    # the end is that of the radicals by themselves, over humps that the page tells of
    one, other, whole = (point.energy * EV_TO_KCAL for point in evaluate(parts, unrestricted=True))
    assert whole == pytest.approx(one + other, abs=1e-3)
    assert energies[-1] == pytest.approx(whole, abs=1.5)
    assert energies.max() - whole < {"H2O2": 4.0, "N2H4": 12.0}.get(name, 1.0)


def test_curves_without_all_labels_have_no_reference(tmp_path):
    series = hydrogen(tmp_path)
    series.energies[1] = np.nan
    found = Scan("spin", "length", "{:.2f}").outcome(
        [series], lambda _: ("a",), lambda *_: {"energy": np.arange(3.0)}, lambda *_: None
    )
    assert np.isnan([row["reference"] for row in found.rows]).all()
    assert not found.worst


def test_a_curve_without_one_of_its_points_fails(tmp_path):
    series = hydrogen(tmp_path)
    scan = Scan("spin", "length", "{:.2f} Å")
    points = [Point(energy=1.0), Point(failed="no SCF"), Point(failed="no memory")]
    found = scan.outcome(
        [series], lambda _: ("a",), lambda s, _: {"energy": scan.energies(s, points)}, print
    )
    assert not found.rows
    assert [(f.case, f.reason) for f in found.failures] == [
        ("h2 a", "2 of 3 points, the first at 0.75 Å: no SCF")
    ]


def test_curves_that_are_unrestricted_only_are_dashed(tmp_path, monkeypatch):
    """Where the restricted one failed; the method is in the legend all the same."""
    drawn = []
    monkeypatch.setattr(panels, "save", lambda figure, _: drawn.append(figure) or True)
    start = {"series": "oh", "spin": "unrestricted", "reference": np.nan}
    rows = [start | {"length": x, "energy": x**2} for x in (1.0, 2.0)]
    Dissociation().draw({"PM3": rows}, tmp_path / "a.png", PLAIN)
    (line,) = drawn[0].axes[0].lines
    assert (line.get_linestyle(), line.get_label()) == ("--", "PM3")


def test_triplets_by_their_moments_are_not_stretched(tmp_path):
    (atoms, *_) = hydrogen(tmp_path).systems
    for moments in ((1.0, 1.0), (1.0, -1.0)):
        atoms.set_initial_magnetic_moments(moments)
        write_series(tmp_path / "h2.xyz", [atoms], (0, 1))
        if sum(moments):
            with pytest.raises(InputError, match="bonds are stretched in singlets"):
                Dissociation().load([tmp_path / "h2.xyz"], PLAIN)
        else:
            assert len(Dissociation().load([tmp_path / "h2.xyz"], PLAIN)) == 1


def test_radicals_are_not_stretched(tmp_path):
    """Also those that do not state it."""
    atoms = Atoms("OH", [[0, 0, 0], [0, 0, 0.97]], info={"scan_atoms": np.array([0, 1])})
    write(tmp_path / "oh.xyz", atoms, format="extxyz")
    with pytest.raises(InputError, match="in singlets: this has an odd number of electrons"):
        Dissociation().load([tmp_path / "oh.xyz"], PLAIN)
    atoms.info["charge"] = -1
    write(tmp_path / "oh.xyz", atoms, format="extxyz")
    assert len(Dissociation().load([tmp_path / "oh.xyz"], PLAIN)) == 1


def test_triplets_are_not_stretched(tmp_path):
    hydrogen(tmp_path, multiplicity=3)
    with pytest.raises(InputError, match=r"h2\.xyz: the file: bonds are stretched in singlets"):
        Dissociation().load([tmp_path / "h2.xyz"], PLAIN)
