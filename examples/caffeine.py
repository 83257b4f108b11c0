"""Infrared spectrum and thermochemistry of caffeine, with the learned model and with PM3."""

from pathlib import Path

import numpy as np
from ase import units
from ase.io import read

from ase_mlseqm import MLSEQM
from ase_mlseqm.workflows.normal_modes import spectrum
from ase_mlseqm.workflows.thermochemistry import ThermoConfig, ideal_gas
from ase_mlseqm.workflows.vibration_figures import plot_spectrum
from ase_mlseqm.workflows.vibrations import vibrations

start = read(Path(__file__).parent / "caffeine.xyz")
grid = np.arange(400.0, 4000.0, 2.0)
for method in (None, "PM3"):  # None: the learned model
    label = method or "hipnn-pm3"
    found = vibrations(start, MLSEQM(method=method))
    absorption = spectrum(found.frequencies, found.intensities, grid, width=10.0)
    plot_spectrum(found, grid, absorption, f"caffeine_{label}.png", f"caffeine, {label}")
    strongest = np.argsort(found.intensities)[-3:][::-1]
    print(f"{label}: strongest bands at", found.frequencies[strongest].round(), "1/cm")
    # Cs: no rotation maps the molecule onto itself
    gas = ideal_gas(found, ThermoConfig(temperatures=(298.15,), symmetry_number=1))
    zero_point = gas.zero_point_energy * units.mol / units.kcal
    entropy = gas.entropies_quasi[0] * units.mol / units.kcal * 1e3
    heat_capacity = gas.heat_capacities[0] * units.mol / units.kcal * 1e3
    print(f"  zero-point energy  {zero_point:8.2f} kcal/mol")
    print(f"  S(298.15 K)        {entropy:8.2f} cal/mol/K")
    print(f"  Cp(298.15 K)       {heat_capacity:8.2f} cal/mol/K")
