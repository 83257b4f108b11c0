"""Where the learned model stands: what is worse than GFN2-xTB or PM3, and what is better.

Written by `transferability_tables.py` from the metrics of all reports, so that the page on
transferability never says what they do not.  Better and worse are meant by the values alone;
whether the 95 % intervals overlap is said beside them.
"""

from __future__ import annotations

from collections.abc import Callable

from report import markdown

MODEL, PEER, PLAIN = "hipnn-pm3", "GFN2-xTB", "PM3"
Row = dict[str, str]
GROUPS = {
    ("size", "extensibility"): "molecules of 1 to 19 heavy atoms",
    ("size", "large"): "drugs and biomolecules",
    ("pairs", "noncovalent"): "dimers of S66x8",
    ("pairs", "reactions"): "40 reactions of RDB7, CCSD(T)",
    ("level", "reactions"): "the same 40, level of the labels",
    ("refined", "reactions"): "20 of these, refined",
    ("refined_pair", "reactions"): "the same 20, without PM3",
    ("small", "reactions"): "5 reactions, level of the labels",
    ("small_pair", "reactions"): "the same 5, without PM3",
    ("small", "torsions"): "torsions",
    ("small", "dissociation"): "bonds that break",
    ("small", "frequencies"): "frequencies of small molecules",
    ("motion", "dynamics"): "dynamics of two large molecules",
    ("motion", "scaling"): "the largest alkane",
}
"""Reports and tests, and what the page calls their data."""
IDEALS = {"correlation": 1.0, "connect": 100.0, "converged": 100.0}
IDEALS |= {"transition states refined": 100.0, "with one imaginary": 100.0}
"""Best values, where that is not zero, by what the metric contains."""
LEFT_OUT = ("bias", "slope", "exponent", "temperature", "largest molecule", "gap")
LEFT_OUT += ("jump", "scale factor")
"""No errors, parts of other metrics, or not meant to be compared: levels of GFN2-xTB, and jumps
between points that are as far apart as those of these curves."""
REACTIONS = "data: reactions that were trained on come out far better"
LEVEL = f"level of the labels, which is as far from CCSD(T) as GFN2-xTB, and {REACTIONS}"
DIMERS = (
    "data: few pairs of aromatic rings, and no forces between molecules in the labels of the "
    "ANI-1x networks"
)
DETERMINANT = (
    "one determinant with exchange, whose ionic terms stay when a bond breaks: restricted curves "
    "of PM3 are as wrong"
)
CAUSES = {
    "pairs noncovalent": DIMERS,
    "small torsions": "labels of few tops, and training: the form of the Hamiltonian fits such "
    "profiles when it is trained on little else",
    "small reactions": REACTIONS,
    "small_pair reactions": REACTIONS,
    "pairs reactions barrier": LEVEL,
    "refined reactions barrier": LEVEL,
    "refined_pair reactions barrier": LEVEL,
    "refined reactions": REACTIONS,
    "refined_pair reactions": REACTIONS,
    "size large charge": "not trained on",
    "small dissociation curve": DETERMINANT,
    "small dissociation energy at the end": DETERMINANT,
    "small dissociation": "data: no label has a bond that is broken into radicals",
    "small frequencies": "training",
    "motion dynamics time per step": "the program: issuing operations",
    "motion dynamics": "two molecules, which differ more than the methods",
    "motion scaling its memory": "the program: integrals, index maps and Fock matrices are kept",
    "motion scaling its time": "the program",
}
"""Why a metric is worse, as far as there is evidence, by how report, test and metric begin; the
first that fits."""


def distance(row: Row) -> float:
    """From the best value that the metric can have; nan where there is none."""
    ideal = next((best for part, best in IDEALS.items() if part in row["metric"]), 0.0)
    return abs(float(row["value"] or "nan") - ideal)


def apart(one: Row, other: Row) -> bool:
    """Whether both have intervals, and these do not overlap."""
    if not all(row[key] for row in (one, other) for key in ("low", "high")):
        return False
    return float(one["high"]) < float(other["low"]) or float(other["high"]) < float(one["low"])


def cause(report: str, row: Row) -> str:
    """Why, or nothing where no cause is known."""
    name = f"{report} {row['test']} {row['metric']}"
    return next((text for start, text in CAUSES.items() if name.startswith(start)), "")


def compared(reports: dict[str, list[Row]]) -> list[tuple[str, dict[str, Row]]]:
    """Every metric of model and peer once: the report, and its rows by method."""
    out, seen = [], set()
    for report, test in GROUPS:
        rows = [row for row in reports.get(report, ()) if row["test"] == test]
        for metric in dict.fromkeys(row["metric"] for row in rows):
            by = {row["method"]: row for row in rows if row["metric"] == metric}
            if {MODEL, PEER} - set(by) or any(part in metric for part in LEFT_OUT):
                continue
            value = (test, metric, by[MODEL]["value"], by[PEER]["value"])
            if value not in seen and by[MODEL]["value"] and by[PEER]["value"]:
                seen.add(value)
                out.append((report, by))
    return out


def standing(reports: dict[str, list[Row]], cell: Callable[[Row], str]) -> dict[str, str]:
    """Markdown by name: `worse`, `better`, `worse_than_pm3`; `cell` writes value and interval."""
    worse, better, plainer = [], [], []
    for report, by in compared(reports):
        row, peer, plain = by[MODEL], by[PEER], by.get(PLAIN)
        name = f"{row['metric']}, {row['unit']}" if row["unit"] else row["metric"]
        line = [GROUPS[report, row["test"]], name, cell(row)]
        if distance(row) > distance(peer):
            why = cause(report, row)
            worse.append([*line, cell(peer), "yes" if apart(row, peer) else "no", why])
        elif distance(row) < distance(peer):
            better.append([*line, cell(peer), "yes" if apart(row, peer) else "no"])
        if plain and distance(row) > distance(plain):
            plainer.append([*line, cell(plain), "yes" if apart(row, plain) else "no"])
    head, beyond = ["data", "metric", MODEL], "beyond the intervals"
    return {
        "worse": markdown([*head, PEER, beyond, "cause"], worse) + "\n",
        "better": markdown([*head, PEER, beyond], better) + "\n",
        "worse_than_pm3": markdown([*head, PLAIN, beyond], plainer) + "\n",
    }
