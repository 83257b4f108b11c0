"""Molecules put together into batches: by size, within memory, over threads."""

from __future__ import annotations

import contextlib
import functools
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import torch

from .jobs import Job
from .memory import LARGE, physical

MAX_BATCH = 128
"""Molecules in a batch: enough to hide the cost of issuing operations, small enough for caches."""
UNKNOWN_MEMORY = 2e9
"""Bytes, where the system does not say how much it has."""
SMALLEST_SHARE = 12_000
"""Elements of the density matrices that each thread has at least when a batch is divided: issuing
the operations, which one thread at a time can do, takes longer than a few small molecules."""

LIKE, NEAR = 0.85, 8
"""Share of the orbitals of the largest molecule of a batch that the smallest has, or by how many
orbitals it may be smaller: padding costs small molecules less than another batch."""
OVERESTIMATE = 1.6
"""Estimated memory over what was measured, at most; 1.3 to 1.4 for alkanes of 200 to 800 atoms."""
NETWORK = 25_000
"""Numbers that a network keeps of an atom until its gradient, with many neighbours."""
THREADED_ORBITALS = 300
"""Orbitals of a molecule from which more than one thread shortens its calculation."""


def make_buckets(
    jobs: Sequence[Job], device: torch.device, diis_size: int, max_memory: float
) -> list[list[Job]]:
    """Molecules of like size and spin treatment, the largest first.

    Parameters
    ----------
    diis_size : int
        Fock matrices kept for DIIS.
    max_memory : float
        Of all buckets that are computed at one time, bytes.
    """
    # equal compositions side by side: their index maps are built once
    order = sorted(
        jobs,
        key=lambda j: (
            j.unrestricted,
            -j.n_orbitals,
            -j.n_products,
            j.molecule.numbers.tobytes(),
        ),
    )
    buckets: list[list[Job]] = []
    on_cpu = device.type == "cpu"
    limit = MAX_BATCH if on_cpu else 64 * MAX_BATCH
    total = sum(job.n_orbitals**2 for job in jobs)
    threads = torch.get_num_threads() if on_cpu else 1
    share = total / max(1, min(threads, total // SMALLEST_SHARE))
    max_memory /= threads
    memory, elements = 0.0, 0
    for job in order:
        first = buckets[-1][0] if buckets else None
        fits = (
            first is not None
            and job.unrestricted == first.unrestricted
            and job.n_orbitals >= min(LIKE * first.n_orbitals, first.n_orbitals - NEAR)
            and len(buckets[-1]) < limit
            and elements < share
            and memory + _memory(first, diis_size, device) <= max_memory
        )
        if fits:
            buckets[-1].append(job)
        else:
            buckets.append([job])
            memory, elements = 0.0, 0
        elements += job.n_orbitals**2
        memory += _memory(buckets[-1][0], diis_size, device)
    return buckets


def _memory(job: Job, diis_size: int, device: torch.device) -> float:
    """Estimated bytes of one molecule in a batch, up to :data:`OVERESTIMATE` times too many."""
    n, m, n_atoms = job.n_orbitals, job.n_products, len(job.molecule.numbers)
    n_heavy = (m - n_atoms) // 9
    spins = 1 + 3 * job.unrestricted  # which are also searched from other starts
    matrices = n * n * (spins * (diis_size + 12) + 2)
    pairs = 0.5 * (1200 * n_heavy**2 + 200 * n_atoms**2) + 2.5 * m * m
    if n >= LARGE and device.type == "cpu":
        # without the slopes of integrals during the SCF, and without their matrices
        pairs = 0.25 * (1200 * n_heavy**2 + 200 * n_atoms**2)
    network = NETWORK * n_atoms * job.learned
    return 8.0 * (matrices + pairs + network)


def default_memory(device: torch.device) -> float:
    """Bytes that the buckets that are computed at one time may take."""
    if device.type == "cuda":
        # what torch keeps of what it has freed counts as used
        kept = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return 0.5 * (torch.cuda.mem_get_info(device)[0] + kept)
    return 0.25 * (physical() or 4.0 * UNKNOWN_MEMORY)


def is_too_large(job: Job, device: torch.device, diis_size: int) -> bool:
    """Whether a molecule alone needs more than there is.

    Linux gives memory that is not there, and then ends the process with all its results.
    """
    there = physical() if device.type == "cpu" else None
    return there is not None and _memory(job, diis_size, device) > OVERESTIMATE * there


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that there is no memory left."""
    text = str(error).lower()
    return (
        isinstance(error, MemoryError | torch.OutOfMemoryError)
        or "out of memory" in text
        or "alloc_failed" in text  # of the libraries of a GPU
        or "can't allocate memory" in text
    )


@contextlib.contextmanager
def _threads(number: int) -> Iterator[None]:
    """Run with this many threads: short operations lose more by waiting for each other."""
    if number > 1:
        _mind_forks()
    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@functools.cache
def _mind_forks() -> None:
    """Let copies of this process compute with one thread.

    A fork, as multiprocessing makes on Linux, has none of the threads that torch has begun, and
    would wait for them without end.
    """
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=functools.partial(torch.set_num_threads, 1))


def each_bucket(
    work: Callable[[list[Job]], None],
    buckets: list[list[Job]],
    device: torch.device,
    max_memory: float,
    diis_size: int,
) -> None:
    """Do the work on every bucket, on a CPU with all threads for which ``max_memory`` is enough."""
    threads = torch.get_num_threads()
    if device.type != "cpu" or threads == 1 or not buckets:
        for bucket in buckets:
            work(bucket)
    elif len(buckets) == 1:
        with _threads(threads if buckets[0][0].n_orbitals > THREADED_ORBITALS else 1):
            work(buckets[0])
    else:
        # one core a bucket is faster than all cores on one: the matrices are small
        largest = max(len(bucket) * _memory(bucket[0], diis_size, device) for bucket in buckets)
        workers = max(1, min(threads, int(max_memory / largest)))
        with ThreadPoolExecutor(workers, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            try:
                for _ in pool.map(work, buckets):
                    pass
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise
            finally:
                torch.set_num_threads(threads)  # threads to come get what was set last
