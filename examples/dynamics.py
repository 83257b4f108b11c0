"""Dynamics of a peptide: conservation of energy, infrared spectrum, temperatures in one batch."""

from pathlib import Path

import numpy as np
from ase.io import read

from ase_mlseqm import MLSEQM
from ase_mlseqm.workflows import MDConfig, dynamics
from ase_mlseqm.workflows.md_figures import plot_energies, plot_spectrum
from ase_mlseqm.workflows.replicas import replicas
from ase_mlseqm.workflows.spectra import ir_spectrum

STEPS = 200  # a spectrum worth looking at needs 20,000

atoms = read(Path(__file__).parent / "peptide.xyz")  # Ac-Ser-Ala-Gly-NHMe, 40 atoms
for method in (None, "PM3"):  # None: the learned model
    label = method or "hipnn-pm3"
    result = dynamics(atoms, MLSEQM(method=method), MDConfig(steps=STEPS), stem=f"peptide_{label}")
    slope, error = result.drift
    print(f"{label}: {result.message}, {result.mean_temperature:.0f} K")
    print(f"total energy: {slope:.3f} +- {error:.3f} meV/atom/ps")
    plot_energies(result, f"peptide_{label}_md.png", f"peptide, {label}")

    dipoles = np.column_stack([result.table[f"dipole_{axis}_eA"] for axis in "xyz"])
    spectrum = ir_spectrum(dipoles, 0.5, result.mean_temperature, timestep=0.5)
    plot_spectrum(spectrum, f"peptide_{label}_ir.png", f"peptide, {label}")
    print(f"resolution of the spectrum: {spectrum.resolution:.0f}/cm")

config = MDConfig(ensemble="langevin", steps=STEPS // 10)
for found in replicas([atoms] * 4, MLSEQM(method="PM3"), config, temperatures=[200, 300, 400, 500]):
    print(f"{found.config.temperature:g} K: {found.message}")
