"""What benchmarks/workflows.py times: each part as a loop over ASE calculators and as a batch."""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from ase import Atoms, units
from ase.build import molecule
from ase.collections import g2
from ase.io import read
from ase.md.verlet import VelocityVerlet
from ase.mep import NEB
from ase.optimize import LBFGS
from ase.vibrations import Vibrations

from ase_mlseqm import MLSEQM, Engine
from ase_mlseqm.derivatives import TIGHT
from ase_mlseqm.workflows import MDConfig, RelaxConfig
from ase_mlseqm.workflows.md_config import set_velocities
from ase_mlseqm.workflows.neb import NEBConfig, neb
from ase_mlseqm.workflows.neb_optimizer import BandBFGS
from ase_mlseqm.workflows.neb_path import first_path
from ase_mlseqm.workflows.relax_many import relax_many
from ase_mlseqm.workflows.replicas import replicas
from ase_mlseqm.workflows.vibrations import VibrationsConfig, vibrations

EXAMPLES = Path(__file__).parents[1] / "examples"
Calculator = Callable[..., Any]


class Part(NamedTuple):
    """A workflow: structures in a batch, and functions that do it serially and as a batch.

    Both return numbers in ``unit`` that are to agree.
    """

    name: str
    size: int
    serial: Callable[[Calculator], np.ndarray]
    batch: Callable[[], np.ndarray]
    unit: str


def vibrations_part(options: argparse.Namespace) -> Part:
    """Frequencies of caffeine at a relaxed structure, by central differences."""
    atoms = read(EXAMPLES / f"{options.molecule}.xyz", 0)
    (relaxed,) = relax_many([atoms], ours(options), RelaxConfig(fmax=0.005))
    atoms = relaxed.atoms

    def serial(calculator: Calculator) -> np.ndarray:
        work = atoms.copy()
        work.calc = calculator(tolerance=TIGHT)
        with tempfile.TemporaryDirectory() as folder:
            found = Vibrations(work, name=str(Path(folder) / "vib"), delta=0.001)
            found.run()
            return np.sort(found.get_frequencies().real)[-10:]

    def batch() -> np.ndarray:
        config = VibrationsConfig(relax=False)
        return vibrations(atoms, ours(options), config).frequencies[-10:]

    return Part(f"vibrations of {options.molecule}", 6 * len(atoms), serial, batch, "cm-1")


def path_config(options: argparse.Namespace, steps: int) -> NEBConfig:
    """Springs of equal strength, which plain ASE can have, too."""
    return NEBConfig(
        images=options.images,
        relax_ends=False,
        climb=False,
        spring=5.0,
        spring_low=5.0,
        fmax=1e-6,
        max_steps=steps,
    )


def serial_path(ends: Sequence[Atoms], config: NEBConfig, calculator: Calculator) -> np.ndarray:
    """Energies of the images after the steps of ASE's band."""
    images, _ = first_path(*ends, calculator(), config)
    for image in images:
        image.calc = calculator()
    band = NEB(
        images,
        k=config.spring,
        method="improvedtangent",
        remove_rotation_and_translation=True,
    )
    BandBFGS(band, maxstep=config.max_step_length).run(fmax=1e-6, steps=config.max_steps)
    return np.array([image.get_potential_energy() for image in images])


def neb_part(options: argparse.Namespace) -> Part:
    """Steps of the band of the Claisen rearrangement."""
    ends = read(EXAMPLES / "claisen.xyz", ":2")
    config = path_config(options, options.steps)
    return Part(
        f"path of the Claisen rearrangement, {options.steps} steps",
        options.images,
        lambda calculator: serial_path(ends, config, calculator),
        lambda: neb(*ends, ours(options), config).energies,
        "eV",
    )


def paths_part(options: argparse.Namespace) -> Part:
    """The same of many shaken copies, side by side."""
    rng = np.random.default_rng(0)
    pairs = [read(EXAMPLES / "claisen.xyz", ":2") for _ in range(options.paths)]
    for atoms in (end for ends in pairs for end in ends):
        atoms.positions += rng.normal(scale=0.02, size=atoms.positions.shape)
    steps = max(1, options.steps // 5)
    config = path_config(options, steps)

    def batch() -> np.ndarray:
        found = neb(*map(list, zip(*pairs, strict=True)), ours(options), config)
        return np.array([path.energies for path in found])

    return Part(
        f"{options.paths} such paths side by side, {steps} steps",
        options.paths * options.images,
        lambda calculator: np.array([serial_path(ends, config, calculator) for ends in pairs]),
        batch,
        "eV",
    )


def relaxations_part(options: argparse.Namespace) -> Part:
    """Relaxations of shaken small molecules."""
    rng = np.random.default_rng(0)
    names = [name for name in g2.names if set(molecule(name).symbols) <= set("HCNO")]
    names = [name for name in names if not molecule(name).get_initial_magnetic_moments().any()]
    names = [name for name in names if len(molecule(name)) > 3]
    systems = [molecule(names[k % len(names)]) for k in range(options.molecules)]
    for atoms in systems:
        atoms.positions += rng.normal(scale=0.05, size=atoms.positions.shape)

    def serial(calculator: Calculator) -> np.ndarray:
        energies = []
        for atoms in systems:
            work = atoms.copy()
            work.calc = calculator()
            LBFGS(work, logfile=None).run(fmax=0.01, steps=300)
            energies.append(work.get_potential_energy())
        return np.array(energies)

    def batch() -> np.ndarray:
        config = RelaxConfig(optimizer="LBFGS", fmax=0.01, max_steps=300)
        return np.array([result.energy for result in relax_many(systems, ours(options), config)])

    return Part("relaxations", len(systems), serial, batch, "eV")


def replicas_part(options: argparse.Namespace) -> Part:
    """Velocity Verlet of replicas with velocities of their own."""
    start = read(Path(__file__).parent / "structures" / f"{options.structure}.xyz")
    config = MDConfig(temperature=300.0, steps=options.steps, keep_velocities=True)
    systems = [start.copy() for _ in range(options.replicas)]
    for k, atoms in enumerate(systems):
        set_velocities(atoms, MDConfig(temperature=300.0), np.random.default_rng(k))

    def serial(calculator: Calculator) -> np.ndarray:
        ends = []
        for atoms in systems:
            work = atoms.copy()
            work.calc = calculator()
            VelocityVerlet(work, config.timestep * units.fs).run(options.steps)
            ends.append(work.positions)
        return np.array(ends)

    def batch() -> np.ndarray:
        engine = Engine(options.method or options.model)
        return np.array([r.atoms.positions for r in replicas(systems, engine, config)])

    name = f"replicas of {options.structure}, {options.steps} steps"
    return Part(name, len(systems), serial, batch, "Angstrom")


PARTS = {
    "vibrations": vibrations_part,
    "neb": neb_part,
    "paths": paths_part,
    "relaxations": relaxations_part,
    "replicas": replicas_part,
}


def ours(options: argparse.Namespace, **keywords: Any) -> MLSEQM:
    """A new calculator of this package."""
    return MLSEQM(method=options.method, model=options.model, device=options.device, **keywords)
