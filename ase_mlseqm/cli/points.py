"""The commands ``mlseqm sp`` and ``mlseqm relax``."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from ..workflows.relax_config import RelaxConfig

if TYPE_CHECKING:
    from ..runs.run import Run


@dataclasses.dataclass(frozen=True)
class PointOptions:
    """Settings of ``mlseqm sp``."""

    properties: tuple[str, ...] = (
        *("energy", "forces", "charges", "dipole", "mo_energies", "magmoms", "stability"),
    )
    """What to compute, separated by commas."""

    def __post_init__(self) -> None:
        from ..singlepoint import require_known  # torch comes with it

        require_known(self.properties)
        asked = tuple(dict.fromkeys(("energy", *self.properties)))
        object.__setattr__(self, "properties", asked)


@dataclasses.dataclass(frozen=True)
class RelaxOptions(RelaxConfig):
    """Settings of ``mlseqm relax``."""

    trajectory: bool = False
    """Write every step to NAME.traj."""
    figure: bool = True
    """Draw the convergence: NAME_convergence.png, or one figure for more than 20 structures."""


def sp(run: Run, files: list[str], settings: PointOptions) -> int:
    """Single points of all structures, in one batch; written to NAME_sp.extxyz."""
    from ..runs.points import single_points

    return single_points(run, files, settings.properties)


def relax(run: Run, files: list[str], settings: RelaxOptions) -> int:
    """Relax all structures, several as one batch; written to NAME_relaxed.extxyz."""
    from ..runs.relax import relaxations

    return relaxations(run, files, settings)
