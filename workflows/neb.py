"""Minimum-energy path between two minima: nudged elastic band with a climbing image.

Improved tangents: Henkelman, Jonsson, J. Chem. Phys. 113 (2000) 9978.  Climbing image: Henkelman,
Uberuaga, Jonsson, ibid. 9901.  First path from the image-dependent pair potential (IDPP):
Smidstrup, Pedersen, Stokbro, Jonsson, J. Chem. Phys. 140 (2014) 214106.
"""

from __future__ import annotations

import dataclasses
import hashlib
import io
import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms, optimize
from ase.calculators.calculator import BaseCalculator, CalculatorError
from ase.io import read, write
from ase.mep import NEB
from ase.mep.neb import idpp_interpolate, interpolate
from ase.utils.forcecurve import ForceFit, fit_images

from ase_mlseqm.atoms import charge_and_multiplicity
from ase_mlseqm.errors import InputError
from ase_mlseqm.options import choose, require_not_negative, require_positive
from ase_mlseqm.pymatgen_io import as_atoms
from ase_mlseqm.wholefile import write_whole

from .many import Many
from .relax import RelaxConfig, frozen, relax

OPTIMIZERS = ("BFGS", "LBFGS", "FIRE")
SAME = 0.05
"""Angstrom; ends whose root-mean-square distance is smaller are one structure."""
BOW = (0.02, 0.4)
"""Angstrom; how far the middle of the first path is bent.  The second where it runs through atoms
or stays in a plane, which it could never leave."""
CLASH = 0.7
"""Angstrom; two atoms that are closer are one through the other."""

StepCallback = Callable[[int, list[float], float], None]


@dataclasses.dataclass(frozen=True)
class NEBConfig:
    """Settings of a reaction path."""

    images: int = 9
    """Structures on the path, both ends included."""
    fmax: float = 0.05
    """Largest force of the band on any atom of the converged path, eV/Angstrom."""
    max_steps: int = 500
    """Steps after which the path is given up."""
    spring: float = 2.0
    """Constant of the springs between neighbours, eV/Angstrom^2."""
    climb: bool = True
    """Whether the highest image climbs to the top."""
    climb_fmax: float = 0.5
    """Largest force of the band from which on the highest image climbs, eV/Angstrom."""
    optimizer: str = "BFGS"
    """BFGS, LBFGS or FIRE."""
    max_step_length: float = 0.1
    """Largest displacement of an atom in one step, Angstrom."""
    relax_ends: bool = True
    """Whether reactant and product are relaxed first."""
    ends_fmax: float = 0.01
    """Largest force on any atom of the relaxed ends, eV/Angstrom."""

    def __post_init__(self) -> None:
        choose(self, "optimizer", OPTIMIZERS)
        require_positive(self, "fmax", "spring", "climb_fmax", "max_step_length", "ends_fmax")
        if self.images < 3:
            raise InputError(f"images is {self.images}: give 3 or more, both ends included")
        require_not_negative(self, "max_steps")


