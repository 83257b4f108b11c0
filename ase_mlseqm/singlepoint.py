"""One batch: from positions to energies, forces and properties."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from . import properties as props
from .batch import Batch
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
    asked = set(properties)
    solution = result.solution
    scf = solution.scf
    molecules: dict[str, np.ndarray] = {
        "energy": _array(solution.energy),
        "atomization_energy": _array(solution.atomization),
        "residual": _array(scf.residual),
    }
    if not model.learned:
        heat = elements(batch.numbers.device).heat_of_formation[layout.numbers]
        formation = solution.atomization + layout.molecule_sum(heat) / EV_TO_KCAL
        molecules["heat_of_formation"] = _array(formation)
    if result.dipole is not None:
        molecules["dipole"] = _array(result.dipole)
    if result.stability is not None:
        molecules["stability"] = _array(result.stability)
    if result.uncertainty is not None:
        molecules["uncertainty"] = _array(result.uncertainty)
    if "magmoms" in asked:
        molecules["spin_squared"] = _array(props.spin_squared(scf.density, result.occupied))
    if "bond_orders" in asked:
        bond_orders = _array(props.bond_orders(layout, scf.density))
    atoms: dict[str, np.ndarray] = {}
    if result.forces is not None:
        atoms["forces"] = _array(result.forces)
    if "charges" in asked:
        atoms["charges"] = _array(props.net_charges(solution.atoms))
    if result.mulliken_charges is not None:
        atoms["mulliken_charges"] = _array(result.mulliken_charges)
    if "magmoms" in asked:
        atoms["magmoms"] = _array(props.spin_populations(solution.atoms))
    parameters: dict[str, np.ndarray] = {}
    if "parameters" in asked:
        parameters = {k: _array(v) for k, v in solution.constants.parameters.items()}
    if "mo_energies" in asked:
        levels = _array(scf.mo_energies)
    if "density" in asked:
        density = _array(scf.density)
    occupied, n_orbitals = _array(result.occupied), layout.n_orbitals.tolist()
    converged, iterations = scf.converged.tolist(), scf.iterations.tolist()
    charge, multiplicity = batch.charge.tolist(), batch.multiplicity.tolist()
    ordinary = None if result.ordinary is None else result.ordinary.tolist()

    out, stop = [], 0
    for b, n_atoms in enumerate(layout.n_atoms.tolist()):
        n, start, stop = n_orbitals[b], stop, stop + n_atoms
        values: dict = {
            name: array[b].copy() if array.ndim > 1 else float(array[b])
            for name, array in molecules.items()
        }
        for name, array in atoms.items():
            values[name] = array[start:stop].copy()
        if "bond_orders" in asked:
            values["bond_orders"] = bond_orders[b, :n_atoms, :n_atoms].copy()
        if "mo_energies" in asked:
            values |= orbital_results(levels[:, b, :n], occupied[:, b])
        if "density" in asked:
            values["density"] = density[:, b, :n, :n].copy()
        finite = all(
            np.isfinite(values.get(k, 0.0)).all() for k in ("energy", "residual", "forces")
        )
        ok = converged[b] and finite
        uncertain = None if ordinary is None or not ok else not ordinary[b]
        beyond = model.learned and (charge[b] != 0 or multiplicity[b] > 1)
        status = (
            Status.CONVERGED.or_rather(Status.UNSTABLE, values.get("stability", 0.0) < 0)
            .or_rather(Status.UNCERTAIN, bool(uncertain))
            .or_rather(Status.NOT_IN_TRAINING, beyond)
            .or_rather(Status.UNCONVERGED, not ok)
            .or_rather(Status.NOT_FINITE, not finite)
        )
        if not ok:
            values = {
                name: value if name == "residual" else _nan(value) for name, value in values.items()
            }
        if "parameters" in asked:
            values["parameters"] = {k: array[start:stop].copy() for k, array in parameters.items()}
        out.append(
            SinglePoint(
                method=model.name,
                charge=charge[b],
                multiplicity=multiplicity[b],
                uncertain=uncertain,
                unrestricted=unrestricted,
                converged=ok,
                status=status,
                iterations=iterations[b],
                rung=scf.rung[b],
                **values,
            )
        )
    return out


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


def _nan(value):
    return (
        np.full_like(value, np.nan, dtype=float) if isinstance(value, np.ndarray) else float("nan")
    )
