"""Trajectories in HDF5, in the layout of H5MD.

H5MD 1.1 (de Buyl, Colberg and Hofling, Comput. Phys. Commun. 185 (2014) 1546; h5md.nongnu.org) is
read by MDAnalysis and others.  Its units are attributes; those written here are in :data:`VALUES`.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms, units
from ase.calculators.singlepoint import SinglePointCalculator

from ase_mlseqm.errors import InputError
from ase_mlseqm.summary import versions
from ase_mlseqm.wholefile import write_whole

UNITS = {
    "fs": 1.0,
    "ps": 1e3,
    "Angstrom": 1.0,
    "nm": 10.0,
    "Angstrom fs-1": 1.0 / units.fs,
    "Angstrom ps-1": 1e-3 / units.fs,
    "nm ps-1": 1e-2 / units.fs,
    "eV": 1.0,
    "kJ mol-1": units.kJ / units.mol,
    "eV Angstrom-1": 1.0,
    "kJ mol-1 Angstrom-1": units.kJ / units.mol,
    "kJ mol-1 nm-1": 0.1 * units.kJ / units.mol,
    "e Angstrom": 1.0,
}
"""Units that are understood, in those of ASE; times are in fs."""

VALUES: dict[str, tuple[str, Callable[[Atoms], Any]]] = {
    "particles/all/position": ("Angstrom", lambda atoms: atoms.positions),
    "particles/all/velocity": ("Angstrom fs-1", lambda atoms: atoms.get_velocities()),
    # MDAnalysis does not know electronvolts
    "particles/all/force": ("kJ mol-1 Angstrom-1", lambda atoms: _result(atoms, "forces")),
    "observables/potential_energy": ("kJ mol-1", lambda atoms: _result(atoms, "energy")),
    "observables/kinetic_energy": ("kJ mol-1", lambda atoms: atoms.get_kinetic_energy()),
    "observables/dipole": ("e Angstrom", lambda atoms: _result(atoms, "dipole")),
}
"""What is written of every frame: path in the file, unit, and the value in ASE's unit."""

ATOMS = {
    "species": "numbers",
    "charge": "initial_charges",
    "magmom": "initial_magmoms",
    "tag": "tags",
}
"""Arrays of the atoms that do not change, by their name in the file."""

CHUNK = 2**14
"""Bytes of a chunk."""
LARGEST = 2**15
"""Bytes of an attribute; HDF5 has a limit of twice as much."""


class H5MD:
    """Trajectory in an H5MD file; its size is its number of frames.

    Every change is made to a copy that takes the file's place when it is whole: the process may be
    killed at any moment, and others can read the file at any moment.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        _h5py()

    def size(self) -> int:
        """Number of frames."""
        if not self.path.exists():
            return 0
        with _opened(self.path) as file:
            return len(file["particles/all/position/step"])

    def cut(self, size: int) -> None:
        """Keep the first frames only."""
        if size < self.size():
            with self._copy() as file:
                _resize(file, size)

    def append(self, frames: Sequence[Atoms]) -> None:
        """Add frames that have a step and a time in ``info``."""
        with self._copy() as file:
            if not len(file):
                _create(file, frames[0])
            start = len(file["particles/all/position/step"])
            _resize(file, start + len(frames))
            for name, (unit, value) in VALUES.items():
                if name in file:
                    file[f"{name}/value"][start:] = [value(a) / UNITS[unit] for a in frames]
            for name, key in (("step", "step"), ("time", "time_fs")):
                file[f"particles/all/position/{name}"][start:] = [a.info[key] for a in frames]

    def velocities(self, first: int = 0) -> np.ndarray:
        """Velocities of all frames from the ``first`` on, (T, A, 3), in ASE's unit."""
        with _opened(self.path) as file:
            return _values(file, "particles/all/velocity", slice(first, None))

    @contextlib.contextmanager
    def _copy(self) -> Iterator[Any]:
        # in memory: HDF5 does not survive a disk that fills up
        image = io.BytesIO(self.path.read_bytes() if self.path.exists() else b"")
        with _h5py().File(image, "r+" if self.path.exists() else "w") as file:
            yield file
        write_whole(self.path, image.getbuffer())


