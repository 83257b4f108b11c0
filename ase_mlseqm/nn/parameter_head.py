"""From the network's numbers to Hamiltonian parameters: bounded corrections of a published table.

A correction c = b tanh(u x / b) of the network's x is linear near zero and never exceeds b.  It is
added to energies and distances and multiplies the rest as exp(c), so what is positive stays so.
With x = 0 the parameters are exactly those of the table.
"""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor

from ..errors import InputError
from ..nddo.layout import Layout
from ..nddo.parameters import Parameters, table_parameters

PAPER = ("U_ss", "U_pp", "zeta_s", "zeta_p", "beta_p", "g_sp", "g_pp", "g_p2", "h_sp")
"""The nine parameters of Zhou et al., PNAS 119 (2022) e2120333119."""
GAUSSIANS = ("K", "L", "M")
N_LEARNED_GAUSSIANS = 2
"""PM3 has two for every element."""


@dataclasses.dataclass(frozen=True)
class Correction:
    """How the network's x changes a parameter: ``added`` or as a factor exp(c)."""

    unit: float
    bound: float
    added: bool = False


CORRECTIONS = {
    "U_ss": Correction(1.0, 10.0, added=True),
    "U_pp": Correction(1.0, 10.0, added=True),
    "zeta_s": Correction(0.05, 0.5),
    "zeta_p": Correction(0.05, 0.5),
    "beta_s": Correction(0.1, 0.7),
    "beta_p": Correction(0.1, 0.7),
    "g_ss": Correction(0.05, 0.5),
    "g_sp": Correction(0.05, 0.5),
    "g_pp": Correction(0.05, 0.5),
    "g_p2": Correction(0.1, 1.0),
    "h_sp": Correction(0.1, 1.0),
    "alpha": Correction(0.05, 0.4),
    "K": Correction(0.1, 1.0),
    "L": Correction(0.05, 0.5),
    "M": Correction(0.05, 0.5, added=True),
}
"""eV and Angstrom where added.  g_p2 is changed through h_pp = (g_pp - g_p2) / 2, which is what has
to stay positive: exp(c) is the factor of h_pp."""

_HYDROGEN = ("U_ss", "zeta_s", "beta_s", "g_ss", "alpha", *GAUSSIANS)


@dataclasses.dataclass(frozen=True)
class _Rows:
    """Of n atoms and k learned parameters.

    Attributes
    ----------
    table : Parameters
    base : (n, k)
        The table's entries.
    applies, bound : (n, k)
        1 and the bound of the correction where an atom has the parameter, else 0.
    slope : (1, k)
        Units over bounds of the corrections.
    added, factor : (1, k), (n, k)
        A parameter changes by ``added`` c + ``factor`` (exp(c) - 1).
    follow : (k, k)
        What the changes of the columns do to the parameters.
    """

    table: Parameters
    base: Tensor
    applies: Tensor
    bound: Tensor
    slope: Tensor
    added: Tensor
    factor: Tensor
    follow: Tensor


