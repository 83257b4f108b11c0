"""What all results that end with computed atoms have in common."""

from __future__ import annotations

import numpy as np
from ase import Atoms


class ComputedAtoms:
    """A result whose ``atoms`` carry energy and forces."""

    atoms: Atoms

    @property
    def energy(self) -> float:
        """Potential energy of ``atoms``, eV."""
        return float(self.atoms.get_potential_energy())

    @property
    def max_force(self) -> float:
        """Largest force on any atom, without constraints, eV/Angstrom."""
        forces = self.atoms.calc.results["forces"]
        return float(np.linalg.norm(forces, axis=1).max(initial=0.0))
