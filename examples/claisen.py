"""Claisen rearrangement of allyl vinyl ether: transition state, what it connects, barrier.

Published: the measured activation energy (Arrhenius) of the gas near 450 K, 30.6 kcal/mol (Schuler
and Murphy, J. Am. Chem. Soc. 72 (1950) 3155).  The learned model comes close to such a number with
zero-point energies; PM3's heats of formation contain zero-point and thermal energies already.
"""

from pathlib import Path

from ase import units
from ase.io import read

from ase_mlseqm import MLSEQM
from ase_mlseqm.workflows.reaction_figures import plot_irc
from ase_mlseqm.workflows.ts import TSConfig, ts

reactant, product, guess = read(Path(__file__).parent / "claisen.xyz", ":")
kcal = units.mol / units.kcal
print(f"{'barrier, kcal/mol':12s} {'electronic':>12s} {'with zero point':>16s} {'published':>10s}")
for method in (None, "PM3"):  # None: the learned model
    label = method or "hipnn-pm3"
    top = ts(guess, MLSEQM(method=method), TSConfig(), reactant=reactant, product=product)
    plot_irc(top, f"claisen_{label}.png", f"Claisen rearrangement, {label}")
    barrier = top.barriers[0] * kcal
    corrected = top.activation.energies_zero_point[0] * kcal
    print(f"{label:17s} {barrier:12.1f} {corrected:16.1f} {30.6:10.1f}")
    print(f"  {top.message}; imaginary: {top.imaginary.round()} 1/cm")
