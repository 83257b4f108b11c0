"""Transition states of two reactions, what they connect, and barriers beside published ones.

The learned model comes close to such numbers with zero-point energies; PM3's heats of formation
contain zero-point and thermal energies already.  Published: of vinyl alcohol a composite
correlated method (da Silva, Angew. Chem. Int. Ed. 49 (2010) 7523); of allyl vinyl ether the
measured activation energy (Arrhenius) of the gas near 450 K (Schuler and Murphy, J. Am. Chem. Soc.
72 (1950) 3155).
"""

from pathlib import Path

from ase import units
from ase.io import read

from ase_mlseqm import MLSEQM
from ase_mlseqm.workflows.reaction_figures import plot_irc
from ase_mlseqm.workflows.ts import TSConfig, ts

reactions = {
    "keto_enol": ("vinyl alcohol to acetaldehyde", 56.6),
    "claisen": ("allyl vinyl ether to 4-pentenal", 30.6),
}
kcal = units.mol / units.kcal
print(f"{'barrier, kcal/mol':42s} {'electronic':>10s} {'with zero point':>16s} {'published':>10s}")
for file, (name, published) in reactions.items():
    reactant, product, guess = read(Path(__file__).parent / f"{file}.xyz", ":")
    for method in (None, "PM3"):  # None: the learned model
        label = method or "hipnn-pm3"
        top = ts(guess, MLSEQM(method=method), TSConfig(), reactant=reactant, product=product)
        plot_irc(top, f"{file}_{label}.png", f"{name}, {label}")
        barrier, corrected = top.barriers[0] * kcal, top.activation.energies_zero_point[0] * kcal
        print(f"{name:31s} {label:10s} {barrier:10.1f} {corrected:16.1f} {published:10.1f}")
        print(f"  {top.message}; imaginary: {top.imaginary.round()} 1/cm")
