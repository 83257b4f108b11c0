"""Many molecules of any sizes in one call: buckets, memory, threads, order."""

from __future__ import annotations

import dataclasses
import functools
import gc
import warnings
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .batch import Batch, Molecule, collate, padded_numbers
from .buckets import (
    default_memory,
    each_bucket,
    is_out_of_memory,
    is_too_large,
    make_buckets,
)
from .committee import Committee
from .devices import find_device
from .dispersion import Dispersion
from .errors import InputError
from .jobs import Job, starting_densities
from .memory import LARGE, give_back
from .model import Model
from .models import find_committee, find_model
from .nddo.constants import undisturbed
from .nddo.integrals import geometry, prepare
from .nddo.layout import Layout
from .options import positive, vector
from .properties import bond_orders
from .results import Callback, SinglePoint, Status
from .scf import SCFSettings
from .scf.guess import n_occupied
from .singlepoint import UNCERTAINTY, compute, require_known, unpack
from .solution import Topology, charges_of, set_up, stability_of, topology
from .validate import check


class Engine:
    """Evaluates molecules with one model on one device.

    Parameters
    ----------
    model : Model or str, optional
        A model, or the name of a method.  Default: the learned model that comes with the package.
    device : str or torch.device
        ``"cpu"`` or ``"cuda"``.
    scf : SCFSettings, optional
        Accuracy and limits of the SCF.
    max_memory : float, optional
        Bound of the memory of the batches computed at one time, bytes; a molecule alone may take
        more.  Default: a quarter of the memory of the machine, or of what a job on a cluster may
        have of it, on the CPU; half of the free memory of a GPU.
    dispersion : Dispersion or str, optional
        Correction to add, as in ``"wb97x-d3bj"``.
    committee : Committee, optional
        Networks whose disagreement is the uncertainty.  Default: those beside the model's file.
    """

    def __init__(
        self,
        model: Model | str | None = None,
        device: str | torch.device = "cpu",
        scf: SCFSettings | None = None,
        max_memory: float | None = None,
        dispersion: Dispersion | str | None = None,
        committee: Committee | None = None,
    ) -> None:
        self.device = find_device(device)
        self.dispersion = (
            Dispersion.named(dispersion) if isinstance(dispersion, str) else dispersion
        )
        found = find_model(model) if model is None or isinstance(model, str) else model
        self.model = found.on(self.device)
        self.scf = scf or SCFSettings()
        if max_memory is not None:
            max_memory = positive("max_memory", max_memory)
        self.max_memory = max_memory if max_memory is not None else default_memory(self.device)
        self._given_committee = committee
        # not a bound method: an engine that is in a cycle would keep its memory for a while
        new = functools.partial(_new_topology, self.model, self.device)
        self._topology = functools.lru_cache(maxsize=8)(new)

    def with_scf(self, scf: SCFSettings) -> Engine:
        """The same with other settings of the SCF."""
        return Engine(
            self.model, self.device, scf, self.max_memory, self.dispersion, self._given_committee
        )

    @functools.cached_property
    def committee(self) -> Committee:
        """That given, or of the model; InputError where there is none."""
        return (self._given_committee or find_committee(self.model)).on(self.device)

    def run(
        self,
        molecules: Sequence[Molecule],
        properties: Sequence[str] = ("energy", "forces"),
        *,
        unrestricted: bool | None = None,
        field: Sequence[float] | None = None,
        guesses: Sequence[np.ndarray | None] | None = None,
        callback: Callback | None = None,
    ) -> list[SinglePoint]:
        """Evaluate molecules; the arguments are those of :func:`ase_mlseqm.evaluate`."""
        if isinstance(properties, str):
            raise InputError(f"properties is {properties!r}: give a list such as [{properties!r}]")
        try:
            properties = tuple(properties)  # which may be used up by a first look
        except TypeError:
            raise InputError(f"properties is {properties!r}: give a list of names") from None
        require_known(properties)
        if UNCERTAINTY in properties:
            _ = self.committee  # an error must come before the work
        jobs = []
        for index, molecule in enumerate(molecules):
            guess = guesses[index] if guesses is not None else None
            try:
                jobs.append(Job.of(index, molecule, self.model, unrestricted, guess))
            except InputError as error:
                which = f"molecule {index}: " if len(molecules) > 1 else ""
                raise InputError(f"{which}{error}") from None
        if not all(job.known for job in jobs):
            warnings.warn(
                "ions and radicals like these are not in the training data of "
                f"{self.model.name}: check these results against another method",
                stacklevel=2,
            )
        field_ = self._field(field)
        results: list[SinglePoint | None] = [None] * len(jobs)

        def work(bucket: list[Job]) -> None:
            for part, outcome in self._run_bucket(bucket, properties, field_):
                for job, result in zip(part, outcome, strict=True):
                    if self.dispersion is not None:
                        result = self.dispersion.added_to(result, job.molecule)
                    results[job.index] = result
                    if callback is not None:
                        callback(job.index, result)

        memory, diis_size = self._memory(properties), self.scf.diis_size
        buckets = make_buckets(jobs, self.device, diis_size, memory)
        large = any(job.n_orbitals >= LARGE for job in jobs)
        if large:
            give_back()
        with undisturbed():
            each_bucket(work, buckets, self.device, memory, diis_size)
        if large:
            give_back()
        return results  # type: ignore[return-value]

    @undisturbed()
    def complete(
        self, molecule: Molecule, point: SinglePoint, field: Sequence[float] | None = None
    ) -> SinglePoint:
        """A result with bond orders, Mulliken charges, parameters and, if it is restricted, its
        stability, for which its density is enough."""
        batch, numbers, layout = self._alone(molecule, point.unrestricted)
        density = torch.from_numpy(point.density).to(self.device).unsqueeze(1)
        positions, at_field = batch.positions[0], self._field(field)
        status, stability = point.status, None
        with torch.no_grad():
            known = self._topology(numbers.shape, numbers.tobytes())
            parameters = self.model.parameters(layout, positions)
            constants = known.constants or prepare(layout, parameters)
            if point.converged and not point.unrestricted:
                problem = set_up(known, constants, positions, with_gradient=False, field=at_field)
                occupied = n_occupied(layout, batch.charge, batch.multiplicity, False)
                stability = float(stability_of(problem, density, occupied))
                status = status.or_rather(Status.UNSTABLE, stability < 0)
            orders = bond_orders(layout, density)[0]
            charges = charges_of(known, constants, geometry(layout, positions), density)
        return dataclasses.replace(
            point,
            mulliken_charges=charges.cpu().numpy(),
            bond_orders=orders.cpu().numpy(),
            parameters={name: value.cpu().numpy() for name, value in parameters.items()},
            stability=stability,
            status=status,
        )

    @undisturbed()
    def assess(
        self, molecule: Molecule, point: SinglePoint, field: Sequence[float] | None = None
    ) -> SinglePoint:
        """A result with its uncertainty, for which its density and energy are enough."""
        batch, numbers, layout = self._alone(molecule, point.unrestricted)
        assert point.atomization_energy is not None
        bare = point.atomization_energy - (point.dispersion or 0.0)
        found, ordinary = self._judged(
            numbers,
            layout,
            batch.positions[0],
            n_occupied(layout, batch.charge, batch.multiplicity, point.unrestricted),
            torch.from_numpy(point.density).to(self.device).unsqueeze(1),
            torch.tensor([bare], dtype=torch.float64, device=self.device),
            self._field(field),
        )
        uncertain = not bool(ordinary)
        status = point.status.or_rather(Status.UNCERTAIN, uncertain)
        return dataclasses.replace(
            point, uncertainty=float(found), uncertain=uncertain, status=status
        )

    def _alone(self, molecule: Molecule, unrestricted: bool) -> tuple[Batch, np.ndarray, Layout]:
        """One molecule as a batch, its (1, A) atomic numbers, and their layout."""
        numbers = padded_numbers([molecule])
        layout = self._topology(numbers.shape, numbers.tobytes()).layout
        return collate([check(molecule, self.model, unrestricted)], self.device), numbers, layout

    def _field(self, field: Sequence[float] | None) -> Tensor | None:
        if field is None:
            return None
        return torch.tensor(vector("field", field), dtype=torch.float64, device=self.device)

    def _memory(self, properties: Sequence[str]) -> float:
        """Of :attr:`max_memory` what there is for the model itself; its committee needs the same
        for every member."""
        copies = 1 + len(self.committee.members) if UNCERTAINTY in properties else 1
        return self.max_memory / copies

    def _run_bucket(
        self, bucket: list[Job], properties: Sequence[str], field: Tensor | None
    ) -> Iterator[tuple[list[Job], list[SinglePoint]]]:
        """Run a bucket, in halves where it does not fit into memory."""
        if len(bucket) == 1 and is_too_large(bucket[0], self.device, self.scf.diis_size):
            yield bucket, [bucket[0].out_of_memory(self.model, properties)]
            return
        outcome = self._tried(bucket, properties, field)
        if outcome is None:
            self._free()
            if len(bucket) == 1:
                outcome = self._tried(bucket, properties, field)
                outcome = outcome or [bucket[0].out_of_memory(self.model, properties)]
        if outcome is not None:
            yield bucket, outcome
            return
        middle = len(bucket) // 2
        yield from self._run_bucket(bucket[:middle], properties, field)
        yield from self._run_bucket(bucket[middle:], properties, field)

    def _tried(self, *of_batch: Any) -> list[SinglePoint] | None:
        """What :meth:`_run_batch` returns; None where there is not memory enough."""
        try:
            return self._run_batch(*of_batch)
        except (MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error):
                raise
            return None

    def _free(self) -> None:
        """Give back what is kept for later batches."""
        self._topology.cache_clear()
        gc.collect()  # what failed may be in cycles
        if self.device.type == "cuda":
            torch.cuda.empty_cache()

    def _run_batch(
        self, bucket: list[Job], properties: Sequence[str], field: Tensor | None
    ) -> list[SinglePoint]:
        molecules = [job.molecule for job in bucket]
        batch = collate(molecules, self.device)
        host = padded_numbers(molecules)
        known = self._topology(host.shape, host.tobytes())
        unrestricted = bucket[0].unrestricted
        result = compute(
            batch,
            self.model,
            known,
            unrestricted=unrestricted,
            properties=properties,
            settings=self.scf,
            field=field,
            guess=starting_densities(bucket, known.layout.N, self.device),
        )
        if UNCERTAINTY in properties:
            solution = result.solution
            result.uncertainty, result.ordinary = self._judged(
                host,
                known.layout,
                result.positions,
                result.occupied,
                solution.scf.density,
                solution.atomization,
                field,
            )
        return unpack(
            batch,
            self.model,
            known.layout,
            result,
            unrestricted=unrestricted,
            properties=properties,
        )

    def _judged(self, numbers: np.ndarray, layout: Layout, *solved: Any) -> tuple[Tensor, Tensor]:
        """Uncertainties (B,) of a batch of padded (B, A) atomic ``numbers``, and whether they are
        ordinary; ``solved`` is what :meth:`Committee.uncertainty` wants to know."""
        copies = np.tile(numbers, (len(self.committee.members), 1))
        known = self._topology(copies.shape, copies.tobytes())
        found = self.committee.uncertainty(layout, known, *solved)
        return found, self.committee.knows(found, layout.n_atoms)


def _new_topology(
    model: Model, device: torch.device, shape: tuple[int, int], numbers: bytes
) -> Topology:
    array = np.frombuffer(numbers, dtype=np.int64).reshape(shape).copy()
    return topology(model, torch.from_numpy(array).to(device))
