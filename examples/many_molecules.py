"""Many molecules, radicals among them, in one call: the learned model beside PM3."""

from ase import units
from ase.build import molecule
from ase.collections import g2

from ase_mlseqm import evaluate

systems = {name: molecule(name) for name in g2.names if set(molecule(name).symbols) <= set("HCNO")}

# initial magnetic moments of the radicals give their multiplicities
learned = evaluate(list(systems.values()), properties=("energy", "dipole"))
plain = evaluate(list(systems.values()), method="PM3", properties=("energy", "dipole"))

print(f"{'atomization energy, kcal/mol':30s} {'2S+1':>4s} {'hipnn-pm3':>10s} {'PM3':>10s}")
for name, one, other in zip(systems, learned, plain, strict=True):
    energies = [point.atomization_energy * units.mol / units.kcal for point in (one, other)]
    if one.converged and other.converged:
        print(f"{name:30s} {one.multiplicity:4d} {energies[0]:10.1f} {energies[1]:10.1f}")
    else:
        print(f"{name:30s} {one.multiplicity:4d} {one.message}, {other.message}")
