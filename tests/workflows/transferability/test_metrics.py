"""Metrics of made-up rows, whose values can be told by hand."""

import numpy as np
import pytest
from ase.build import molecule
from transfer import PLAIN

from ase_mlseqm.workflows.transferability.dissociation import Dissociation
from ase_mlseqm.workflows.transferability.extensibility import (
    Extensibility,
    _kinds,
    per_molecule,
)
from ase_mlseqm.workflows.transferability.frequencies import Frequencies, read_spectra
from ase_mlseqm.workflows.transferability.noncovalent import NonCovalent
from ase_mlseqm.workflows.transferability.stability import Stability
from ase_mlseqm.workflows.transferability.statistics import mean, pair_difference, slope_within
from ase_mlseqm.workflows.transferability.torsions import Torsions


def values(test, rows):
    return {metric.name: metric.interval.value for metric in test.metrics(rows, PLAIN)}


def test_slopes_are_those_of_the_errors_against_size():
    """2 up to three heavy atoms, and from four on a line of slope 0.5."""
    errors = {n: 2.0 if n < 4 else 1.0 + 0.5 * n for n in range(1, 12)}
    rows = [
        {
            "case": f"{n}[0]",
            "molecule": str(n),
            "formula": f"C{n}H4",
            "heavy_atoms": n,
            "force_mae": error,
            "force_size": 10.0 * n,
            "atomization_error": 0.0,
        }
        for n, error in errors.items()
    ]
    found = values(Extensibility(), rows)
    assert found["force MAE"] == pytest.approx(np.mean(list(errors.values())))
    slope = np.polyfit(list(errors), list(errors.values()), 1)[0]
    assert found["slope of force MAE"] == pytest.approx(slope)
    assert found["slope from 4 heavy atoms on of force MAE"] == pytest.approx(0.5)
    relative = [10.0 * error / n for n, error in errors.items()]
    name = "force MAE relative to the size of the forces"
    assert found[name] == pytest.approx(np.mean(relative))
    slope = np.polyfit(list(errors)[3:], relative[3:], 1)[0]
    assert found[f"slope from 4 heavy atoms on of {name}"] == pytest.approx(slope)


def test_errors_of_a_molecule_by_hand():
    """Mean error of mean force, not the mean of ratios; energies of pairs of different frames."""
    rows = [
        {
            "molecule": "a",
            "formula": "CH4",
            "heavy_atoms": 1,
            "force_mae": force,
            "force_size": size,
            "atomization_error": energy,
        }
        for force, size, energy in ((1.0, 10.0, 5.0), (3.0, 90.0, 6.0), (2.0, 20.0, 8.0))
    ]
    found = per_molecule(rows)
    assert found["forces"] == pytest.approx([2.0])
    assert found["relative forces"] == pytest.approx([100 * 6.0 / 120.0])
    assert found["relative energies"] == pytest.approx([(1.0 + 3.0 + 2.0) / 3])
    assert found["raw atomization"] == pytest.approx([19.0 / 3])
    assert np.isnan(pair_difference(np.array([5.0])))


def test_intervals_of_a_mean_are_those_of_the_normal_distribution():
    """1.96 standard errors to either side; of fewer than three molecules nothing is said."""
    drawn = np.random.default_rng(0).normal(size=400)
    found = mean(np.append(drawn, np.nan), 20000, 0)
    assert (found.value, found.count) == (pytest.approx(drawn.mean()), 400)
    error = drawn.std() / 20.0
    assert found.high - found.value == pytest.approx(1.96 * error, rel=0.03)
    assert found.value - found.low == pytest.approx(1.96 * error, rel=0.03)
    for values in ([], [1.0], [1.0, 2.0]):
        few = mean(np.array(values), 100, 0)
        assert np.isnan([few.low, few.high]).all() and few.count == len(values)
    assert np.isfinite(mean(np.array([1.0, 2.0, 4.0]), 100, 0).low)


def test_kinds_that_a_molecule_lacks_count_for_nothing():
    x, share = np.arange(4.0), np.array([[1, 0], [0.5, 0.5], [0.5, 0.5], [1, 0]])
    y = np.where(share > 0, np.stack((2.0 * x, 5.0 + 2.0 * x), 1), np.nan)
    assert slope_within(x, y, share, 10, 0).value == pytest.approx(2.0)


def test_errors_that_grow_as_there_are_more_atoms_of_a_bad_kind_do_not_grow_within_kinds():
    """Carbon errs by 3 and hydrogen by 1 whatever the size, or by 0.2 more a heavy atom."""

    def rows(growth):
        for n in range(1, 12):
            carbon, hydrogen = 3.0 + growth * n, 1.0 + growth * n
            for frame, shift in enumerate((-0.1, 0.1)):
                yield {
                    "case": f"{n}[{frame}]",
                    "molecule": str(n),
                    "formula": f"C{n}H4",
                    "heavy_atoms": n,
                    "force_mae": (n * carbon + 4 * hydrogen) / (n + 4) + shift,
                    "force_size": 10.0,
                    "atomization_error": 0.0,
                    "kinds": f"C4/1:{n}:{carbon + shift} H1/1:4:{hydrogen + shift}",
                }

    whole = "slope from 4 heavy atoms on of force MAE"
    for growth in (0.0, 0.2):
        found = values(Extensibility(), list(rows(growth)))
        assert found[f"{whole}, same kinds of atoms"] == pytest.approx(growth, abs=1e-9)
        assert found[whole] > growth + 0.03