@dataclasses.dataclass(frozen=True)
class NEBResult:
    """A path from reactant to product.

    Attributes
    ----------
    images : list of ase.Atoms
        The structures, each with energy (eV) and forces (eV/Angstrom) attached.
    converged : bool
        Whether the largest force of the band is below ``config.fmax`` and both ends are relaxed.
    message : str
        How it ended, and what is wrong with it.
    steps : int
        Steps that were taken, those of earlier runs of the same path included.
    max_force : float
        Largest force of the band on any atom, eV/Angstrom.
    config : NEBConfig
    """

    images: list[Atoms]
    converged: bool
    message: str
    steps: int
    max_force: float
    config: NEBConfig

    @property
    def energies(self) -> np.ndarray:
        """Energies of the images, eV."""
        return np.array([image.get_potential_energy() for image in self.images])

    @property
    def top(self) -> int:
        """Number of the highest image, which may be an end."""
        return int(np.argmax(self.energies))

    @property
    def barrier(self) -> float:
        """Highest image above the reactant, eV; without zero-point energy."""
        return float(self.energies.max() - self.energies[0])

    @property
    def reverse_barrier(self) -> float:
        """Highest image above the product, eV."""
        return float(self.energies.max() - self.energies[-1])

    @property
    def reaction_energy(self) -> float:
        """Product above the reactant, eV."""
        return float(self.energies[-1] - self.energies[0])

    @property
    def intermediates(self) -> list[int]:
        """Inner images 0.02 eV below both neighbours or more: the path has several steps."""
        e = self.energies
        inner = range(1, len(e) - 1)
        return [k for k in inner if e[k] < min(e[k - 1], e[k + 1]) - 0.02]

    @property
    def fit(self) -> ForceFit:
        """The energies with a spline through them and their slopes; Angstrom and eV."""
        return fit_images(self.images)

    def to_dict(self) -> dict[str, Any]:
        """JSON-able dictionary; energies in eV, positions in Angstrom."""
        return {
            "converged": self.converged,
            "message": self.message,
            "steps": self.steps,
            "max_force": self.max_force,
            "barrier": self.barrier,
            "reverse_barrier": self.reverse_barrier,
            "reaction_energy": self.reaction_energy,
            "top": self.top,
            "intermediates": self.intermediates,
            "path_length": np.asarray(self.fit.path).tolist(),
            "energies": self.energies.tolist(),
            "numbers": self.images[0].numbers.tolist(),
            "positions": [image.positions.tolist() for image in self.images],
            "config": dataclasses.asdict(self.config),
        }


class _Band(NEB):
    """ASE's band, of which all inner images are computed at once."""

    def __init__(self, images: list[Atoms], many: Many, config: NEBConfig) -> None:
        super().__init__(images, k=config.spring, method="improvedtangent")
        self.many = many
        self.free = free(images[0])
        self.last_forces = self.computed_at = np.empty((0, 3))

    def get_forces(self) -> np.ndarray:
        """Forces of the band ((images - 2) * atoms, 3), eV/Angstrom."""
        if not np.array_equal(self.computed_at, self.get_positions()):
            if self.free:
                for before, image in itertools.pairwise(self.images):
                    align(image, before)
            self.many(self.images)
            self.computed_at = self.get_positions()  # optimisers ask twice
        self.last_forces = super().get_forces()
        return self.last_forces


def align(atoms: Atoms, target: Atoms) -> None:
    """Move and turn ``atoms`` onto ``target`` (Kabsch, Acta Cryst. A 32 (1976) 922).

    Where several turns are as good, as about the axis of a linear molecule, the smallest is taken:
    otherwise the images next to it would spin at random from step to step.
    """
    centre = target.positions.mean(0)
    here, there = atoms.positions - atoms.positions.mean(0), target.positions - centre
    product = here.T @ there
    u, _, vt = np.linalg.svd(product + 1e-6 * np.linalg.norm(product) * np.eye(3))
    proper = np.diag([1.0, 1.0, np.linalg.det(u @ vt)])
    atoms.positions = here @ u @ proper @ vt + centre


def free(atoms: Atoms) -> bool:
    """Whether a molecule may be moved and turned as a whole."""
    return not atoms.pbc.any() and not atoms.constraints and len(atoms) > 1


