"""Accuracies and correlations on made-up data whose answers are known."""

from __future__ import annotations

import dataclasses
import sys
import warnings

import numpy as np
import pytest
from scipy.stats import pearsonr, spearmanr

from ase_mlseqm.errors import InputError
from ase_mlseqm.explain import correlation, statistics
from ase_mlseqm.explain.correlation import correlations
from ase_mlseqm.explain.statistics import accuracy, distributions
from ase_mlseqm.explain.survey import AtomTable, BondTable

RANDOM = np.random.default_rng(5)
KINDS = np.repeat(["sp3", "sp2", "aromatic"], (200, 100, 60))
GROUPS = RANDOM.permutation(np.arange(360) % 60).astype(str)


def test_what_can_be_told_is_told():
    values = np.stack((KINDS == "sp3", KINDS == "sp2"), 1) + 0.01 * RANDOM.normal(size=(360, 2))
    found = accuracy(values, KINDS, GROUPS)
    assert found.linear == found.nearest == 1.0
    assert found.linear_interval == (1.0, 1.0)
    assert found.baseline == pytest.approx(200 / 360)
    assert found.counts == {"sp3": 200, "sp2": 100, "aromatic": 60}
    assert found.recall == {"sp3": 1.0, "sp2": 1.0, "aromatic": 1.0}
    assert found.molecules == 60


def test_noise_tells_no_more_than_the_most_frequent():
    values = RANDOM.normal(size=(360, 3))
    found = accuracy(values, KINDS, GROUPS, untrained=[values])
    assert abs(found.linear - found.baseline) < 0.05
    assert abs(found.nearest - found.baseline) < 0.1
    assert found.untrained_linear == [found.linear]
    low, high = found.linear_interval
    assert low < found.linear < high and 0.05 < high - low < 0.25


def test_a_molecule_is_never_on_both_sides():
    """Values that name the molecule, whose kind is drawn: rows of it elsewhere would tell."""
    groups = np.repeat(np.arange(40), 20)
    kinds = RANDOM.permutation(np.repeat(["sp3", "sp2"], 20))[groups]
    values = RANDOM.normal(size=(40, 4))[groups]
    assert accuracy(values, kinds, groups.astype(str)).nearest < 0.8
    assert accuracy(values, kinds, np.arange(800).astype(str)).nearest > 0.95


def test_rare_kinds_are_left_out():
    kinds = KINDS.copy()
    kinds[:3] = "sp"
    found = accuracy(RANDOM.normal(size=(360, 2)), kinds, GROUPS)
    assert found.left_out == {"sp": 3} and "sp" not in found.counts
    assert accuracy(RANDOM.normal(size=(360, 2)), np.full(360, "sp3"), GROUPS) is None


def test_the_missing_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn", None)
    with pytest.raises(InputError, match=r"scikit-learn: pip install 'ase-mlseqm\[explain\]'"):
        accuracy(RANDOM.normal(size=(360, 2)), KINDS, GROUPS)