def test_kinds_of_atoms():
    ethanol = molecule("CH3CH2OH")
    text = _kinds(ethanol, np.where(ethanol.numbers == 8, 5.0, 1.0))
    assert text == "C4/1:1:1 C4/2:1:1 H1/1:6:1 O2/1:1:5"


def test_contact_and_well_of_a_parabola():
    """That of the method is moved by 0.1 Angstrom and 1 kcal/mol."""
    contacts = np.linspace(1.6, 4, 25)
    label, own = (contacts - 2.0) ** 2 - 3, (contacts - 2.1) ** 2 - 2
    rows = [
        {
            "curve": "a",
            "contact": r,
            "energy": e,
            "reference": ref,
            "zero_at": np.nan,
            "force_mae": np.nan,
        }
        for r, e, ref in zip(contacts, own, label, strict=True)
    ]
    found = values(NonCovalent(), rows)
    contact = "contact at the lowest point"
    assert found["interaction energy MAE"] == pytest.approx(np.abs(own - label).mean())
    assert found[f"{contact} bias"] == pytest.approx(0.1)
    assert found[f"{contact} MAE"] == pytest.approx(0.1)
    assert found["well depth MAE"] == pytest.approx(1.0)


def test_hump_end_and_jump_of_a_broken_bond():
    # before the minimum it may be as high as it likes
    own, label = (155.0, 0.0, 40.0, 100.0, 90.0), (155.0, 0.0, 30.0, 80.0, 80.0)
    jumps = (np.nan, 1.0, 7.0, 2.0, 1.0)
    rows = [
        {"series": "a", "spin": spin, "length": k, "energy": e, "reference": ref, "jump": jump}
        for spin in ("restricted", "unrestricted")
        for k, (e, ref, jump) in enumerate(zip(own, label, jumps, strict=True))
    ]
    found = values(Dissociation(), rows)
    for spin in ("restricted", "unrestricted"):
        assert found[f"curve MAE, {spin}"] == pytest.approx(8.0)
        assert found[f"energy at the end MAE, {spin}"] == pytest.approx(10.0)
        assert found[f"hump behind the minimum, {spin}"] == pytest.approx(10.0)
        assert found[f"largest jump, {spin}"] == pytest.approx(7.0)


def test_profile_and_barrier_of_a_torsion():
    angles = np.arange(0.0, 360.0, 30.0)
    label = 2.0 * (1 - np.cos(np.deg2rad(3 * angles)))
    rows = [
        {"series": "a", "scan": "rigid", "angle": phi, "energy": 1.5 * e, "reference": e}
        for phi, e in zip(angles, label, strict=True)
    ]
    found = values(Torsions(), rows)
    assert found["barrier MAE, rigid"] == pytest.approx(0.5 * np.ptp(label))
    assert found["barrier bias, rigid"] == pytest.approx(0.5 * np.ptp(label))
    error = 0.5 * label
    assert found["profile MAE, rigid"] == pytest.approx(np.abs(error - error.mean()).mean())


def test_shares_of_imaginary_modes_and_scaled_errors():
    """Two molecules count alike, whatever their modes; imaginary ones do not scale."""
    mine = {"a": (-100.0, 900.0, 1800.0, 2700.0), "b": (1000.0,)}
    given = {"a": (100.0, 810.0, 1620.0, 2430.0), "b": (900.0,)}
    rows = [
        {"molecule": name, "frequency": one, "reference": other}
        for name in mine
        for one, other in zip(mine[name], given[name], strict=True)
    ]
    found = values(Frequencies(), rows)
    assert found["imaginary modes"] == pytest.approx(12.5)  # a quarter of one, none of the other
    assert found["scale factor"] == pytest.approx(0.9)
    assert found["frequency MAE"] == pytest.approx(0.5 * ((200 + 90 + 180 + 270) / 4 + 100))
    assert found["MAE after scaling"] == pytest.approx(0.5 * 190.0 / 4)


def test_frequencies_are_read_in_ascending_order(tmp_path):
    (tmp_path / "a.extxyz").write_text(
        '3\nProperties=species:S:1:pos:R:3 frequencies="3700 1600 3800"\n'
        "O 0 0 0\nH 0.96 0 0\nH -0.24 0.93 0\n"
    )
    (spectrum,) = read_spectra(tmp_path / "a.extxyz")
    assert spectrum.frequencies.tolist() == [1600.0, 3700.0, 3800.0]


def test_drift_is_the_slope_of_the_total_energy():
    times = np.linspace(0, 2, 201)
    rows = [
        {
            "case": "a",
            "molecule": "a",
            "time": t,
            "energy": 3.0 * t,
            "temperature": 300.0,
            "step_time": 7.0,
        }
        for t in times
    ]
    found = values(Stability(), rows)
    assert found["drift of the energy"] == pytest.approx(3.0)
    assert found["fluctuation of the energy"] == pytest.approx(3.0 * times.std())
    assert found["temperature"] == pytest.approx(300.0)
    assert found["time per step"] == pytest.approx(7.0)
