"""What the engine returns.  Failure is data here: nothing unconverged carries a number."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from enum import Enum
from typing import Any

import numpy as np


class Status(Enum):
    """How a calculation of one molecule ended; the value is the message.

    Where several apply, the last one of them in this list stands (:meth:`or_rather`).
    """

    CONVERGED = "converged"
    UNSTABLE = (
        "converged; an unrestricted solution is lower, as where a bond breaks: give "
        "unrestricted=True"
    )
    UNCERTAIN = "converged; its uncertainty is larger than on the training data of the model"
    NOT_IN_TRAINING = (
        "converged; ions and radicals like it are not in the training data of the model"
    )
    UNCONVERGED = (
        "the SCF did not converge; try another geometry, unrestricted=True, or a larger "
        "max_iterations"
    )
    NOT_FINITE = (
        "the SCF met numbers that are not finite; the geometry or the parameters are absurd"
    )
    OUT_OF_MEMORY = "the molecule alone does not fit into the memory of the machine or the GPU"

    def or_rather(self, other: Status, when: bool) -> Status:
        """The graver of both if the other one applies, else this one."""
        return max(self, other, key=list(Status).index) if when else self


@dataclasses.dataclass(frozen=True)
class SinglePoint:
    """Everything computed for one molecule with A atoms and N orbitals.

    Energies are in eV, lengths in Angstrom, charges in e.  S is 1 for a restricted and 2 for an
    unrestricted calculation (alpha first).  A field is None when it was not asked for; when
    ``converged`` is False ``message`` says why, and all results are NaN: numbers are left only in
    ``iterations`` and ``residual``, which tell how far the SCF came, and ``parameters``.  What did
    not fit into memory has no ``density``, ``bond_orders`` and ``parameters``.

    Attributes
    ----------
    energy : float
        Total energy (electrons and cores; minus the interaction with the field, if there is one;
        with the dispersion correction, if one was asked for).
    forces : (A, 3) array
        Minus the derivative of ``energy``, eV/Angstrom.
    charges : (A,) array
        Net atomic (Coulson) charges.
    mulliken_charges : (A,) array
        Mulliken charges, of the Slater orbitals before Loewdin's orthogonalisation: comparable
        with those of ab initio methods, as Coulson charges are not.
    dipole : (3,) array
        Dipole moment in e*Angstrom; for ions about the centre of mass.
    heat_of_formation : float
        At 298 K, eV; None for a learned model, whose energies are bare electronic energies.
    atomization_energy : float
        Energy of the molecule minus that of its isolated atoms (negative when bound), eV.
    uncertainty : float
        Estimated error of ``atomization_energy``, eV: the calibrated standard deviation over
        the networks of the model's committee.
    uncertain : bool
        Whether that is larger than on the training data; the status says so, too, unless a graver
        one stands.
    dispersion : float
        The dispersion correction alone, eV.
    mo_energies, occupations : (S, N) arrays
        Orbital energies (ascending) and their electrons (0 to 2 restricted, 0 to 1 unrestricted).
    gap, ionization_potential : float
        Lowest unoccupied minus highest occupied orbital energy; minus the highest occupied one.
    density : (S, N, N) array
        Spin densities; for S = 1 the density of one spin (half of the total density).
    bond_orders : (A, A) array
        Wiberg bond orders; the diagonal is zero.
    magmoms : (A,) array
        Alpha minus beta populations.
    spin_squared : float
        Expectation value of S^2.
    stability : float
        Of a restricted calculation: second derivative of the energy when the highest occupied
        orbital is mixed with the lowest empty one, in opposite ways for both spins, eV (see
        :func:`~ase_mlseqm.scf.stability.triplet_curvature`); negative where an unrestricted
        solution is lower.
    parameters : dict
        Hamiltonian parameters of every atom, name to (A,) array (Gaussians (A, 4)).
    charge, multiplicity, unrestricted
        What was computed.
    iterations, residual, rung
        SCF iterations, largest element of the commutator of Fock and density matrix (eV), and
        the convergence aid that was needed (``"diis"`` when none was).
    converged, status
        Whether all numbers may be used, and the :class:`Status`.
    """

    energy: float
    method: str
    charge: int
    multiplicity: int
    unrestricted: bool
    converged: bool
    status: Status
    iterations: int
    residual: float
    rung: str
    forces: np.ndarray | None = None
    charges: np.ndarray | None = None
    mulliken_charges: np.ndarray | None = None
    dipole: np.ndarray | None = None
    heat_of_formation: float | None = None
    atomization_energy: float | None = None
    uncertainty: float | None = None
    uncertain: bool | None = None
    dispersion: float | None = None
    mo_energies: np.ndarray | None = None
    occupations: np.ndarray | None = None
    gap: float | None = None
    ionization_potential: float | None = None
    density: np.ndarray | None = None
    bond_orders: np.ndarray | None = None
    magmoms: np.ndarray | None = None
    spin_squared: float | None = None
    stability: float | None = None
    parameters: dict[str, np.ndarray] | None = None

    @property
    def unstable(self) -> bool:
        """Whether an unrestricted solution is known to be lower."""
        return self.stability is not None and self.stability < 0

    @property
    def message(self) -> str:
        """One sentence on how it ended."""
        if self.converged:
            effort = f"in {self.iterations} iterations ({self.rung})"
            return self.status.value.replace("converged", f"converged {effort}", 1)
        return (
            f"{self.status.value} ({self.iterations} iterations, residual {self.residual:.1e} eV, "
            f"last aid: {self.rung})"
        )

    def to_dict(self) -> dict[str, Any]:
        """JSON-able dictionary (arrays as lists, status as its name)."""
        out: dict[str, Any] = {}
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if isinstance(value, np.ndarray):
                value = value.tolist()
            elif isinstance(value, Status):
                value = value.name.lower()
            elif isinstance(value, dict):
                value = {key: np.asarray(item).tolist() for key, item in value.items()}
            out[field.name] = value
        return out


Callback = Callable[[int, SinglePoint], None]
"""Called with the index of a molecule and its result as soon as it is done."""
