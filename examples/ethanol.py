"""Energy, forces and properties of one molecule."""

from ase.build import molecule

from ase_mlseqm import MLSEQM

atoms = molecule("CH3CH2OH")
atoms.calc = MLSEQM(method="PM3")  # or MNDO, AM1

print(f"energy            {atoms.get_potential_energy():12.5f} eV")
print(f"largest force     {abs(atoms.get_forces()).max():12.5f} eV/Angstrom")
print(f"charge of oxygen  {atoms.get_charges()[2]:12.5f} e")
print("dipole           ", atoms.get_dipole_moment().round(5), "e*Angstrom")

result = atoms.calc.singlepoint
print(f"heat of formation {result.heat_of_formation:12.5f} eV")
print(f"HOMO-LUMO gap     {result.gap:12.5f} eV")
print(f"C-C bond order    {result.bond_orders[0, 1]:12.5f}")
print(result.message)

hessian = atoms.calc.get_hessian(atoms)
print("Hessian", hessian.shape, "eV/Angstrom^2")
