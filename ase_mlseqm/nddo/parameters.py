"""Published parameters of MNDO, AM1 and PM3 (sources in ``data/nddo.json``)."""

from __future__ import annotations

import dataclasses
import functools
import json
from importlib import resources

import torch
from torch import Tensor

from ..errors import InputError
from .constants import lasting

METHODS = ("MNDO", "AM1", "PM3")
N_GAUSSIANS = 4
ATOMIC = (
    *("U_ss", "U_pp", "zeta_s", "zeta_p", "beta_s", "beta_p"),
    *("g_ss", "g_sp", "g_pp", "g_p2", "h_sp", "alpha"),
)  # one number per atom; the Gaussians have N_GAUSSIANS


@dataclasses.dataclass(frozen=True)
class Parameters:
    """Hamiltonian parameters of n atoms, float64.

    Attributes
    ----------
    U_ss, U_pp : (n,)
        One-electron one-centre energies, eV.
    zeta_s, zeta_p : (n,)
        Slater exponents, 1/bohr.
    beta_s, beta_p : (n,)
        Resonance parameters, eV.
    g_ss, g_sp, g_pp, g_p2, h_sp : (n,)
        One-centre two-electron integrals (ss|ss), (ss|pp), (pp|pp), (pp|p'p'), (sp|sp), eV.
    alpha : (n,)
        Core-core exponent, 1/Angstrom.
    K, L, M : (n, 4)
        Core-core Gaussians K exp(-L (R - M)^2): eV Angstrom, 1/Angstrom^2, Angstrom.
    """

    U_ss: Tensor
    U_pp: Tensor
    zeta_s: Tensor
    zeta_p: Tensor
    beta_s: Tensor
    beta_p: Tensor
    g_ss: Tensor
    g_sp: Tensor
    g_pp: Tensor
    g_p2: Tensor
    h_sp: Tensor
    alpha: Tensor
    K: Tensor
    L: Tensor
    M: Tensor

    def items(self) -> list[tuple[str, Tensor]]:
        """Pairs of name and tensor, in the order of the fields."""
        return [(f.name, getattr(self, f.name)) for f in dataclasses.fields(self)]


@dataclasses.dataclass(frozen=True)
class Elements:
    """Properties of the elements that no method changes, indexed by atomic number.

    ``core_charge`` (e), ``shell`` (principal quantum number of the valence shell), ``mass`` (u),
    ``heat_of_formation`` of the gaseous atom at 298 K (kcal/mol).
    """

    core_charge: Tensor
    shell: Tensor
    mass: Tensor
    heat_of_formation: Tensor


@functools.cache
def _data() -> dict:
    table = resources.files("ase_mlseqm").joinpath("data/nddo.json")
    return json.loads(table.read_text("utf-8"))


@functools.cache
@lasting
def elements(device: torch.device) -> Elements:
    """Core charges, shells, masses and heats of formation by atomic number."""
    atoms = _data()["atoms"].values()
    size = 1 + max(atom["number"] for atom in atoms)

    def column(name: str, dtype: torch.dtype) -> Tensor:
        values = torch.zeros(size, dtype=dtype)
        for atom in atoms:
            values[atom["number"]] = atom[name]
        return values.to(device)

    return Elements(
        column("core_charge", torch.int64),
        column("shell", torch.int64),
        column("mass", torch.float64),
        column("heat_of_formation", torch.float64),
    )


@functools.cache
def symbols() -> dict[int, str]:
    """Atomic number to symbol, of the elements that any method knows."""
    return {atom["number"]: symbol for symbol, atom in _data()["atoms"].items()}


@functools.cache
def supported(method: str) -> frozenset[int]:
    """Atomic numbers that ``method`` has parameters for."""
    if method not in METHODS:
        raise InputError(f"unknown method {method!r}: choose one of {', '.join(METHODS)}")
    return frozenset(_data()["atoms"][symbol]["number"] for symbol in _data()["methods"][method])


@functools.cache
@lasting
def _table(method: str, device: torch.device) -> Parameters:
    data = _data()
    size = elements(torch.device("cpu")).core_charge.numel()
    columns = {name: torch.zeros(size, dtype=torch.float64) for name in ATOMIC}
    gaussians = torch.zeros(size, N_GAUSSIANS, 3, dtype=torch.float64)
    for symbol, entry in data["methods"][method].items():
        number = data["atoms"][symbol]["number"]
        for name in ATOMIC:
            columns[name][number] = entry.get(name, 0.0)
        for k, gaussian in enumerate(entry.get("gaussians", [])):
            gaussians[number, k] = torch.tensor(gaussian, dtype=torch.float64)
    return Parameters(
        *(columns[name].to(device) for name in ATOMIC),
        *(gaussians[:, :, k].to(device) for k in range(3)),
    )


def table_parameters(method: str, numbers: Tensor) -> Parameters:
    """Published parameters of the atoms with the given (n,) atomic numbers."""
    table = _table(method, numbers.device)
    return Parameters(*(column[numbers] for _, column in table.items()))
