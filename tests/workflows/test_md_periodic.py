"""Dynamics of a crystal, whose cell does not turn."""

import warnings

import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.emt import EMT

from ase_mlseqm.workflows import MDConfig, dynamics


@pytest.mark.parametrize("ensemble", ["nve", "bussi", "nose-hoover"])
def test_only_translations_are_taken_out(ensemble):
    """The temperature at the start is the one asked for, by 3N - 3 degrees of freedom."""
    crystal = bulk("Al", cubic=True) * (2, 2, 1)
    config = MDConfig(ensemble=ensemble, temperature=200.0, timestep=2.0, steps=3, interval=1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = dynamics(crystal, EMT(), config)
    assert result.completed
    kinetic = result.table["kinetic_eV"][0]
    assert result.table["temperature_K"][0] == pytest.approx(200.0)
    assert 2 * kinetic / (3 * 16 - 3) / 8.617333e-5 == pytest.approx(200.0, rel=1e-6)
    np.testing.assert_allclose(result.atoms.get_momenta().sum(0), 0.0, atol=1e-8)
