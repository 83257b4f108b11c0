"""What lies at the foot of a transition state, and the minima that it is meant to connect."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ase import Atoms
from ase.calculators.calculator import BaseCalculator
from ase.calculators.singlepoint import SinglePointCalculator

from .relax import RelaxConfig, frozen
from .relax_many import relax_many
from .several import forget
from .ts_checkpoint import Checkpoint
from .ts_config import IMAGINARY, Minimum, TSConfig
from .ts_ends import bonds
from .vibrations import VibrationsConfig, VibrationsResult, vibrations

PUSHES = 2
"""How often a foot that is a saddle point itself is left along its first mode."""


def minima_of(
    starts: Sequence[Atoms],
    paths: Sequence[list[Atoms]],
    kept: Checkpoint,
    calc: BaseCalculator,
    config: TSConfig,
    say: Callable[[str], None],
) -> tuple[list[Minimum], list[str]]:
    """Relaxed, as one batch, and their vibrations; and what is worth a remark.

    A reaction coordinate never leaves a symmetry that the transition state has, so that its foot
    may be a saddle point between minima of less: it is left along the first mode.
    """
    known, remarks = kept.known, []
    if not known.feet:
        say("minima")
        relaxing = RelaxConfig(fmax=config.ends_fmax)
        for found in relax_many(starts, calc, relaxing, checkpoint=kept.relaxations):
            if isinstance(found, Exception):
                raise found
            known.feet.append((found.atoms, found.converged))
        kept.write(now=True)
    for (foot, _), path in list(zip(known.feet, paths, strict=True))[len(known.bottoms) :]:
        say("Hessians of the minima")
        forget(calc)  # the result must not depend on the molecule before
        rounds = PUSHES if path else 0  # an end that was given stays where it is
        settings = VibrationsConfig(relax=rounds > 0, follow=rounds, fmax=config.ends_fmax)
        known.bottoms.append(vibrations(foot, calc, settings, cache=kept.hessians))
        kept.write(now=True)
    minima = []
    for k, ((foot, relaxed), bottom, path) in enumerate(
        zip(known.feet, known.bottoms, paths, strict=True)
    ):
        pushed = bool((bottom.atoms.positions != foot.positions).any())
        if pushed:
            relaxed = bottom.max_force <= config.ends_fmax
            gap = foot.get_potential_energy() - bottom.atoms.get_potential_energy()
            remarks.append(
                f"the {('first', 'second')[k]} side of the reaction coordinate ends in a saddle "
                f"point, {gap:.3f} eV above the minimum beside it"
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
    known = kept.given(ends)
    if known is None:
        forget(calc)
        known = []
        for end, found in zip(
            ends, relax_many(ends, calc, RelaxConfig(fmax=config.ends_fmax)), strict=True
        ):
            good = not isinstance(found, Exception) and found.converged
            same = good and bonds(found.atoms) == bonds(end)
            known.append(frozen(found.atoms) if same else end.copy())
        kept.keep_given(ends, known)
    return known
