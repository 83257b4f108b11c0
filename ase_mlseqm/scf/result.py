"""What an SCF of a batch gives, and which of two outcomes is kept."""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor

from ..nddo.fock import FockBuilder
from .density import aufbau
from .iterate import Attempt
from .orbitals import eigh


@dataclasses.dataclass
class SCFResult:
    """Outcome for B molecules with S spins and N orbitals.

    Attributes
    ----------
    density, fock, orbitals : (S, B, N, N)
        Spin densities, their Fock matrices (eV) and the orbitals of these in columns.
    mo_energies : (S, B, N)
        eV, ascending.
    converged, iterations, residual : (B,)
        Residual in eV; iterations of all rungs together.
    rung : list of str
        The aid that led to the result.
    """

    density: Tensor
    fock: Tensor
    orbitals: Tensor
    mo_energies: Tensor
    converged: Tensor
    iterations: Tensor
    residual: Tensor
    rung: list[str]


def gap(energies: Tensor, occupied: Tensor) -> Tensor:
    """Smallest gap (B,) of either spin between the filled and the empty orbitals."""
    filled = aufbau(occupied, energies.shape[-1]).bool()
    homo = energies.masked_fill(~filled, -torch.inf).amax(-1)
    lumo = energies.masked_fill(filled, torch.inf).amin(-1)
    return (lumo - homo).amin(0)


def bare(attempt: Attempt, tolerance: float) -> SCFResult:
    """A result without orbitals."""
    none = attempt.fock.new_empty(0)
    return SCFResult(
        density=attempt.density,
        fock=attempt.fock,
        orbitals=none,
        mo_energies=none,
        converged=attempt.residual < tolerance,
        iterations=attempt.iterations,
        residual=attempt.residual,
        rung=["diis"] * len(attempt.residual),
    )


def finish(occupied: Tensor, attempt: Attempt, tolerance: float, rung: str) -> SCFResult:
    """Orbitals, energies, and the check that the lowest orbitals are the filled ones."""
    energies, orbitals = eigh(attempt.fock)
    lowest = energies * aufbau(occupied, energies.shape[-1])
    excess = (attempt.fock * attempt.density).sum((0, 2, 3)) - lowest.sum((0, 2))
    converged = (attempt.residual < tolerance) & (excess < 1e-4)
    return SCFResult(
        density=attempt.density,
        fock=attempt.fock,
        orbitals=orbitals,
        mo_energies=energies,
        converged=converged,
        iterations=attempt.iterations,
        residual=attempt.residual,
        rung=[rung] * len(converged),
    )


def chosen(result: SCFResult, where: Tensor) -> SCFResult:
    """That of the molecules ``where`` (indices) alone."""
    return SCFResult(
        **{
            name: getattr(result, name)[:, where]
            for name in ("density", "fock", "orbitals", "mo_energies")
        },
        **{name: getattr(result, name)[where] for name in ("converged", "iterations", "residual")},
        rung=[result.rung[row] for row in where.tolist()],
    )


def merge(part: FockBuilder, result: SCFResult, new: SCFResult, where: Tensor) -> None:
    """Write ``new`` over the molecules ``where`` of ``result``, unless that had a lower energy.

    ``part`` builds the Fock matrices of these molecules.
    """
    old_ok = result.converged[where]
    old_energy = part.energy(result.density[:, where], result.fock[:, where])
    lower = part.energy(new.density, new.fock) < old_energy - 1e-7
    better = new.converged & (~old_ok | lower)
    use = better | ~old_ok
    result.iterations[where] += new.iterations
    at = where[use]
    for name in ("density", "fock", "orbitals", "mo_energies"):
        getattr(result, name)[:, at] = getattr(new, name)[:, use]
    for name in ("converged", "residual"):
        getattr(result, name)[at] = getattr(new, name)[use]
    for row, taken in zip(where.tolist(), use.tolist(), strict=True):
        if taken:
            result.rung[row] = new.rung[0]
