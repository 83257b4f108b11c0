"""Dynamics of ethanol: conservation of energy, infrared spectrum, two temperatures in one batch."""

import numpy as np
from ase.build import molecule

from ase_mlseqm import MLSEQM, Engine
from ase_mlseqm.workflows import MDConfig, dynamics
from ase_mlseqm.workflows.md_figures import plot_energies, plot_spectrum
from ase_mlseqm.workflows.replicas import replicas
from ase_mlseqm.workflows.spectra import ir_spectrum

STEPS = 300  # a spectrum worth looking at needs 20,000

atoms = molecule("CH3CH2OH")
result = dynamics(atoms, MLSEQM(method="PM3"), MDConfig(steps=STEPS), stem="ethanol")
slope, error = result.drift
print(f"{result.message}, {result.mean_temperature:.0f} K")
print(f"total energy: {slope:.3f} +- {error:.3f} meV/atom/ps")
plot_energies(result, "ethanol_md.png", "ethanol, PM3")

dipoles = np.column_stack([result.table[f"dipole_{axis}_eA"] for axis in "xyz"])
spectrum = ir_spectrum(dipoles, 0.5, result.mean_temperature, timestep=0.5)
plot_spectrum(spectrum, "ethanol_ir.png", "ethanol, PM3")
print(f"resolution of the spectrum: {spectrum.resolution:.0f}/cm")

config = MDConfig(ensemble="langevin", steps=STEPS // 10)
for found in replicas([atoms] * 4, Engine("PM3"), config, temperatures=[200, 300, 400, 500]):
    print(f"{found.config.temperature:g} K: {found.message}")