def neb(
    reactant: Atoms,
    product: Atoms,
    calc: BaseCalculator,
    config: NEBConfig | None = None,
    *,
    path: str | Path | None = None,
    callback: StepCallback | None = None,
) -> NEBResult:
    """Find the minimum-energy path between two minima.

    Parameters
    ----------
    reactant, product : ase.Atoms
        The same atoms in the same order; not changed.
    calc : ase.calculators.calculator.BaseCalculator
        Any ASE calculator; with :class:`~ase_mlseqm.MLSEQM` all images are one batch.
    config : NEBConfig, optional
    path : str or Path, optional
        extxyz file that gets the images after every step.  Where it holds an unfinished path
        between the same structures, made with the same calculator, the run goes on from there.
    callback : callable, optional
        Called with (step, energies of the images in eV, largest force in eV/Angstrom).

    Returns
    -------
    NEBResult
        ``converged`` is False when the steps were used up, an end could not be relaxed or a later
        step could not be computed; the last path that could be is in it.

    Raises
    ------
    InputError
        When the ends do not match, or are one structure.
    ase.calculators.calculator.CalculatorError
        When the ends or the first path cannot be computed.
    """
    reactant, product = as_atoms(reactant), as_atoms(product)
    config = config or NEBConfig()
    check_ends(reactant, product)
    file = None if path is None else Path(path)
    key = _key(reactant, product, calc, config)
    found = _read(file, key)
    if found is None:
        images, problems = first_path(reactant, product, calc, config)
        start = 0
    else:
        images, problems = found, list(filter(None, [str(found[0].info.get("problems", ""))]))
        start = int(found[0].info["step"])
    band = _Band(images, Many(calc), config)
    record = _Record(band, file, key, start, problems, callback)
    climbing = found is not None and bool(found[0].info["climbing"])
    stages = [(config.climb_fmax, False)] if config.climb and not climbing else []
    try:
        converged = False
        for fmax, band.climb in [*stages, (config.fmax, config.climb)]:
            with _optimizer(config, band) as optimizer:
                optimizer.attach(record)
                left = max(0, config.max_steps - record.step)
                converged = bool(optimizer.run(fmax=fmax, steps=left))
        if not converged:
            problems.append(
                f"not converged in {record.step} steps: largest force {record.max_force:.3g} "
                f"eV/Angstrom, asked for {config.fmax:g}"
            )
    except CalculatorError as error:
        if record.images is None:
            raise
        problems.append(f"stopped after step {record.step}: {error}")
    assert record.images is not None
    result = NEBResult(
        record.images,
        not problems,
        "; ".join(problems) or f"converged in {record.step} steps",
        record.step,
        record.max_force,
        config,
    )
    return _with_remarks(result)


def _with_remarks(result: NEBResult) -> NEBResult:
    """The message says what a path that converged still lacks."""
    remarks = [result.message]
    if result.top in (0, len(result.images) - 1):
        remarks.append("no image is higher than both ends: there is no barrier on this path")
    if result.intermediates:
        where = ", ".join(str(k) for k in result.intermediates)
        remarks.append(f"minimum between the ends at image {where}: split the path there")
    return dataclasses.replace(result, message="; ".join(remarks))


def check_ends(reactant: Atoms, product: Atoms) -> None:
    """Raise :class:`InputError` unless both are the same atoms in the same order."""
    if len(reactant) == 0:
        raise InputError("the reactant has no atoms")
    formulas = [atoms.get_chemical_formula() for atoms in (reactant, product)]
    if formulas[0] != formulas[1]:
        raise InputError(
            f"the reactant is {formulas[0]}, the product {formulas[1]}: give the same atoms"
        )
    differ = np.flatnonzero(reactant.numbers != product.numbers)
    if len(differ):
        k = int(differ[0])
        raise InputError(
            "the atoms of reactant and product are in different orders: atom "
            f"{k} is {reactant[k].symbol} here and {product[k].symbol} there"
        )
    for atoms in (reactant, product):
        if not np.isfinite(atoms.positions).all():
            raise InputError("positions of an end are not finite numbers")
    states = [charge_and_multiplicity(atoms) for atoms in (reactant, product)]
    if states[0] != states[1]:
        raise InputError("charge or multiplicity of reactant and product differ")
    if (reactant.pbc != product.pbc).any() or not np.allclose(reactant.cell, product.cell):
        raise InputError("the cells of reactant and product differ")


