"""Which frames of a block are sound."""

from __future__ import annotations

import dataclasses
import functools
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
from ase.data import atomic_numbers

from ..nddo.parameters import METHODS, supported
from ..validate import electron_counts, most_unpaired
from .blocks import NOTHING_STATED, ODD, Block, Broken, State, Units
from .graph import bonds

MIN_DISTANCE = 0.3
"""Angstrom; atoms closer than this lie on top of each other."""

RARE = 0.05
"""Share of the frames of a group below which bonds of their own do not make them an isomer."""
CHUNK = 1000
"""Frames whose bonds are looked for at one time."""

BINDING = (-10.0, 10.0)
"""Atomization energies, eV per atom, outside of which a label is absurd (N2 -4.9, CO -5.6)."""
LARGEST_FORCE = 300.0
"""eV/Angstrom; more is no molecule (two protons at 0.3 Angstrom repel each other by 160)."""


@dataclasses.dataclass
class Clean:
    """F sound frames of one molecule in one state, eV and Angstrom.

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
    mixed: bool = False
    state: State = NOTHING_STATED

    @property
    def multiplicity(self) -> int:
        """The lowest, unless the file says another."""
        if self.state.multiplicity is not None:
            return self.state.multiplicity
        return 1 + (int(self.numbers.sum()) - self.state.charge) % 2

    @property
    def unrestricted(self) -> bool:
        """Open shells, and singlets that are said to be."""
        return self.state.unrestricted or self.multiplicity > 1

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
        numbers = known_numbers(np.asarray(block.numbers))
        energies = np.asarray(block.energies, dtype=np.float64)
        if energies.ndim == 2 and energies.shape[1] == 1:
            energies = energies[:, 0]
        shape = (*energies.shape, len(numbers), 3)
        positions, forces = (
            np.asarray(v, dtype=np.float64) for v in (block.positions, block.forces)
        )
        _expect("energies", energies.ndim == 1, energies.shape, "(frames,)")
        _expect("coordinates", positions.shape == shape, positions.shape, shape)
        _expect("forces", forces.shape == shape, forces.shape, shape)
    except (TypeError, ValueError) as error:
        reason = " ".join(str(error).split())
        return None, [Broken(record, reason) for record in block.frames or [block.name]]
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
        block.mixed,
        block.state,
    )
    charge, spin = out.state.charge, out.multiplicity
    n_electrons = int(numbers.sum()) - charge
    odd = n_electrons % 2 == 1
    excess = abs(charge) > len(numbers) or n_electrons < 1
    unclear = odd and len(numbers) > 1 and not out.state.stated
    wrong = (spin % 2 == 1) == odd or not 1 <= spin <= 1 + _most_unpaired(numbers, charge)
    everything = np.ones(len(energies), dtype=bool)
    reasons = (
        (f"a charge of {charge:+d} is too large", everything & excess),
        (ODD, everything & unclear),
        (f"a multiplicity of {spin} is impossible", everything & wrong),
        ("the energy is not a number", ~np.isfinite(energies)),
        ("a position is not a number", ~np.isfinite(positions).all((1, 2))),
        ("a force is not a number", ~np.isfinite(forces).all((1, 2))),
        (
            f"a force is above {LARGEST_FORCE:.0f} eV/Angstrom",
            (np.abs(out.forces) > LARGEST_FORCE).any((1, 2)),
        ),
        (f"two atoms are closer than {MIN_DISTANCE} Angstrom", _overlap(out.positions)),
    )
    return leave_out(out, reasons)


def _most_unpaired(numbers: np.ndarray, charge: int) -> int:
    """Electrons that may be unpaired in the valence orbitals; all of elements without a table."""
    if not _tabulated().issuperset(numbers.tolist()):
        return int(numbers.sum()) - charge
    neutral, n_orbitals = electron_counts(numbers)
    return most_unpaired(neutral - charge, n_orbitals)


@functools.cache
def _tabulated() -> frozenset[int]:
    """Atomic numbers in the table of any method."""
    return frozenset().union(*map(supported, METHODS))


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


def isomers(block: Clean) -> list[Clean]:
    """The frames of a block by their bonds, unless it has a SMILES.

    A group of a file may hold all molecules with the same atoms in the same order.  Bonds that few
    frames have are those of hot dynamics, unless the group is known to be mixed: of a thousand
    isomers in it each is rare.
    """
    if block.smiles is not None or len(block.energies) == 1:
        return [block]
    keys = [
        np.packbits(linked).tobytes()
        for start in range(0, len(block.positions), CHUNK)
        for linked in bonds(block.numbers, block.positions[start : start + CHUNK])
    ]
    counts = Counter(keys)
    usual, least = counts.most_common(1)[0][0], 0 if block.mixed else RARE * len(keys)
    kinds = [key if counts[key] >= least else usual for key in keys]
    different = list(dict.fromkeys(kinds))
    if len(different) == 1:
        return [block]
    parts = (block.select(np.array([kind == one for kind in kinds])) for one in different)
    return [dataclasses.replace(part, name=f"{block.name}-{k}") for k, part in enumerate(parts, 1)]


def known_numbers(species: np.ndarray) -> np.ndarray:
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
    """Those extras whose unit and shape are known; no dipoles of ions, which depend on an origin
    that files do not state."""
    out = {}
    for name, factor, shape in (
        ("dipoles", units.dipole, (n_frames, 3)),
        ("charges", units.charge, (n_frames, n_atoms)),
        ("homo", units.energy, (n_frames,)),
        ("lumo", units.energy, (n_frames,)),
    ):
        value = None if name == "dipoles" and block.state.charge else block.extras.get(name)
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