def tables(n: int = 120) -> tuple[AtomTable, BondTable]:
    """n bonds between 2n carbon atoms of 20 molecules; the third parameter does not vary."""
    values = RANDOM.normal(size=(2 * n, 3))
    values[:, 2] = 1.5
    hybridisation = np.where(np.arange(2 * n) % 4 < 2, "sp3", "sp2")
    values[:, 1] = (hybridisation == "sp3") + 0.1 * RANDOM.normal(size=2 * n)
    first, second = np.arange(0, 2 * n, 2), np.arange(1, 2 * n, 2)
    length = 1.4 + 0.05 * (values[first, 0] + values[second, 0]) + 0.02 * RANDOM.normal(size=n)
    order = 2.0 - (hybridisation[first] == "sp3") + 0.1 * RANDOM.normal(size=n)
    fragment = (np.arange(2 * n) // 2 % 20).astype(str)
    names = np.full(2 * n, "x")
    atoms = AtomTable(
        labels=("U_ss", "U_pp", "g_sp"),
        frame=np.arange(2 * n) // 2,
        atom=np.arange(2 * n) % 2,
        molecule=names,
        fragment=fragment,
        element=np.full(2 * n, "C"),
        hybridisation=hybridisation,
        neighbours=names,
        values=values,
        table=np.zeros((2 * n, 3)),
    )
    return atoms, BondTable(np.full(n, "C-C"), first, second, length, order)


def test_correlations_are_those_of_scipy():
    atoms, bonds = tables()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = correlations(atoms, bonds)
    assert len(found) == 3 * 2 * 2
    one, other = atoms.values[bonds.first], atoms.values[bonds.second]
    for c in found:
        k = atoms.labels.index(c.parameter)
        x = (one + other)[:, k] / 2 if c.of == "mean" else np.abs(one - other)[:, k]
        y = getattr(bonds, c.target)
        assert (c.bonds, c.molecules) == (120, 20)
        if c.parameter == "g_sp":
            assert np.isnan(c.pearson) and np.isnan(c.spearman) and np.isnan(c.within)
            continue
        assert c.pearson == pytest.approx(pearsonr(x, y).statistic, abs=1e-12)
        assert c.spearman == pytest.approx(spearmanr(x, y).statistic, abs=1e-12)
        assert c.pearson_interval[0] < c.pearson < c.pearson_interval[1]
        assert c.spearman_interval[0] < c.spearman < c.spearman_interval[1]


def test_within_is_what_is_left_beyond_the_hybridisation():
    found = {(c.parameter, c.of, c.target): c for c in correlations(*tables())}
    by_kind = found["U_pp", "mean", "order"]
    assert abs(by_kind.pearson) > 0.9 and abs(by_kind.within) < 0.25
    own = found["U_ss", "mean", "length"]
    assert own.pearson > 0.9 and own.within > 0.9


def test_which_atom_of_a_bond_comes_first_does_not_matter():
    """Between atoms of one element, whatever their hybridisations."""
    atoms, bonds = tables()
    kinds = RANDOM.choice(["sp3", "sp2", "sp"], 240)
    values = atoms.values + (kinds == "sp3")[:, None]
    atoms = dataclasses.replace(atoms, hybridisation=kinds, values=values)
    turned = np.arange(120) % 2 == 1
    first = np.where(turned, bonds.second, bonds.first)
    second = np.where(turned, bonds.first, bonds.second)
    other = dataclasses.replace(bonds, first=first, second=second)
    pairs = list(zip(correlations(atoms, bonds), correlations(atoms, other), strict=True))
    assert len(pairs) == 12
    for one, same in pairs:
        for name in ("pearson", "spearman", "within"):
            expected = pytest.approx(getattr(one, name), abs=1e-12, nan_ok=True)
            assert getattr(same, name) == expected


def test_percentiles_by_hand():
    assert statistics.interval(np.arange(1001.0)) == pytest.approx((25.0, 975.0))
    atoms, _ = tables(101)
    values = np.repeat(np.arange(101.0), 2)[:, None] + [0.0, 1.0, 2.0]
    hybridisation = np.full(202, "sp3")
    atoms = dataclasses.replace(atoms, values=values, hybridisation=hybridisation)
    atoms = dataclasses.replace(atoms, table=np.zeros((202, 3)))
    found = {d.parameter: d for d in distributions(atoms)}
    for k, name in enumerate(("U_ss", "U_pp", "g_sp")):
        one = found[name]
        assert (one.atoms, one.mean, one.median) == (202, pytest.approx(50 + k), 50 + k)
        assert (one.low, one.high) == (pytest.approx(5 + k), pytest.approx(95 + k))


def test_intervals_are_those_of_a_mean_over_atoms():
    """Of 50 molecules nine atoms each are told right, of 50 others the only one is not."""
    told = np.repeat([1.0, 0.0], (450, 50))
    groups = np.concatenate((np.repeat(np.arange(50), 9), np.arange(50, 100)))
    low, high = statistics._interval_of_mean(told, groups)
    # the share of molecules of either kind is that of a coin thrown 100 times
    shares = 0.5 + 1.96 * 0.05 * np.array([-1, 1])
    np.testing.assert_allclose((low, high), 9 * shares / (8 * shares + 1), atol=0.01)


def test_a_bootstrap_draws_molecules():
    """The same numbers many times over in every molecule do not make an interval narrower."""
    groups = np.repeat(np.arange(30), 4)
    values = RANDOM.normal(size=30)[groups]
    low, high = statistics._interval_of_mean(values, groups)
    spread = 3.92 * values[::4].std() / 30**0.5
    assert high - low == pytest.approx(spread, rel=0.2)
    for rows in correlation._resampled(groups):
        drawn = np.bincount(rows, minlength=120).reshape(30, 4)
        assert (drawn == drawn[:, :1]).all() and drawn.sum() == 120


def test_few_molecules_and_unconverged_bonds_are_left_out():
    atoms, bonds = tables()
    bonds.order[::2] = np.nan
    assert {c.bonds for c in correlations(atoms, bonds)} == {60}
    bonds.order[9:] = np.nan
    assert correlations(atoms, bonds) == []


def test_distributions():
    atoms, _ = tables()
    found = {(d.hybridisation, d.parameter): d for d in distributions(atoms)}
    assert len(found) == 6
    d = found["sp3", "U_pp"]
    values = atoms.values[atoms.hybridisation == "sp3", 1]
    assert (d.element, d.unit, d.atoms, d.table) == ("C", "eV", 120, 0.0)
    assert (d.mean, d.median) == (values.mean(), np.median(values))
    assert d.low < d.median < d.high


def test_too_few_atoms_for_neighbours():
    """Five molecules of each of two kinds, an atom each."""
    rng = np.random.default_rng(0)
    kinds = np.array(["sp2", "sp3"] * 5)
    assert accuracy(rng.normal(size=(10, 2)), kinds, np.arange(10)) is None
    kinds = np.array(["sp2", "sp3"] * 20)
    assert accuracy(rng.normal(size=(40, 2)), kinds, np.arange(40)) is not None


def test_hybridisations_of_unlike_atoms_do_not_change_places():
    """Aromatic carbon and sp2 nitrogen are another pair than sp2 carbon and aromatic nitrogen."""
    atoms, bonds = tables()
    element, hybridisation = atoms.element.copy(), atoms.hybridisation.copy()
    element[bonds.second] = "N"
    turned = np.arange(len(bonds.first)) % 2 == 0
    for rows, kinds in ((bonds.first, ("sp2", "aromatic")), (bonds.second, ("aromatic", "sp2"))):
        hybridisation[rows] = np.where(turned, *kinds)
    atoms = dataclasses.replace(atoms, element=element, hybridisation=hybridisation)
    length = np.where(turned, 1.3, 1.4)  # wholly a matter of which of both it is
    bonds = dataclasses.replace(bonds, kind=np.full(len(length), "C-N"), length=length)
    found = [c for c in correlations(atoms, bonds) if c.target == "length"]
    assert found and np.isnan([c.within for c in found]).all()
