"""File from which a reaction path goes on: its images, and the steps that the optimiser knows."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.calculators.calculator import BaseCalculator
from ase.calculators.singlepoint import SinglePointCalculator

from ase_mlseqm.errors import InputError
from ase_mlseqm.files.broken import is_empty, not_continued

from .checkpoints import read_arrays, write_arrays
from .fingerprint import fingerprint
from .neb_config import NEBConfig


@dataclasses.dataclass
class Known:
    """What is known of a path with M atoms in the images that move.

    Attributes
    ----------
    images : list of ase.Atoms
        With energies and forces, unless it is the first path.
    problems : list of str
        What is wrong with the ends.
    step : int
        Steps that were taken.
    climbing : bool
        Whether the highest image climbs.
    history : list of pairs of (M, 3) arrays
        Positions (Angstrom) and forces of the band (eV/Angstrom) at every step since the optimiser
        was begun, the present ones included: what it has learned follows from these.
    """

    images: list[Atoms]
    problems: list[str]
    step: int = 0
    climbing: bool = False
    history: list[tuple[np.ndarray, np.ndarray]] = dataclasses.field(default_factory=list)


class Checkpoint:
    """What is known of a path, kept in a file beside that of its images.

    The images have fewer digits there; a path that goes on from all digits takes the steps of one
    that was never cut off.

    Parameters
    ----------
    path : Path or None
        File of the images.  None: nothing is read or written.
    ends : pair of ase.Atoms
        Reactant and product as they were given.
    """

    def __init__(
        self, path: Path | None, ends: Sequence[Atoms], calc: BaseCalculator, config: NEBConfig
    ) -> None:
        self.path, self.ends = path, ends
        self.file = None if path is None else path.with_suffix(".checkpoint.npz")
        ends_fmax = config.ends_fmax if config.relax_ends else None
        self.key = fingerprint(calc, ends, config.images, ends_fmax)
        self._steps = [config.optimizer, config.spring, config.spring_low]

    def read(self) -> Known | None:
        """The path in the file, if it is one of this run and that of its images is there, too.

        Raises
        ------
        InputError
            When there is a file that is no checkpoint, or not a whole one, or none beside images.
        """
        if self.path is None or self.file is None:
            return None
        if not self.path.exists() or is_empty(self.path):
            return None
        if not self.file.exists():  # it is written first
            raise InputError(
                f"{self.path} is there, but not {self.file.name}, from which its run would go on: "
                "move it to start anew, or write elsewhere"
            )
        try:
            stored, about = read_arrays(self.file)
            if about["key"] != self.key:
                return None
            images = [self.ends[0].copy() for _ in stored["positions"][1:]] + [self.ends[1].copy()]
            for k, image in enumerate(images):
                image.positions = stored["positions"][k]
                results = {"energy": float(stored["energies"][k]), "forces": stored["forces"][k]}
                image.calc = SinglePointCalculator(image, **results)
            known = Known(images, about["problems"], about["step"], about["climbing"])
            if about["steps"] == self._steps:
                known.history = list(zip(*stored["history"], strict=True))
        except Exception as error:
            raise not_continued(self.file, "a checkpoint of a path", error) from None
        return known

    def write(self, known: Known) -> None:
        """Write it all."""
        if self.file is None:
            return
        about = {
            "key": self.key,
            "steps": self._steps,
            "step": known.step,
            "climbing": known.climbing,
            "problems": known.problems,
        }
        write_arrays(
            self.file,
            about,
            positions=[image.positions for image in known.images],
            energies=[image.get_potential_energy(apply_constraint=False) for image in known.images],
            forces=[image.get_forces(apply_constraint=False) for image in known.images],
            history=np.array(known.history).swapaxes(0, 1),
        )