class ParameterHead:
    """Corrections of the parameters ``names`` of the table of ``method``."""

    def __init__(self, names: tuple[str, ...] = PAPER, method: str = "PM3") -> None:
        unknown = [name for name in names if name not in CORRECTIONS]
        if unknown or not names:
            raise InputError(
                f"unknown parameter {unknown[0]!r}: choose from {', '.join(CORRECTIONS)}"
                if unknown
                else "no parameters to learn were named"
            )
        twice = [name for name in names if list(names).count(name) > 1]
        if twice:
            raise InputError(f"the parameter {twice[0]!r} is named twice")
        self.names, self.method = tuple(names), method
        self.columns = tuple(
            (name, k if name in GAUSSIANS else None)
            for name in self.names
            for k in range(N_LEARNED_GAUSSIANS if name in GAUSSIANS else 1)
        )
        rules = [CORRECTIONS[name] for name, _ in self.columns]
        as_row = lambda values: torch.tensor([values], dtype=torch.float64)  # noqa: E731
        self._unit = as_row([rule.unit for rule in rules])
        self._bound = as_row([rule.bound for rule in rules])
        self._added = as_row([float(rule.added) for rule in rules])
        self._hydrogen = as_row([float(name in _HYDROGEN) for name, _ in self.columns])

    @property
    def n_outputs(self) -> int:
        """Numbers that the network has to give for every atom."""
        return len(self.columns)

    def labels(self) -> list[str]:
        """Names of the columns; those of Gaussians with their index."""
        return [name if k is None else f"{name}_{k + 1}" for name, k in self.columns]

    def _rows(self, layout: Layout) -> _Rows:
        """The table's entries of the atoms of a layout."""
        return layout.once((self.method, self.names), lambda: self._new_rows(layout))

    def _new_rows(self, layout: Layout) -> _Rows:
        table = table_parameters(self.method, layout.numbers)
        base = torch.stack([_column(table, name, k) for name, k in self.columns], 1)
        hydrogen = (layout.numbers == 1).unsqueeze(1)
        row = self._hydrogen.to(base.device)
        applies = torch.where(hydrogen, row, torch.ones_like(row))
        for at, (name, k) in enumerate(self.columns):
            if name in GAUSSIANS:  # MNDO has none, AM1's aluminium one
                applies[:, at] *= table.K[:, k] != 0
        bound, slope, added = (
            t.to(base.device) for t in (self._bound, self._unit / self._bound, self._added)
        )
        factor, follow = base * (1.0 - added), torch.eye(self.n_outputs, dtype=base.dtype)
        if "g_p2" in self.names:
            at = self.columns.index(("g_p2", None))
            factor[:, at] = table.g_p2 - table.g_pp
            if "g_pp" in self.names:
                follow[self.columns.index(("g_pp", None)), at] = 1.0
        return _Rows(
            table, base, applies, applies * bound, slope, added, factor, follow.to(base.device)
        )

    def applies(self, layout: Layout) -> Tensor:
        """(n, n_outputs), 1 where an atom has the parameter, else 0."""
        return self._rows(layout).applies

    def corrections(self, layout: Layout, outputs: Tensor) -> Tensor:
        """c (n, n_outputs) from the network's ``outputs`` (n, n_outputs)."""
        rows = self._rows(layout)
        return rows.bound * torch.tanh(outputs * rows.slope)

    def in_units(self, corrections: Tensor) -> Tensor:
        """Corrections in the units of :data:`CORRECTIONS`, comparable among parameters."""
        return corrections / self._unit.to(corrections.device)

    def values(self, layout: Layout, corrections: Tensor) -> Tensor:
        """Corrected parameters (n, n_outputs)."""
        rows = self._rows(layout)
        change = torch.addcmul(rows.factor * torch.expm1(corrections), rows.added, corrections)
        return torch.addmm(rows.base, change, rows.follow)

    def assemble(self, layout: Layout, values: Tensor) -> Parameters:
        """All parameters: ``values`` (n, n_outputs) where learned, the table elsewhere."""
        table = self._rows(layout).table
        found = dict(zip(self.columns, values.unbind(1), strict=True))
        learned = {name: column for (name, k), column in found.items() if k is None}
        for name in GAUSSIANS:
            if name in self.names:
                first = [found[name, k].unsqueeze(1) for k in range(N_LEARNED_GAUSSIANS)]
                learned[name] = torch.cat((*first, getattr(table, name)[:, len(first) :]), 1)
        if "g_pp" in learned and "g_p2" not in learned:
            learned["g_p2"] = table.g_p2 + (learned["g_pp"] - table.g_pp)  # keeps h_pp
        return dataclasses.replace(table, **learned)

    def collect(self, slopes: Parameters) -> Tensor:
        """Derivatives (n, n_outputs) with respect to the values, from ``slopes`` with respect to
        all parameters: the transpose of :meth:`assemble`."""
        if "g_pp" in self.names and "g_p2" not in self.names:
            slopes = dataclasses.replace(slopes, g_pp=slopes.g_pp + slopes.g_p2)
        return torch.stack([_column(slopes, name, k) for name, k in self.columns], 1)


def _column(table: Parameters, name: str, k: int | None) -> Tensor:
    values = getattr(table, name)
    return values if k is None else values[:, k]
