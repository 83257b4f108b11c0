"""Run MOPAC and Sparrow over the whole reference set and write `references.json`.

    python tests/reference/make_references.py [--out FILE]

Prints the calculations on which the two programs disagree and a check of MOPAC's gradients against
differences of its own heats of formation. Needs `mopac` on the path, scine-sparrow and ase.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import numpy as np
from molecules import Entry, entries_and_methods
from mopac import FIXED_KEYWORDS, MopacJob, run_mopac_batch
from records import write_records
from sparrow import SETTINGS, run_sparrow

DIGITS = {"positions": 10, "heat_of_formation_kcal_mol": 6, "total_energy_eV": 7, "energy_eV": 7}
DEFAULT_DIGITS = 5
GRADIENT_TOLERANCE = 0.02  # kcal/mol/Angstrom
SAME_STATE_TOLERANCE = 0.05  # eV
GRADIENT_CHECKS = {
    ("SO2", "PM3"),
    ("phenoxyl", "AM1"),
    ("CH2_s3B1d triplet", "MNDO"),
    ("SF6", "PM3"),
    ("CH3S doublet", "AM1"),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    default = Path(__file__).with_name("references.json")
    parser.add_argument("--out", type=Path, default=default, help="file to write")
    out = parser.parse_args().out

    calculations = list(entries_and_methods())
    mopac_results = run_mopac_batch([_job(entry, method) for entry, method in calculations])
    records = [
        make_record(entry, method, mopac_result)
        for (entry, method), mopac_result in zip(calculations, mopac_results, strict=True)
    ]
    write_references(records, out)
    print()
    print_disagreements(records)
    print_gradient_check(calculations)


def _job(entry: Entry, method: str) -> MopacJob:
    state = (entry.charge, entry.multiplicity, entry.uhf)
    return MopacJob(entry.numbers, entry.positions, method, *state)


def make_record(entry: Entry, method: str, mopac: dict) -> dict:
    """One JSON record; quantities of a program that did not converge are left out."""
    if not mopac["converged"]:
        raise RuntimeError(f"MOPAC fails for {entry.name} {method}: {mopac['message']}")
    state = {"charge": entry.charge, "multiplicity": entry.multiplicity, "uhf": entry.unrestricted}
    sparrow = run_sparrow(entry.numbers, entry.positions, method, *state.values())
    if sparrow["converged"]:
        difference = sparrow["energy_eV"] - mopac["total_energy_eV"]
        sparrow["same_state_as_mopac"] = abs(difference) < SAME_STATE_TOLERANCE
    return {
        "name": entry.name,
        "method": method,
        "kind": entry.kind,
        **state,
        "numbers": entry.numbers,
        "positions": entry.positions,
        "mopac": {"program": "MOPAC"} | _without(mopac, "converged", "message"),
        "sparrow": {"program": "SCINE Sparrow"} | _without(sparrow, "dipole_vector_debye"),
    }


def _without(result: dict, *keys: str) -> dict:
    return {key: value for key, value in result.items() if key not in keys}


def write_references(records: list[dict], out: Path) -> None:
    """One line for each calculation, so that a change of one shows as one line in a diff."""
    about = {
        "made_by": "tests/reference/make_references.py",
        "mopac": f"mopac FILE; every input has the keywords {FIXED_KEYWORDS}",
        "sparrow": {"package": f"scine-sparrow {version('scine-sparrow')}", **SETTINGS},
        "units": "Angstrom, eV, kcal/mol, kcal/mol/Angstrom, Debye, e",
    }
    write_records(out, about, "calculations", [_rounded(record) for record in records])


def _rounded(value, digits: int = DEFAULT_DIGITS):
    """`value` ready for JSON: arrays as lists, floats rounded by the name of their field."""
    if isinstance(value, dict):
        return {
            key: item if key == "settings" else _rounded(item, DIGITS.get(key, digits))
            for key, item in value.items()
        }
    if isinstance(value, np.ndarray):
        value = value.tolist()
    if isinstance(value, list | tuple):
        return [_rounded(item, digits) for item in value]
    if isinstance(value, float):
        return round(value, digits) + 0.0
    return value


def print_disagreements(records: list[dict]) -> None:
    """The calculations whose gradients differ by more than the tolerance, largest first."""
    rows, missing, agreeing = [], [], 0
    for record in records:
        mopac, sparrow = record["mopac"], record["sparrow"]
        if not sparrow["converged"]:
            missing.append(f"{record['name']} {record['method']}: {sparrow['message']}")
            continue
        gradients = mopac["gradients_kcal_mol_A"] - sparrow["gradients_kcal_mol_A"]
        energy = sparrow["energy_eV"] - mopac["total_energy_eV"]
        rows.append((abs(gradients).max(), energy, record))
        agreeing += rows[-1][0] <= GRADIENT_TOLERANCE
    print(f"{agreeing} of {len(rows)} gradients agree to {GRADIENT_TOLERANCE} kcal/mol/A; others:")
    print(f"{'molecule':28s} {'method':6s} {'gradient':>9s} {'E(Sparrow)-E(MOPAC)':>20s}")
    for gradient, energy, record in sorted(rows, key=lambda row: -row[0]):
        if gradient > GRADIENT_TOLERANCE:
            note = "" if record["sparrow"]["same_state_as_mopac"] else "  another SCF solution"
            label = f"{record['name']:28s} {record['method']:6s}"
            print(f"{label} {gradient:9.4f} {energy:17.5f} eV{note}")
    print(f"\n{len(missing)} calculations that Sparrow cannot do:")
    print("\n".join(missing) + "\n")


def print_gradient_check(calculations: list[tuple[Entry, str]]) -> None:
    """MOPAC's gradients against five-point differences of its heat of formation."""
    print("largest difference between MOPAC's gradient and its heat of formation's, kcal/mol/A")
    for entry, method in calculations:
        if (entry.name, method) in GRADIENT_CHECKS:
            result = run_mopac_batch([_job(entry, method)])[0]
            error = result["gradients_kcal_mol_A"] - heat_of_formation_gradient(entry, method)
            print(f"{entry.name:28s} {method:6s} {abs(error).max():.1e}")


def heat_of_formation_gradient(entry: Entry, method: str, step: float = 1e-3) -> np.ndarray:
    """Fourth-order difference of MOPAC's heat of formation, kcal/mol/Angstrom."""
    jobs = []
    for index in np.ndindex(entry.positions.shape):
        for shift in (-2, -1, 1, 2):
            positions = entry.positions.copy()
            positions[index] += shift * step
            jobs.append(_job(replace(entry, positions=positions), method))
    heats = [result["heat_of_formation_kcal_mol"] for result in run_mopac_batch(jobs)]
    weights = np.array([1, -8, 8, -1]) / (12 * step)
    return (np.reshape(heats, (-1, 4)) @ weights).reshape(entry.positions.shape)


if __name__ == "__main__":
    main()
