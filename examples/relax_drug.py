"""Relaxation of imatinib, a drug of 68 atoms, with the learned model and with PM3."""

from pathlib import Path

from ase.io import read

from ase_mlseqm import MLSEQM
from ase_mlseqm.workflows import RelaxConfig, relax

start = read(Path(__file__).parent / "imatinib.xyz")
for method in (None, "PM3"):  # None: the learned model
    result = relax(start, MLSEQM(method=method), RelaxConfig(fmax=0.05))
    label = method or "hipnn-pm3"
    print(f"{label}: {result.message}, energy {result.energy:.3f} eV")
    result.atoms.write(f"imatinib_{label}.extxyz")