def read_h5md(path: str | Path, index: int | slice = slice(None)) -> list[Atoms]:
    """Frames of an H5MD file, with their velocities and results.

    Parameters
    ----------
    path : str or Path
        Written by :func:`dynamics`, or by another program that gives units and, as species, atomic
        numbers.
    index : int or slice
        Which frames; default: all.

    Returns
    -------
    list of ase.Atoms
        ``info`` has step and ``time_fs``, the calculator energy, forces and dipole moment, all in
        ASE's units.

    Raises
    ------
    InputError
        When this is not an H5MD file, or its units are unknown.
    """
    with _opened(Path(path)) as file:
        try:
            count = len(file["particles/all/position/step"])
            if not isinstance(index, slice) and count and not -count <= index < count:
                raise InputError(f"{path} has no frame {index}, there are {count}")
            if not isinstance(index, slice):
                index = slice(index % count, index % count + 1) if count else slice(0)
            found = {name: _values(file, name, index) for name in VALUES if name in file}
            group = file["particles/all"]
            arrays = {theirs: group[ours][()] for ours, theirs in ATOMS.items() if ours in group}
            masses = group["mass"][()] if "mass" in group else None
            info = dict(file["parameters"].attrs) if "parameters" in file else {}
            steps = group["position/step"][index]
            times = group["position/time"][index] * _factor(group["position/time"])
        except KeyError as error:
            raise InputError(f"{path} is no H5MD file of a trajectory: {error.args[0]}") from None
    frames = []
    for k, (step, time) in enumerate(zip(steps, times, strict=True)):
        atoms = Atoms(arrays["numbers"], found["particles/all/position"][k], masses=masses)
        for name, array in arrays.items():
            atoms.set_array(name, array)
        if "particles/all/velocity" in found:
            atoms.set_velocities(found["particles/all/velocity"][k])
        atoms.info = info | {"step": int(step), "time_fs": float(time)}
        named = {"energy": "observables/potential_energy", "forces": "particles/all/force"}
        named["dipole"] = "observables/dipole"
        results = {key: found[name][k] for key, name in named.items() if name in found}
        atoms.calc = SinglePointCalculator(atoms, **results)
        frames.append(atoms)
    return frames


def _create(file: Any, atoms: Atoms) -> None:
    """Groups and empty datasets for trajectories of ``atoms``."""
    if atoms.pbc.any():
        raise InputError("h5md files are those of molecules here: use extxyz for periodic cells")
    about = file.create_group("h5md")
    about.attrs["version"] = np.array([1, 1], dtype=np.int32)
    about.create_group("author").attrs["name"] = "not given"
    creator = about.create_group("creator")
    creator.attrs["name"], creator.attrs["version"] = "ase-mlseqm", versions()["ase-mlseqm"]
    about.create_group("modules/units").attrs["version"] = np.array([1, 0], dtype=np.int32)
    group = file.create_group("particles/all")
    box = group.create_group("box")
    box.attrs["dimension"], box.attrs["boundary"] = 3, ["none"] * 3
    for ours, theirs in ATOMS.items():
        if theirs in atoms.arrays:
            group[ours] = atoms.arrays[theirs]
    group["mass"] = atoms.get_masses()
    group["mass"].attrs["unit"] = "u"
    parameters = file.create_group("parameters").attrs
    for key, value in atoms.info.items():
        if key not in ("step", "time_fs") and _is_attribute(value):
            parameters[key] = value
    clock = group.create_group("position")
    _empty(clock, "step", (), np.int64)
    _empty(clock, "time", (), np.float64).attrs["unit"] = "fs"
    for name, (unit, value) in VALUES.items():
        first = value(atoms)
        if first is None:
            continue
        element = file.require_group(name)
        _empty(element, "value", np.shape(first), np.float64).attrs["unit"] = unit
        if element != clock:  # all are written at the same steps: hard links, as H5MD proposes
            element["step"], element["time"] = clock["step"], clock["time"]


def _is_attribute(value: Any) -> bool:
    """Whether HDF5 keeps it as an attribute: words and numbers, also those of numpy, which files of
    structures bring, and arrays of them that are not large."""
    if isinstance(value, str):
        return True
    if not isinstance(value, int | float | np.generic | np.ndarray):
        return False
    array = np.asarray(value)
    return array.dtype.kind in "biuf" and array.nbytes < LARGEST


def _empty(group: Any, name: str, shape: tuple[int, ...], dtype: Any) -> Any:
    rows = max(1, CHUNK // (8 * max(1, int(np.prod(shape)))))
    return group.create_dataset(
        name, (0, *shape), dtype, maxshape=(None, *shape), chunks=(rows, *shape)
    )


def _resize(file: Any, size: int) -> None:
    for name in ("step", "time"):
        file[f"particles/all/position/{name}"].resize(size, axis=0)
    for name in VALUES:
        if name in file:
            file[f"{name}/value"].resize(size, axis=0)


def _values(file: Any, name: str, index: slice) -> np.ndarray:
    """Values of an element in ASE's unit."""
    dataset = file[f"{name}/value"]
    return np.asarray(dataset[index]) * _factor(dataset)


def _factor(dataset: Any) -> float:
    unit = dataset.attrs.get("unit", "nothing")
    if unit not in UNITS:
        raise InputError(f"unknown unit {unit!r} of {dataset.name}: known are {', '.join(UNITS)}")
    return UNITS[unit]


def _result(atoms: Atoms, name: str) -> Any:
    return atoms.calc.results.get(name)


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[Any]:
    try:
        file = _h5py().File(path, "r")
    except OSError as error:
        raise InputError(f"{path} cannot be read as HDF5: {error}") from None
    with file:
        yield file


def _h5py() -> Any:
    try:
        import h5py
    except ImportError:
        raise InputError("h5md needs h5py: pip install 'ase-mlseqm[data]'") from None
    return h5py
