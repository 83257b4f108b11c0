"""Which frames of a block are sound."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
from ase.data import atomic_numbers

from .blocks import Block, Broken, Units

MIN_DISTANCE = 0.3
"""Angstrom; atoms closer than this lie on top of each other."""

BINDING = (-10.0, 10.0)
"""Atomization energies, eV per atom, outside of which a label is absurd (N2 -4.9, CO -5.6)."""


@dataclasses.dataclass
class Clean:
    """F sound frames of one molecule, eV and Angstrom.

    ``extras`` hold dipoles (F, 3), charges (F, A), homo and lumo (F,), NaN where absent.
    """

    name: str
    smiles: str | None
    frames: list[str]
    numbers: np.ndarray
    positions: np.ndarray
    energies: np.ndarray
    forces: np.ndarray
    extras: dict[str, np.ndarray]

    def select(self, keep: np.ndarray) -> Clean:
        """The frames of a mask."""
        return dataclasses.replace(
            self,
            frames=[frame for frame, k in zip(self.frames, keep, strict=True) if k],
            positions=self.positions[keep],
            energies=self.energies[keep],
            forces=self.forces[keep],
            extras={key: value[keep] for key, value in self.extras.items()},
        )


def clean(block: Block, units: Units) -> tuple[Clean | None, list[Broken]]:
    """The sound frames of a block in eV and Angstrom, and the others with their reasons."""
    try:
        numbers = _atomic_numbers(np.asarray(block.numbers))
        energies = np.asarray(block.energies, dtype=np.float64)
        if energies.ndim == 2 and energies.shape[1] == 1:
            energies = energies[:, 0]
        shape = (*energies.shape, len(numbers), 3)
        positions, forces = (
            np.asarray(v, dtype=np.float64) for v in (block.positions, block.forces)
        )
        if len(numbers) > 1 and numbers.sum() % 2:
            raise ValueError("it has unpaired electrons: only closed shells are learned from")
        _expect("energies", energies.ndim == 1, energies.shape, "(frames,)")
        _expect("coordinates", positions.shape == shape, positions.shape, shape)
        _expect("forces", forces.shape == shape, forces.shape, shape)
    except (TypeError, ValueError) as error:
        return None, [Broken(block.name, " ".join(str(error).split()))]
    if not len(energies):
        return None, [Broken(block.name, "there are no frames in it")]
    frames = block.frames or [f"{block.name}[{k}]" for k in range(len(energies))]
    out = Clean(
        block.name,
        block.smiles,
        frames,
        numbers,
        positions * units.length,
        energies * units.energy,
        forces * units.force,
        _extras(block, units, len(energies), len(numbers)),
    )
    reasons = (
        ("the energy is not a number", ~np.isfinite(energies)),
        ("a position is not a number", ~np.isfinite(positions).all((1, 2))),
        ("a force is not a number", ~np.isfinite(forces).all((1, 2))),
        (f"two atoms are closer than {MIN_DISTANCE} Angstrom", _overlap(out.positions)),
    )
    return leave_out(out, reasons)


def leave_out(
    block: Clean, reasons: Sequence[tuple[str, Any]]
) -> tuple[Clean | None, list[Broken]]:
    """Leave out the frames of the masks; the first reason that holds is given."""
    bad = np.any([mask for _, mask in reasons], axis=0)
    if not bad.any():
        return (block if len(bad) else None), []
    broken = [
        Broken(block.frames[k], next(text for text, mask in reasons if mask[k]))
        for k in np.flatnonzero(bad)
    ]
    return (None if bad.all() else block.select(~bad)), broken


def _atomic_numbers(species: np.ndarray) -> np.ndarray:
    """(A,) atomic numbers from numbers or symbols."""
    _expect("species", species.ndim == 1 and len(species) > 0, species.shape, "(atoms,)")
    if species.dtype.kind in "US":
        symbols = [str(v) for v in species.astype(str)]
        unknown = [s for s in symbols if atomic_numbers.get(s, 0) < 1]
        if unknown:
            raise ValueError(f"unknown species {unknown[0]!r}")
        return np.array([atomic_numbers[s] for s in symbols], dtype=np.int64)
    numbers = species.astype(np.int64)
    wrong = species[(numbers != species) | (numbers < 1) | (numbers > 118)]
    if len(wrong):
        raise ValueError(f"unknown species {wrong[0]}")
    return numbers


def _expect(name: str, holds: bool, found: tuple[int, ...], wanted: object) -> None:
    if not holds:
        raise ValueError(f"{name} have shape {found}, not {wanted}")


def _overlap(positions: np.ndarray) -> np.ndarray:
    """(F,) whether two atoms lie on top of each other."""
    i, j = np.triu_indices(positions.shape[1], 1)
    out = np.zeros(len(positions), dtype=bool)
    chunk = max(1, 1_000_000 // max(1, len(i)))  # bounds the memory
    for start in range(0, len(positions), chunk):
        part = positions[start : start + chunk]
        difference = part[:, i] - part[:, j]
        squared = np.einsum("fpx,fpx->fp", difference, difference)
        out[start : start + chunk] = (squared < MIN_DISTANCE**2).any(1)
    return out


def _extras(block: Block, units: Units, n_frames: int, n_atoms: int) -> dict[str, np.ndarray]:
    """Those extras whose unit and shape are known."""
    out = {}
    for name, factor, shape in (
        ("dipoles", units.dipole, (n_frames, 3)),
        ("charges", units.charge, (n_frames, n_atoms)),
        ("homo", units.energy, (n_frames,)),
        ("lumo", units.energy, (n_frames,)),
    ):
        value = block.extras.get(name)
        if value is None or factor is None or value.shape != shape or value.dtype.kind not in "fiu":
            continue
        value = value.astype(np.float64) * factor
        out[name] = np.where(np.isfinite(value), value, np.nan)
    return out


def absurd(block: Clean, isolated: np.ndarray) -> tuple[tuple[str, np.ndarray], ...]:
    """Reason and mask (F,) of energies that no molecule has; isolated atoms (Z,) in eV."""
    per_atom = (block.energies - isolated[block.numbers].sum()) / len(block.numbers)
    lowest, highest = BINDING
    text = f"the atomization energy is not between {lowest:.0f} and {highest:.0f} eV per atom"
    return ((text, (per_atom < lowest) | (per_atom > highest)),)
