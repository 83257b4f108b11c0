"""Run MOPAC 22 on single geometries and read back everything that the tests compare.

The Hamiltonian that is run is the published one: no molecular-mechanics amide correction
(``NOMM``), CODATA constants (never ``OLDFPC``), UHF for open shells (left alone, MOPAC takes UHF
for odd electrons but open-shell RHF for a triplet).
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.data import chemical_symbols

EV_IN_KCAL_MOL = 23.060547830619  # CODATA 2018, as in MOPAC
SCF_CRITERION = 1e-12  # kcal/mol
SPIN_KEYWORDS = ("SINGLET", "DOUBLET", "TRIPLET", "QUARTET", "QUINTET", "SEXTET", "SEPTET")
# ITRY: after its maximum number of iterations (2,000) MOPAC 22.0.6 turns to other convergers and
# dies of a segmentation fault, so it is given more of them.
FIXED_KEYWORDS = " ".join(
    [
        "1SCF GRADIENTS PRECISE AUX(PRECISION=9,MOS=99999,XP,XS) DISP",
        "NOMM GEO-OK XYZ NOREOR NOSYM ITRY=10000",
    ]
)


@dataclass(frozen=True)
class MopacJob:
    """One single-point calculation; `positions` in Angstrom, `extra` holds further keywords.

    `matrices` asks for the overlap matrix and the atomic orbitals as well.
    """

    numbers: Sequence[int]
    positions: np.ndarray
    method: str
    charge: int = 0
    multiplicity: int = 1
    uhf: bool = False
    scf_criterion: float = SCF_CRITERION
    extra: str = ""
    matrices: bool = False

    @property
    def unrestricted(self) -> bool:
        return self.uhf or self.multiplicity > 1

    @property
    def keywords(self) -> str:
        """The keyword line, without the title and the geometry."""
        fixed = FIXED_KEYWORDS.replace(",XS)", ")") if self.matrices else FIXED_KEYWORDS
        words = [self.method, fixed, f"SCFCRT={self.scf_criterion:.0E}", f"CHARGE={self.charge}"]
        if self.unrestricted:
            words += ["UHF", SPIN_KEYWORDS[self.multiplicity - 1]]
        else:
            words += ["MULLIK"]  # MOPAC refuses it with UHF
        return " ".join(words + ([self.extra] if self.extra else []))

    def input_text(self, title: str) -> str:
        atoms = (
            f"{chemical_symbols[number]:2s} " + " ".join(f"{x:.10f} 1" for x in position)
            for number, position in zip(self.numbers, self.positions, strict=True)
        )
        return "\n".join([self.keywords, title, "", *atoms, ""])


def search_and_force(
    atoms: Atoms, search: str, force: str, title: str = "search"
) -> tuple[str, str]:
    """Move to a stationary point, and vibrate there: MOPAC's ``.out``, and the last ``.aux`` part.

    Parameters
    ----------
    search, force : str
        Keywords of both jobs.
    """
    lines = (
        f"{symbol:2s} " + " ".join(f"{x:.10f} 1" for x in position)
        for symbol, position in zip(atoms.symbols, atoms.positions, strict=True)
    )
    move = [search, title, "", *lines, ""]
    vibrate = [f"OLDGEO {force}", title, "", "", ""]
    with tempfile.TemporaryDirectory(prefix="mopac-") as folder:
        stem = Path(folder) / "job"
        stem.with_suffix(".mop").write_text("\n".join(move + vibrate))
        subprocess.run(["mopac", str(stem.with_suffix(".mop"))], cwd=folder, capture_output=True)
        aux = stem.with_suffix(".aux").read_text()
        return stem.with_suffix(".out").read_text(), aux.split("START OF MOPAC FILE")[-1]


def mopac_available() -> bool:
    """Whether a `mopac` program is on the path."""
    return shutil.which("mopac") is not None


def run_mopac(
    numbers: Sequence[int],
    positions: np.ndarray,
    method: str,
    charge: int = 0,
    multiplicity: int = 1,
    uhf: bool = False,
    *,
    scf_criterion: float = SCF_CRITERION,
    extra: str = "",
    timeout: float = 120.0,
) -> dict:
    """Single point of one molecule; see `run_mopac_batch` for the keys of the result."""
    state = (charge, multiplicity, uhf)
    job = MopacJob(numbers, positions, method, *state, scf_criterion, extra)
    return run_mopac_batch([job], timeout=timeout)[0]


def run_mopac_batch(
    jobs: Sequence[MopacJob], *, timeout: float = 120.0, jobs_per_process: int = 50
) -> list[dict]:
    """Single points of many molecules, several to a MOPAC process.

    A process that dies or runs out of time costs nothing but time: its jobs are run again one
    by one. `timeout` is in seconds and for one process.

    Returns
    -------
    list of dict
        In the order of `jobs`. Always: `converged`, `keywords`, `version`, `message`. If converged:
        `heat_of_formation_kcal_mol`, `total_energy_eV`, `gradients_kcal_mol_A` (A, 3),
        `dipole_debye`, `dipole_vector_debye`, `charges` (A,), `ionization_potential_eV`,
        `orbital_energies_eV` (a list; UHF: {"alpha": list, "beta": list}), `s_squared` (UHF only),
        `mulliken_charges` (A,) (RHF only);
        with `MopacJob.matrices` also `overlap`, `orbital_atoms`, `orbital_exponents` (1/bohr) and
        `principal_quantum_numbers`.
    """
    results: list[dict] = []
    for start in range(0, len(jobs), jobs_per_process):
        chunk = list(jobs[start : start + jobs_per_process])
        chunk_results = _run_process(chunk, timeout)
        for index, result in enumerate(chunk_results):
            if not result["converged"] and len(chunk) > 1:
                chunk_results[index] = _run_process([chunk[index]], timeout)[0]
        results += chunk_results
    return results


def _run_process(jobs: Sequence[MopacJob], timeout: float) -> list[dict]:
    titles = [f"job {index:05d}" for index in range(len(jobs))]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    with tempfile.TemporaryDirectory(prefix="mopac-") as folder:
        stem = Path(folder) / "batch"
        inputs = (job.input_text(title) for job, title in zip(jobs, titles, strict=True))
        stem.with_suffix(".mop").write_text("\n".join(inputs))
        command = ["mopac", str(stem.with_suffix(".mop"))]
        message = ""
        try:
            subprocess.run(
                command, cwd=folder, env=environment, timeout=timeout, capture_output=True
            )
        except subprocess.TimeoutExpired:
            message = f"MOPAC exceeded {timeout:g} s"
        aux = _sections(stem.with_suffix(".aux"), r"START OF MOPAC FILE", r'TITLE="(job \d+)"')
        out = _sections(stem.with_suffix(".out"), r"CALCULATION RESULTS", r"^ (job \d+)\s*$")
    return [
        _read_result(job, aux.get(title, ""), out.get(title, ""), message)
        for job, title in zip(jobs, titles, strict=True)
    ]


def _sections(path: Path, separator: str, title_pattern: str) -> dict[str, str]:
    """The parts of an output file that belong to each job, by title."""
    if not path.exists():
        return {}
    sections = {}
    for section in re.split(separator, path.read_text(errors="replace")):
        title = re.search(title_pattern, section, re.MULTILINE)
        if title:
            sections[title.group(1)] = section
    return sections


def _read_result(job: MopacJob, aux: str, out: str, message: str) -> dict:
    version = re.search(r"MOPAC v([\d.]+)", out)
    result = {
        "converged": "SCF FIELD WAS ACHIEVED" in out and "END OF MOPAC FILE" in aux,
        "keywords": job.keywords,
        "version": version.group(1) if version else None,
        "message": message,
    }
    if not result["converged"]:
        result["message"] = message or _failure_message(out)
        return result
    _check_geometry(job, _aux_numbers(aux, "ATOM_X_OPT:ANGSTROMS"))
    heat = _aux_number(aux, "HEAT_OF_FORMATION:KCAL/MOL")
    heat_of_atoms = float(re.search(r"ENERGY OF ATOMS\s*=\s*(\S+) KCAL", out).group(1))
    dipole = _aux_numbers(aux, "DIP_VEC:DEBYE") or [0.0] * 3  # left out when it vanishes
    gradients = _aux_numbers(aux, "GRADIENTS:KCAL/MOL/ANGSTROM") or [0.0] * (3 * len(job.numbers))
    result |= {
        "heat_of_formation_kcal_mol": heat,
        "total_energy_eV": (heat - heat_of_atoms) / EV_IN_KCAL_MOL,
        "gradients_kcal_mol_A": np.reshape(gradients, (-1, 3)),
        "dipole_debye": float(np.linalg.norm(dipole)),
        "dipole_vector_debye": np.array(dipole),
        "charges": np.array(_aux_numbers(aux, "ATOM_CHARGES")),
        "ionization_potential_eV": _aux_number(aux, "IONIZATION_POTENTIAL:EV"),
    }
    if job.unrestricted:
        result["orbital_energies_eV"] = {
            spin: _aux_numbers(aux, f"{spin.upper()}_EIGENVALUES") for spin in ("alpha", "beta")
        }
        result["s_squared"] = _aux_number(aux, "TOTAL_SPIN")
    else:
        result["orbital_energies_eV"] = _aux_numbers(aux, "EIGENVALUES")
        result["mulliken_charges"] = _mulliken_charges(out, len(job.numbers))
    if job.matrices:
        overlap = _aux_numbers(aux.replace("#  Lower half triangle only\n", ""), "OVERLAP_MATRIX")
        result["overlap"] = _symmetric(overlap)
        result["orbital_atoms"] = [int(i) - 1 for i in _aux_numbers(aux, "AO_ATOMINDEX")]
        result["orbital_exponents"] = _aux_numbers(aux, "AO_ZETA")
        result["principal_quantum_numbers"] = [int(n) for n in _aux_numbers(aux, "ATOM_PQN")]
    return result


def _symmetric(lower_triangle: list[float]) -> np.ndarray:
    size = int(np.sqrt(2 * len(lower_triangle)))
    matrix = np.zeros((size, size))
    matrix[np.tril_indices(size)] = lower_triangle
    return matrix + np.tril(matrix, -1).T


def _failure_message(out: str) -> str:
    for line in out.splitlines():
        if re.search(r"UNABLE|ERROR|NOT AVAILABLE|no parameters|unrecognized", line, re.I):
            return " ".join(line.split())
    return "no converged result in MOPAC's output"


def _check_geometry(job: MopacJob, positions: list[float]) -> None:
    """MOPAC must have used our frame, or vectors could not be compared."""
    if not np.allclose(np.reshape(positions, (-1, 3)), job.positions, atol=1e-9):
        raise RuntimeError("MOPAC moved the molecule out of the input frame")


def _mulliken_charges(out: str, n_atoms: int) -> np.ndarray:
    """The last column of the table that MULLIK prints."""
    table = out.split("MULLIKEN POPULATIONS AND CHARGES", 1)[1]
    rows = re.findall(r"^\s+\d+\s+[A-Z][a-z]?\s+\S+\s+(-?[\d.]+)\s*$", table, re.M)
    return np.array([float(charge) for charge in rows[:n_atoms]])


def _aux_number(aux: str, key: str) -> float:
    return float(re.search(rf"^ {re.escape(key)}=(\S+)", aux, re.M).group(1).replace("D", "E"))


def _aux_numbers(aux: str, key: str) -> list[float]:
    """The numbers of ``KEY[count]= ...``, which may start on the same line or on the next."""
    match = re.search(rf"^ {re.escape(key)}\[\s*(\d+)\]=", aux, re.M)
    if not match:
        return []
    words = aux[match.end() :].split(maxsplit=int(match.group(1)))[: int(match.group(1))]
    return [float(word.replace("D", "E")) for word in words]
