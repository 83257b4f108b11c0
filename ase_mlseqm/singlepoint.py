"""One batch: from positions to energies, forces and properties."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from . import properties as props
from .batch import Batch
from .errors import InputError
from .model import Model
from .nddo.layout import Layout
from .nddo.parameters import elements
from .results import SinglePoint, Status
from .scf import SCFSettings
from .scf.guess import n_occupied
from .scf.stability import triplet_curvature
from .solution import Solution, Topology, charges_of, solve_at, solve_learned
from .units import EV_TO_KCAL

PROPERTIES = (
    "energy",
    "forces",
    "charges",
    "mulliken_charges",
    "dipole",
    "mo_energies",
    "density",
    "bond_orders",
    "magmoms",
    "parameters",
    "stability",
)
"""What may be asked for; ``mo_energies`` brings occupations, gap and ionization potential, and
``magmoms`` the expectation value of S^2."""
UNCERTAINTY = "uncertainty"
"""What may be asked for besides where the model has a committee."""


def require_known(properties: Iterable[Any]) -> None:
    """Raise :class:`InputError` unless all of them may be asked for."""
    known = (*PROPERTIES, UNCERTAINTY)
    for name in properties:
        if name not in known:
            raise InputError(f"unknown property {name!r}: choose from {', '.join(known)}")


@dataclasses.dataclass
class BatchResult:
    """One computed batch: ``positions`` (n, 3), ``occupied`` (S, B); where they were asked for
    ``dipole`` (B, 3), ``mulliken_charges`` (n,) and ``stability`` (B,); and from a committee
    ``uncertainty`` (B,) and whether it is ``ordinary``."""

    solution: Solution
    positions: Tensor
    occupied: Tensor
    dipole: Tensor | None = None
    mulliken_charges: Tensor | None = None
    stability: Tensor | None = None
    uncertainty: Tensor | None = None
    ordinary: Tensor | None = None

    @property
    def energy(self) -> Tensor:
        """Total energies (B,), eV."""
        return self.solution.energy

    @property
    def forces(self) -> Tensor | None:
        """Forces (n, 3) of all atoms, eV/Angstrom."""
        gradient = self.solution.gradient
        return None if gradient is None else -gradient


def compute(
    batch: Batch,
    model: Model,
    known: Topology,
    *,
    unrestricted: bool,
    properties: Sequence[str],
    settings: SCFSettings,
    field: Tensor | None = None,
    guess: Tensor | None = None,
) -> BatchResult:
    """Energies and properties of a batch."""
    layout = known.layout
    positions = batch.positions.flatten(0, 1).index_select(0, layout.slot)
    occupied = n_occupied(layout, batch.charge, batch.multiplicity, unrestricted)
    forces = "forces" in properties
    if known.constants is None:
        solution = solve_learned(
            model,
            known,
            positions,
            occupied,
            settings,
            with_gradient=forces,
            guess=guess,
            field=field,
        )
    else:
        with torch.inference_mode():
            solution = solve_at(
                known,
                known.constants,
                positions,
                occupied,
                settings,
                with_gradient=forces,
                guess=guess,
                field=field,
            )
    result = BatchResult(solution, positions, occupied)
    if "dipole" in properties:
        with torch.no_grad():
            result.dipole = props.dipoles(layout, solution.constants, solution.atoms, positions)
    if "mulliken_charges" in properties:
        with torch.inference_mode():
            problem, density = solution.problem, solution.scf.density
            result.mulliken_charges = charges_of(known, problem.constants, problem.shape, density)
    if "stability" in properties and not unrestricted:
        builder, scf = solution.problem.builder, solution.scf
        with torch.inference_mode():
            result.stability = triplet_curvature(builder, scf.mo_energies, scf.orbitals, occupied)
    return result


def unpack(
    batch: Batch,
    model: Model,
    layout: Layout,
    result: BatchResult,
    *,
    unrestricted: bool,
    properties: Sequence[str],
) -> list[SinglePoint]:
    """One :class:`SinglePoint` per molecule, on the CPU; NaN where the SCF did not converge."""
    scf = result.solution.scf
    arrays = _arrays(model, layout, result, set(properties))
    converged, iterations = scf.converged.tolist(), scf.iterations.tolist()
    charge, multiplicity = batch.charge.tolist(), batch.multiplicity.tolist()
    n_molecules, n_orbitals = len(converged), layout.n_orbitals.tolist()
    ordinary = [True] * n_molecules if result.ordinary is None else result.ordinary.tolist()

    out, stop = [], 0
    for b, n_atoms in enumerate(layout.n_atoms.tolist()):
        start, stop = stop, stop + n_atoms
        values = arrays.of_molecule(b, slice(start, stop), n_orbitals[b])
        known = model.knows(charge[b], multiplicity[b])
        status = _status(values, converged[b], ordinary[b], not known)
        ok = status not in (Status.UNCONVERGED, Status.NOT_FINITE)
        parameters = arrays.parameters
        out.append(
            SinglePoint(
                method=model.name,
                charge=charge[b],
                multiplicity=multiplicity[b],
                uncertain=not ordinary[b] if ok and result.ordinary is not None else None,
                unrestricted=unrestricted,
                converged=ok,
                status=status,
                iterations=iterations[b],
                rung=scf.rung[b],
                parameters=parameters and {k: v[start:stop].copy() for k, v in parameters.items()},
                **(values if ok else _without_numbers(values)),
            )
        )
    return out


@dataclasses.dataclass(frozen=True)
class _Arrays:
    """What was asked for of B molecules with n atoms, on the CPU; padded with what means nothing.

    Attributes
    ----------
    molecules, atoms : dict
        Arrays (B, ...) and (n, ...) by the names of :class:`SinglePoint`'s fields.
    occupied : (S, B) array
    bond_orders : (B, A, A) array or None
    levels : (S, B, N) array or None
        Orbital energies, eV.
    density : (S, B, N, N) array or None
    parameters : dict or None
        Arrays (n, ...).
    """

    molecules: dict[str, np.ndarray]
    atoms: dict[str, np.ndarray]
    occupied: np.ndarray
    bond_orders: np.ndarray | None
    levels: np.ndarray | None
    density: np.ndarray | None
    parameters: dict[str, np.ndarray] | None

    def of_molecule(self, b: int, atoms: slice, n_orbitals: int) -> dict[str, Any]:
        """Copies of what belongs to a molecule with these atoms and orbitals, without padding."""
        n, n_atoms = n_orbitals, atoms.stop - atoms.start
        values: dict[str, Any] = {
            name: array[b].copy() if array.ndim > 1 else float(array[b])
            for name, array in self.molecules.items()
        }
        values |= {name: array[atoms].copy() for name, array in self.atoms.items()}
        if self.bond_orders is not None:
            values["bond_orders"] = self.bond_orders[b, :n_atoms, :n_atoms].copy()
        if self.levels is not None:
            values |= orbital_results(self.levels[:, b, :n], self.occupied[:, b])
        if self.density is not None:
            values["density"] = self.density[:, b, :n, :n].copy()
        return values


def _arrays(model: Model, layout: Layout, result: BatchResult, asked: set[str]) -> _Arrays:
    """The results of a batch, and what follows from them, brought to the CPU."""
    solution, scf = result.solution, result.solution.scf
    molecules = {
        "energy": solution.energy,
        "atomization_energy": solution.atomization,
        "residual": scf.residual,
        "dipole": result.dipole,
        "stability": result.stability,
        "uncertainty": result.uncertainty,
    }
    atoms = {"forces": result.forces, "mulliken_charges": result.mulliken_charges}
    if not model.learned:
        heat = elements(scf.residual.device).heat_of_formation[layout.numbers]
        formation = solution.atomization + layout.molecule_sum(heat) / EV_TO_KCAL
        molecules["heat_of_formation"] = formation
    if "charges" in asked:
        atoms["charges"] = props.net_charges(solution.atoms)
    if "magmoms" in asked:
        molecules["spin_squared"] = props.spin_squared(scf.density, result.occupied)
        atoms["magmoms"] = props.spin_populations(solution.atoms)
    bonds = props.bond_orders(layout, scf.density) if "bond_orders" in asked else None
    parameters = solution.constants.parameters if "parameters" in asked else None
    return _Arrays(
        {name: _array(found) for name, found in molecules.items() if found is not None},
        {name: _array(found) for name, found in atoms.items() if found is not None},
        _array(result.occupied),
        None if bonds is None else _array(bonds),
        _array(scf.mo_energies) if "mo_energies" in asked else None,
        _array(scf.density) if "density" in asked else None,
        None if parameters is None else {k: _array(v) for k, v in parameters.items()},
    )


def _status(values: dict[str, Any], converged: bool, ordinary: bool, beyond: bool) -> Status:
    """The gravest of what applies; ``beyond`` says whether training data had no such molecule."""
    told = ("energy", "residual", "forces")
    finite = all(np.isfinite(values.get(name, 0.0)).all() for name in told)
    return (
        Status.CONVERGED.or_rather(Status.UNSTABLE, values.get("stability", 0.0) < 0)
        .or_rather(Status.UNCERTAIN, not ordinary)
        .or_rather(Status.NOT_IN_TRAINING, beyond)
        .or_rather(Status.UNCONVERGED, not converged)
        .or_rather(Status.NOT_FINITE, not finite)
    )


def _without_numbers(values: dict[str, Any]) -> dict[str, Any]:
    """NaN in the place of all but the residual, which says how far the SCF came."""
    return {name: value if name == "residual" else _nan(value) for name, value in values.items()}


def orbital_results(levels: np.ndarray, occupied: np.ndarray) -> dict:
    """Occupations, gap and ionization potential from (S, N) energies and (S,) counts."""
    n_spin, n = levels.shape
    filled = np.arange(n) < occupied[:, None]
    homo = max((levels[s, k - 1] for s, k in enumerate(occupied) if k > 0), default=np.nan)
    lumo = min((levels[s, k] for s, k in enumerate(occupied) if k < n), default=np.nan)
    return {
        "mo_energies": levels.copy(),
        "occupations": filled * (2.0 / n_spin),
        "gap": float(lumo - homo),
        "ionization_potential": float(-homo),
    }


def _array(tensor: Tensor) -> np.ndarray:
    return tensor.detach().cpu().numpy()


def _nan(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return np.full_like(value, np.nan, dtype=float)
    return float("nan")
