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
for method in (None, "PM3"):  # None: the learned model
    label = method or "hipnn-pm3"
    result = dynamics(atoms, MLSEQM(method=method), MDConfig(steps=STEPS), stem=f"ethanol_{label}")
    slope, error = result.drift
    print(f"{label}: {result.message}, {result.mean_temperature:.0f} K")
    print(f"total energy: {slope:.3f} +- {error:.3f} meV/atom/ps")
    plot_energies(result, f"ethanol_{label}_md.png", f"ethanol, {label}")

    dipoles = np.column_stack([result.table[f"dipole_{axis}_eA"] for axis in "xyz"])
    spectrum = ir_spectrum(dipoles, 0.5, result.mean_temperature, timestep=0.5)
    plot_spectrum(spectrum, f"ethanol_{label}_ir.png", f"ethanol, {label}")
    print(f"resolution of the spectrum: {spectrum.resolution:.0f}/cm")

config = MDConfig(ensemble="langevin", steps=STEPS // 10)
for found in replicas([atoms] * 4, Engine("PM3"), config, temperatures=[200, 300, 400, 500]):
    print(f"{found.config.temperature:g} K: {found.message}")