def first_path(
    reactant: Atoms, product: Atoms, calc: BaseCalculator, config: NEBConfig
) -> tuple[list[Atoms], list[str]]:
    """Ends, relaxed and aligned, with the IDPP path between them; and what is wrong with them."""
    ends, problems = [reactant.copy(), product.copy()], []
    if config.relax_ends:
        settings = RelaxConfig(fmax=config.ends_fmax)
        for k, name in enumerate(("reactant", "product")):
            calc.reset()
            result = relax(ends[k], calc, settings)
            ends[k] = result.atoms.copy()
            if not result.converged:
                problems.append(f"the {name} is not relaxed ({result.message})")
    calc.reset()
    if free(ends[0]):
        align(ends[1], ends[0])
    if np.sqrt(((ends[0].positions - ends[1].positions) ** 2).sum(1).mean()) < SAME:
        raise InputError(
            "reactant and product are the same structure"
            + (" once they are relaxed" if config.relax_ends else "")
        )
    images = [ends[0], *(ends[0].copy() for _ in range(config.images - 2)), ends[1]]
    periodic = bool(ends[0].pbc.any())
    interpolate(images, mic=periodic, apply_constraint=False)
    stuck = _flat(*ends) or min(_closest(image) for image in images) < CLASH
    bow = BOW[stuck]
    way = np.random.default_rng(0).normal(size=(len(ends[0]), 3))
    way /= np.linalg.norm(way, axis=1).max()
    for k, image in enumerate(images[1:-1], start=1):
        image.set_positions(image.positions + bow * np.sin(np.pi * k / (len(images) - 1)) * way)
    idpp_interpolate(NEB(images, method="improvedtangent"), traj=None, log=None, mic=periodic)
    return images, problems


def _closest(atoms: Atoms) -> float:
    """Shortest distance between two atoms, Angstrom."""
    distances = atoms.get_all_distances(mic=bool(atoms.pbc.any()))
    return float(distances[np.triu_indices(len(atoms), 1)].min(initial=np.inf))


def _flat(reactant: Atoms, product: Atoms) -> bool:
    """Whether all atoms of both ends are in one plane."""
    both = np.concatenate([reactant.positions, product.positions])
    return bool(np.linalg.svd(both - both.mean(0), compute_uv=False)[-1] < 0.1)


def _optimizer(config: NEBConfig, band: _Band) -> Any:
    return getattr(optimize, config.optimizer)(band, logfile=None, maxstep=config.max_step_length)


@dataclasses.dataclass
class _Record:
    """Observer of the optimiser: keeps the last path, and writes it."""

    band: _Band
    file: Path | None
    key: str
    start: int
    problems: list[str]
    callback: StepCallback | None
    images: list[Atoms] | None = None
    step: int = 0
    max_force: float = float("nan")

    def __call__(self) -> None:
        forces = self.band.last_forces
        moved = self.images is None or any(
            (a.positions != b.positions).any()
            for a, b in zip(self.images, self.band.images, strict=True)
        )
        self.max_force = float(np.linalg.norm(forces, axis=1).max())
        if not moved:  # a second stage announces the last path of the first
            return
        self.step = self.start if self.images is None else self.step + 1
        self.images = [frozen(image) for image in self.band.images]
        if self.file is not None:
            self._write(self.file)
        if self.callback is not None:
            self.callback(self.step, self.band.energies.tolist(), self.max_force)

    def _write(self, file: Path) -> None:
        assert self.images is not None
        notes: dict[str, Any] = {
            "neb_key": self.key,
            "step": self.step,
            "climbing": bool(self.band.climb),
            "max_force": self.max_force,
        }
        if self.problems:
            notes["problems"] = "; ".join(self.problems)
        for number, image in enumerate(self.images):
            image.info.update(notes, neb_image=number)
        text = io.StringIO()
        write(text, self.images, format="extxyz")
        write_whole(file, text.getvalue().encode())


def _key(reactant: Atoms, product: Atoms, calc: BaseCalculator, config: NEBConfig) -> str:
    """What has to be equal for a path in a file to be of use."""
    try:
        keywords = dict(calc.todict())
    except (AttributeError, NotImplementedError):
        keywords = {}
    parts: list[Any] = [calc.name, keywords, config.images, config.relax_ends]
    for atoms in (reactant, product):
        parts += [atoms.numbers.tolist(), atoms.positions.round(6).tolist()]
        parts += charge_and_multiplicity(atoms)
    return hashlib.sha256(json.dumps(parts, default=str).encode()).hexdigest()[:16]


def _read(file: Path | None, key: str) -> list[Atoms] | None:
    """The path in a file, if it is one of this run."""
    if file is None or not file.exists():
        return None
    try:
        images = read(file, ":", format="extxyz")
    except Exception:  # whatever it is, it is no path of ours
        return None
    return images if images and all(a.info.get("neb_key") == key for a in images) else None
