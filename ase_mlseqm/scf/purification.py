"""Densities by purification: products of matrices alone, which a GPU does for all at once.

Diagonalisations of matrices with more than 32 rows run one after the other there, except with
recent versions of its libraries.
"""

from __future__ import annotations

import torch
from torch import Tensor

from .density import aufbau, density_matrix
from .orbitals import eigh

WIDE = 32
"""Rows up to which matrices are diagonalised together."""
MANY = 8
"""Matrices from which their turn by turn takes longer than a purification of all."""
MAX_STEPS = 64
LOOK_EVERY = 8
"""Steps between looks at the error: each look waits for the device."""
DONE = 1e-11
"""Electrons by which a density may fall short of being idempotent before it is polished; the step
after that squares the error."""


class Purification:
    """The lowest orbitals' densities of a batch, from one iteration to the next.

    Parameters and methods are those of :class:`~ase_mlseqm.scf.orbitals.Orbitals`, but nothing is
    kept between the iterations: ``occupied`` (S, B) and ``n_orbitals`` (B,) are all it knows.
    """

    @staticmethod
    def pays(fock: Tensor) -> bool:
        """Whether it is faster than diagonalisation for (S, B, N, N) matrices on their device."""
        n_spin, n_b, n, _ = fock.shape
        return fock.device.type != "cpu" and n > WIDE and n_spin * n_b >= MANY

    def __init__(self, occupied: Tensor, n_orbitals: Tensor) -> None:
        self.occupied, self.n_orbitals = occupied, n_orbitals

    def density(self, fock: Tensor, residual: Tensor) -> Tensor:
        """Spin densities (S, B, N, N) of the lowest orbitals of matrices like ``fock``."""
        n_spin, _, n, _ = fock.shape
        flat, occupied = fock.flatten(0, 1), self.occupied.flatten()
        found, done = purified(flat, occupied, self.n_orbitals.repeat(n_spin))
        if not bool(done.all()):  # hardly any gap, or not finite
            rest = (~done).nonzero().squeeze(1)
            orbitals = eigh(flat[rest])[1].unsqueeze(0)
            found[rest] = density_matrix(orbitals, aufbau(occupied[rest], n).unsqueeze(0))[0]
        return found.view(fock.shape)

    def select(self, keep: Tensor) -> None:
        """Drop all molecules but ``keep`` (indices)."""
        self.occupied, self.n_orbitals = self.occupied[:, keep], self.n_orbitals[keep]


def purified(fock: Tensor, occupied: Tensor, n_orbitals: Tensor) -> tuple[Tensor, Tensor]:
    """Projectors (B, N, N) on the lowest ``occupied`` (B,) eigenvectors of ``fock`` (B, N, N).

    Second-order trace-correcting purification (Niklasson, Phys. Rev. B 66 (2002) 155115): with its
    spectrum reversed and between 0 and 1, the matrix is replaced by X^2 or by 2 X - X^2, whichever
    brings its trace closer to the number of electrons.

    Returns
    -------
    density (B, N, N), and whether (B,) it is one
    """
    real = torch.arange(fock.shape[1], device=fock.device) < n_orbitals.unsqueeze(1)
    target = occupied.to(fock.dtype)
    level = fock.diagonal(dim1=1, dim2=2)
    radius = fock.abs().sum(2) - level.abs()
    # Gershgorin's bounds, a little wider: the spectrum of a diagonal matrix ends at them
    low = torch.where(real, level - radius, torch.inf).amin(1)
    high = torch.where(real, level + radius, -torch.inf).amax(1)
    margin = 0.02 * (high - low) + 0.1
    low, high = low - margin, high + margin
    scale = -1.0 / (high - low)
    inside = torch.where(real, high.unsqueeze(1), level)  # padding becomes empty
    X = (fock - torch.diag_embed(inside)) * scale.view(-1, 1, 1)
    trace = _trace(X)
    for step in range(1, MAX_STEPS + 1):
        squared = torch.bmm(X, X)
        after = _trace(squared)
        lower = (after - target).abs() < (2 * trace - after - target).abs()
        error = trace - after
        X = torch.where(lower.view(-1, 1, 1), squared, 2 * X - squared)
        trace = torch.where(lower, after, 2 * trace - after)
        if step % LOOK_EVERY == 0 and not bool((error.abs() > DONE).any()):
            break
    squared = torch.bmm(X, X)
    X = 3 * squared - 2 * torch.bmm(squared, X)  # McWeeny's polish
    X = 0.5 * (X + X.mT)
    done = (error.abs() <= DONE) & ((_trace(X) - target).abs() < 1e-9)
    return X, done


def _trace(matrices: Tensor) -> Tensor:
    return matrices.diagonal(dim1=1, dim2=2).sum(1)
