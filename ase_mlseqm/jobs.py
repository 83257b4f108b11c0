"""One molecule on its way into a batch."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .batch import Molecule
from .errors import InputError
from .model import Model
from .results import SinglePoint, Status
from .validate import check, electron_counts


@dataclasses.dataclass(frozen=True)
class Job:
    """A molecule to compute, the size of its matrices, whether its parameters are learned, and from
    such molecules, and a starting density (S, N, N)."""

    index: int
    molecule: Molecule
    unrestricted: bool
    n_orbitals: int
    n_products: int
    learned: bool
    known: bool
    guess: np.ndarray | None

    @classmethod
    def of(
        cls,
        index: int,
        molecule: Molecule,
        model: Model,
        unrestricted: bool | None,
        guess: np.ndarray | None,
    ) -> Job:
        """The job of a molecule; InputError where the model cannot compute it.

        A guess of another shape, or one with numbers that are not finite, is left out.
        """
        if guess is not None and getattr(guess, "dtype", np.dtype(object)).kind not in "fiu":
            raise InputError("guesses are arrays of real numbers, the `density` of earlier results")
        molecule = check(molecule, model, unrestricted)
        assert molecule.multiplicity is not None
        _, n_orbitals = electron_counts(molecule.numbers)
        spin = molecule.multiplicity > 1 or molecule.unrestricted
        if unrestricted is not None:
            spin = unrestricted
        shape = (1 + spin, n_orbitals, n_orbitals)
        if guess is not None and (guess.shape != shape or not np.isfinite(guess).all()):
            guess = None
        n_products = int(np.where(molecule.numbers > 1, 10, 1).sum())
        known = model.knows(molecule.charge, molecule.multiplicity)
        return cls(index, molecule, spin, n_orbitals, n_products, model.learned, known, guess)

    def out_of_memory(self, model: Model, properties: Sequence[str]) -> SinglePoint:
        """Its result where it did not fit into memory: NaN for what was asked for, without
        matrices, which would need more of it."""
        assert self.molecule.multiplicity is not None
        n_atoms, nan = len(self.molecule.numbers), float("nan")
        levels = (1 + self.unrestricted, self.n_orbitals)
        shapes: dict[str, dict[str, tuple[int, ...]]] = {
            "forces": {"forces": (n_atoms, 3)},
            "charges": {"charges": (n_atoms,)},
            "mulliken_charges": {"mulliken_charges": (n_atoms,)},
            "dipole": {"dipole": (3,)},
            "magmoms": {"magmoms": (n_atoms,), "spin_squared": ()},
            "mo_energies": {
                "mo_energies": levels,
                "occupations": levels,
                "gap": (),
                "ionization_potential": (),
            },
            "stability": {} if self.unrestricted else {"stability": ()},
            "uncertainty": {"uncertainty": ()},
        }
        found: dict[str, Any] = {
            name: np.full(shape, nan) if shape else nan
            for asked in properties
            for name, shape in shapes.get(asked, {}).items()
        }
        if not model.learned:
            found["heat_of_formation"] = nan
        return SinglePoint(
            energy=nan,
            atomization_energy=nan,
            method=model.name,
            charge=self.molecule.charge,
            multiplicity=self.molecule.multiplicity,
            unrestricted=self.unrestricted,
            converged=False,
            status=Status.OUT_OF_MEMORY,
            iterations=0,
            residual=nan,
            rung="none",
            **found,
        )


def starting_densities(bucket: Sequence[Job], n: int, device: torch.device) -> Tensor | None:
    """Padded (S, B, n, n) starting densities, or None unless all molecules bring one."""
    if any(job.guess is None for job in bucket):
        return None
    out = np.zeros((1 + bucket[0].unrestricted, len(bucket), n, n))
    for b, job in enumerate(bucket):
        assert job.guess is not None
        out[:, b, : job.n_orbitals, : job.n_orbitals] = job.guess
    return torch.from_numpy(out).to(device)
