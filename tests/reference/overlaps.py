"""Overlaps of both programs against exact Slater overlaps (quadrature), for diatomics.

Prints which of the two programs is responsible for the differences between them.
"""

from __future__ import annotations

from math import factorial, sqrt

import numpy as np
from ase.data import atomic_numbers
from mopac import MopacJob, run_mopac_batch
from numpy.polynomial.laguerre import laggauss
from numpy.polynomial.legendre import leggauss
from sparrow import BOHR_IN_ANGSTROM, run_sparrow

BOND_LENGTHS = (
    "H-H 0.75, C-H 1.10, N-H 1.00, O-H 0.95, F-H 0.92, C-C 1.50, C-O 1.20, N-N 1.10, O-O 1.20, "
    "F-F 1.40, Si-H 1.50, P-H 1.40, S-H 1.33, Cl-H 1.28, Br-H 1.45, I-H 1.60, S-O 1.45, C-Cl 1.80, "
    "C-Br 1.95, C-I 2.15, Al-Cl 2.10, Si-Si 2.30, Br-F 1.75, I-Cl 2.30"
)
VALENCE = {"H": 1, "C": 4, "N": 5, "O": 6, "F": 7, "Al": 3, "Si": 4, "P": 5, "S": 6, "Cl": 7}
VALENCE |= {"Br": 7, "I": 7}


def slater_overlap(
    orbital_a: tuple[int, int, float], orbital_b: tuple[int, int, float], distance: float, m: int
) -> float:
    """Overlap of two Slater orbitals (n, l, zeta), B at +z of A; l is 0 or 1, distance in bohr.

    Quadrature in prolate spheroidal coordinates, exact to rounding for these exponents.
    """
    (n_a, l_a, zeta_a), (n_b, l_b, zeta_b) = orbital_a, orbital_b
    scale = distance / 2 * (zeta_a + zeta_b)
    nodes, weights = laggauss(40)
    eta, eta_weights = leggauss(60)
    xi = 1 + nodes[:, None] / scale
    xi_weights = weights[:, None] * np.exp(nodes[:, None]) / scale
    r_a, r_b = distance / 2 * (xi + eta), distance / 2 * (xi - eta)
    radial = r_a ** (n_a - 1) * r_b ** (n_b - 1) * np.exp(-zeta_a * r_a - zeta_b * r_b)
    if m == 0:
        cos_a = (1 + xi * eta) / (xi + eta)
        cos_b = (xi * eta - 1) / (xi - eta)
        angular = sqrt(3) ** (l_a + l_b) / 2 * cos_a**l_a * cos_b**l_b
    else:
        angular = 3 / 4 * (distance / 2) ** 2 * (xi**2 - 1) * (1 - eta**2) / (r_a * r_b)
    norm = _norm(n_a, zeta_a) * _norm(n_b, zeta_b)
    jacobian = (distance / 2) ** 3 * (xi**2 - eta**2)
    return float(norm * (radial * angular * jacobian * xi_weights * eta_weights).sum())


def _norm(n: int, zeta: float) -> float:
    return (2 * zeta) ** (n + 0.5) / sqrt(factorial(2 * n))


def exact_overlap(mopac_result: dict, distance: float) -> np.ndarray:
    """The whole overlap matrix of a diatomic along z, orbitals in the order s, px, py, pz."""
    atoms = np.array(mopac_result["orbital_atoms"])
    symmetry = [int(i - atoms.searchsorted(atom)) for i, atom in enumerate(atoms)]
    shells = mopac_result["principal_quantum_numbers"]
    exponents = mopac_result["orbital_exponents"]
    overlap = np.eye(len(atoms))
    for i in np.flatnonzero(atoms == 0):
        for j in np.flatnonzero(atoms == 1):
            axis = {symmetry[i], symmetry[j]} - {0}
            if axis <= {3} or symmetry[i] == symmetry[j]:
                orbitals = [(shells[k], int(symmetry[k] > 0), exponents[k]) for k in (i, j)]
                m = 0 if axis <= {3} else 1
                overlap[i, j] = overlap[j, i] = slater_overlap(*orbitals, distance, m)
    return overlap


def main() -> None:
    print(f"{'pair':6s} {'method':6s} {'MOPAC - exact':>14s} {'Sparrow - exact':>16s}")
    for bond in BOND_LENGTHS.split(", "):
        pair, length = bond.split()[0], float(bond.split()[1])
        first, second = pair.split("-")
        for method in ("MNDO", "AM1", "PM3"):
            numbers = [atomic_numbers[first], atomic_numbers[second]]
            positions = np.array([[0.0, 0.0, 0.0], [0.0, 0.0, length]])
            charge = (VALENCE[first] + VALENCE[second]) % 2
            mopac = run_mopac_batch([MopacJob(numbers, positions, method, charge, matrices=True)])
            sparrow = run_sparrow(numbers, positions, method, charge, matrices=True)
            exact = exact_overlap(mopac[0], length / BOHR_IN_ANGSTROM)
            errors = [
                f"{abs(result['overlap'] - exact).max():.1e}" if result["converged"] else "-"
                for result in (mopac[0], sparrow)
            ]
            print(f"{pair:6s} {method:6s} {errors[0]:>14s} {errors[1]:>16s}")


if __name__ == "__main__":
    main()
