"""Heats of formation of many molecules, radicals among them, in one call."""

from ase.build import molecule
from ase.collections import g2

from ase_mlseqm import evaluate

KNOWN = {"H", "C", "N", "O", "F", "Si", "P", "S", "Cl"}
systems = {name: molecule(name) for name in g2.names if set(molecule(name).symbols) <= KNOWN}

# initial magnetic moments of the radicals give their multiplicities
results = evaluate(list(systems.values()), method="PM3", properties=("energy", "dipole"))

print(f"{'molecule':20s} {'2S+1':>4s} {'heat of formation / eV':>22s}")
for name, result in zip(systems, results, strict=True):
    if result.converged:
        print(f"{name:20s} {result.multiplicity:4d} {result.heat_of_formation:22.4f}")
    else:
        print(f"{name:20s} {result.multiplicity:4d} {result.message}")
