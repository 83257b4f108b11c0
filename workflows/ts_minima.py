"""What lies at the foot of a transition state, and the minima that it is meant to connect."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ase import Atoms
from ase.calculators.calculator import BaseCalculator
from ase.calculators.singlepoint import SinglePointCalculator

from .computed import frozen
from .geometry import bonds
from .harmonic import harmonic
from .relax_config import RelaxConfig
from .relax_many import relax_many
from .several import forget
from .ts_checkpoint import Checkpoint
from .ts_config import IMAGINARY, Minimum, TSConfig
from .vibrations import VibrationsConfig, VibrationsResult, vibrations

FOLLOWED = VibrationsConfig(fmax=1e-3, follow=3)
"""How a foot that is a saddle point itself is left along its first mode: beside it forces are as
small as in a minimum."""


def minima_of(
    starts: Sequence[Atoms],
    paths: Sequence[list[Atoms]],
    kept: Checkpoint,
    calc: BaseCalculator,
    config: TSConfig,
    say: Callable[[str], None],
    ends: Sequence[Atoms] = (),
) -> tuple[list[Minimum], list[str]]:
    """Relaxed, as one batch with the ``ends`` that they may be, and their vibrations; and what is
    worth a remark.

    A reaction coordinate never leaves a symmetry that the transition state has, so that its foot
    may be a saddle point between minima of less: it is left along the first mode.
    """
    known, remarks = kept.known, []
    if not known.feet:
        say("minima")
        others = [] if kept.given(ends) is not None else list(ends)
        relaxing = RelaxConfig(fmax=config.ends_fmax)
        found = relax_many([*starts, *others], calc, relaxing, checkpoint=kept.relaxations)
        for foot in found[: len(starts)]:
            if isinstance(foot, Exception):
                raise foot
            known.feet.append((foot.atoms, foot.converged))
        _keep_ends(others, found[len(starts) :], kept)
        kept.write(now=True)
    for (foot, _), path in list(zip(known.feet, paths, strict=True))[len(known.bottoms) :]:
        say("Hessians of the minima")
        forget(calc)  # the result must not depend on the molecule before
        settings = VibrationsConfig(fmax=config.ends_fmax)
        bottom = harmonic(foot, calc, settings, cache=kept.hessians)
        if path and len(bottom.imaginary):  # an end that was given stays where it is
            forget(calc)
            bottom = vibrations(foot, calc, FOLLOWED, cache=kept.hessians)
        known.bottoms.append(bottom)
        kept.write(now=True)
    minima = []
    for (foot, relaxed), bottom, path in zip(known.feet, known.bottoms, paths, strict=True):
        pushed = bool((bottom.atoms.positions != foot.positions).any())
        if pushed:
            relaxed = bottom.max_force <= config.ends_fmax
            gap = foot.get_potential_energy() - bottom.atoms.get_potential_energy()
            remarks.append(
                "a side of the reaction coordinate ends in a saddle point, "
                f"{gap:.3f} eV above the minimum beside it"
            )
        minima.append(Minimum(_at(bottom, foot), relaxed and _is_minimum(bottom), bottom, path))
    return minima, remarks


def _at(bottom: VibrationsResult, foot: Atoms) -> Atoms:
    """The atoms of a foot where its vibrations are."""
    atoms = foot.copy()
    atoms.positions = bottom.atoms.positions
    atoms.calc = SinglePointCalculator(atoms, **bottom.atoms.calc.results)
    return atoms


def _is_minimum(found: VibrationsResult) -> bool:
    return bool((found.frequencies > IMAGINARY).all())


def ends_with_energies(
    ends: Sequence[Atoms], kept: Checkpoint, calc: BaseCalculator, config: TSConfig
) -> list[Atoms]:
    """Reactant and product where they are minima of this method, with their energies.

    Without a calculator stays one that cannot be relaxed, or becomes something else.
    """
    if kept.given(ends) is None:  # others than those that were relaxed with the feet
        forget(calc)
        _keep_ends(ends, relax_many(ends, calc, RelaxConfig(fmax=config.ends_fmax)), kept)
    known = kept.given(ends)
    assert known is not None
    return known


def _keep_ends(ends: Sequence[Atoms], found: Sequence[Any], kept: Checkpoint) -> None:
    if not ends:
        return
    relaxed = []
    for end, one in zip(ends, found, strict=True):
        good = not isinstance(one, Exception) and one.converged and bonds(one.atoms) == bonds(end)
        relaxed.append(frozen(one.atoms) if good else end.copy())
    kept.keep_given(ends, relaxed)
