"""Parameters of atoms are those that the model uses, whatever else is in the batch."""

from __future__ import annotations

import numpy as np
import pytest
from ase.build import molecule as g2
from learned import ALL, atoms_of, learned

from ase_mlseqm import Engine
from ase_mlseqm.batch import Molecule
from ase_mlseqm.errors import InputError
from ase_mlseqm.explain import parameters
from ase_mlseqm.explain.parameters import atom_parameters, unit, untrained
from ase_mlseqm.nddo.parameters import table_parameters

NAMES = ("C6H6", "H2O", "CH3CONH2", "H2", "CH4")


def molecules() -> list[Molecule]:
    """Of different sizes, the largest first."""
    return [Molecule(g2(n).numbers.astype(np.int64), g2(n).positions) for n in NAMES]


def test_values_are_those_of_the_model():
    model = learned(ALL)
    for one, found in zip(molecules(), atom_parameters(model, molecules()), strict=True):
        layout, positions = atoms_of(one)
        values = model.values(layout, positions).detach().numpy()
        have = ~np.isnan(found.values)
        np.testing.assert_allclose(found.values[have], values[have], rtol=1e-12)
        assert (have == (model.head.applies(layout) > 0).numpy()).all()


def test_values_are_those_of_the_engine():
    model = learned()
    (point,) = Engine(model).run(molecules()[:1], ("parameters",))
    (found,) = atom_parameters(model, molecules()[:1])
    for label in found.labels:
        got = found.values[:, found.column(label)]
        have = ~np.isnan(got)
        np.testing.assert_allclose(got[have], point.parameters[label][have], rtol=1e-12)


def test_table_is_pm3():
    (found,) = atom_parameters(learned(), molecules()[2:3])
    layout, _ = atoms_of(molecules()[2])
    table = table_parameters("PM3", layout.numbers)
    heavy = layout.numbers.numpy() > 1
    for label in found.labels:
        got = found.table[:, found.column(label)]
        np.testing.assert_allclose(got[heavy], getattr(table, label).numpy()[heavy], rtol=1e-14)
    np.testing.assert_allclose(found.corrections, found.values - found.table)
    assert np.abs(found.corrections[heavy]).min() > 0


def test_batches_do_not_matter(monkeypatch):
    model = learned()
    together = atom_parameters(model, molecules())
    monkeypatch.setattr(parameters, "MAX_ATOMS", 13)
    for one, other in zip(together, atom_parameters(model, molecules()), strict=True):
        np.testing.assert_allclose(one.values, other.values, rtol=1e-12)


def test_untrained_networks_differ_from_each_other_and_the_table():
    model = learned()
    one, two = (atom_parameters(untrained(model, k), molecules()[:1])[0] for k in (0, 1))
    assert np.nanmax(np.abs(one.values - two.values)) > 1e-4
    assert np.nanmax(np.abs(one.corrections)) > 1e-4


def test_units_and_unknown_names():
    (found,) = atom_parameters(learned(ALL), molecules()[1:2])
    assert [unit(label) for label in found.labels if label.startswith(("K", "L"))] == [
        *("eV Å", "eV Å", "1/Å²", "1/Å²")
    ]
    assert unit("zeta_s") == "1/bohr" and unit("U_pp") == "eV"
    with pytest.raises(InputError, match="does not learn 'U_dd': choose from U_ss, U_pp"):
        found.column("U_dd")
