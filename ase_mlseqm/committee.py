"""How sure a learned Hamiltonian is: the disagreement of networks that were trained alike.

Deep ensembles: Lakshminarayanan, Pritzel, Blundell, NeurIPS 30 (2017) 6402; for potentials, Smith,
Nebgen, Lubbers, Isayev, Roitberg, J. Chem. Phys. 148 (2018) 241733.
"""

from __future__ import annotations

import dataclasses
import math

import torch
from torch import Tensor

from .model import LearnedModel
from .nddo.integrals import prepare
from .nddo.layout import Layout
from .scf import SCFSettings
from .solution import Topology, solve_at

TOLERANCE = 0.01
"""eV; of the members' SCF.  What is left out of an energy is of second order in it, far below what
the members disagree by."""


@dataclasses.dataclass(frozen=True)
class Committee:
    """Networks of the form of a model, trained on the same data from other random numbers.

    Attributes
    ----------
    members : tuple of LearnedModel
        Without the model itself.
    scale : float
        Root mean square error over root mean square disagreement, on frames that none of the
        networks was trained on.
    limit : float
        Uncertainty of a molecule per atom that few of these frames exceed, eV: what networks
        disagree about adds up, so that it grows with the number of atoms, not with its root.
    """

    members: tuple[LearnedModel, ...]
    scale: float = 1.0
    limit: float = math.inf

    def on(self, device: torch.device) -> Committee:
        """The same on a device."""
        return dataclasses.replace(self, members=tuple(m.on(device) for m in self.members))

    def knows(self, uncertainty: Tensor, n_atoms: Tensor) -> Tensor:
        """Whether uncertainties (eV) are ordinary for so many atoms; NaN is not."""
        return uncertainty <= self.limit * n_atoms

    def uncertainty(
        self,
        layout: Layout,
        copies: Topology,
        positions: Tensor,
        occupied: Tensor,
        density: Tensor,
        atomization: Tensor,
        field: Tensor | None = None,
    ) -> Tensor:
        """Estimated errors (B,) of the atomization energies of B molecules: ``scale`` times their
        standard deviation over the model and the members, eV; NaN where a member has no solution.

        The members start from the model's density, which is close to theirs, and need no forces:
        they take a few iterations, all as one batch.

        Parameters
        ----------
        layout : Layout
            Of the B molecules; ``copies`` is that of as many copies of them as there are members.
        positions : (n, 3)
            Angstrom.
        occupied : (S, B)
        density : (S, B, N, N)
            The model's, and ``atomization`` (B,) its energies, eV.
        field : (3,), optional
            V/Angstrom.
        """
        number = len(self.members)
        with torch.no_grad():
            values = torch.cat([member.values(layout, positions) for member in self.members])
            parameters = self.members[0].assemble(copies.layout, values)
            solution = solve_at(
                copies,
                prepare(copies.layout, parameters),
                positions.repeat(number, 1),
                occupied.repeat(1, number),
                SCFSettings(tolerance=TOLERANCE, ladder=False),
                with_gradient=False,
                with_orbitals=False,
                guess=density.repeat(1, number, 1, 1),
                field=field,
            )
            failed = solution.scf.residual >= TOLERANCE
            energies = solution.atomization.masked_fill(failed, math.nan).view(number, -1)
            return self.scale * torch.cat((atomization[None], energies)).std(0)
