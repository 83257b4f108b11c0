"""The report: one HTML file with tables, pictures and molecules, which needs no network."""

from __future__ import annotations

import base64
import dataclasses
import json
from collections.abc import Sequence
from html import escape
from importlib import resources
from typing import Any

import numpy as np

from ase_mlseqm.training.graph import bonds

from .base import Case, Metric
from .run import Section
from .style import colours

SHOWN = 200
"""Failures, and broken records, of a test in the report; failures.csv and skipped.csv have all."""


@dataclasses.dataclass(frozen=True)
class About:
    """What a report is about.

    Attributes
    ----------
    methods : list of str
    facts : dict
        What the head of the report states, such as the date and versions.
    """

    methods: list[str]
    facts: dict[str, str]


def report(sections: Sequence[Section], about: About) -> str:
    """The HTML text."""
    cases: list[dict[str, Any]] = []
    body = [_section(section, about.methods, cases) for section in sections]
    links = "".join(f'<a href="#{s.test.name}">{escape(s.test.title)}</a>' for s in sections)
    facts = "".join(
        f'<tr><td>{escape(key)}</td><td class="text">{escape(value)}</td></tr>'
        for key, value in about.facts.items()
    )
    # "</" would end the element
    molecules = json.dumps(cases, separators=(",", ":")).replace("</", "<\\/")
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Transferability</title>
<style>{_resource("report.css")}</style></head><body>
<h1>Transferability</h1>
<p>Systems and properties beyond those that a model was trained on. Numbers in brackets are 95 %
bootstrap intervals over molecules; bold is best. What a method could not compute is counted as a
failure and is in no mean, of no method.</p>
<nav>{links}</nav>
<table>{facts}</table>
{"".join(body)}
<script type="application/json" id="cases">{molecules}</script>
<script>{_resource("viewer.js")}</script>
</body></html>
"""


def _section(section: Section, methods: Sequence[str], cases: list[dict[str, Any]]) -> str:
    test = section.test
    methods = [method for method in methods if method in section.outcomes]
    files = ", ".join(f"{name} ({digest[:12]})" for name, digest in section.files.items())
    source = f"Data: {escape(files)} (start of the SHA-256)." if files else "No data needed."
    parts = [
        f'<h2 id="{test.name}">{escape(test.title)}</h2><p>{escape(test.question)}</p>',
        _metrics(section, methods),
        f'<p class="note">{_counted(section)} {source}</p>',
    ]
    if section.figure is not None:
        picture = base64.b64encode(section.figure.read_bytes()).decode()
        alt = escape(f"{test.title}: errors of {', '.join(methods)}")
        parts.append(f'<img alt="{alt}" src="data:image/png;base64,{picture}">')
    parts += [_failures(section), _skipped(section), _worst(section, methods, cases)]
    return "".join(parts)


def _counted(section: Section) -> str:
    which = "that all methods completed" if section.test.paired else "completed by any method"
    lost = len(section.skipped)
    text = f" Broken records of the data, left out: {lost}." if lost else ""
    return f"{section.cases} cases {which}.{text}"


def _metrics(section: Section, methods: Sequence[str]) -> str:
    colour = colours(methods)
    head = "".join(
        f'<th><span class="swatch" style="background:{colour[m]}"></span>{escape(m)}</th>'
        for m in methods
    )
    rows = []
    for group in zip(*(section.metrics[m] for m in methods), strict=True):
        first: Metric = group[0]
        best = _best(group)
        cells = "".join(
            f"<td{' class=best' if k == best else ''}>{_number(metric)}</td>"
            for k, metric in enumerate(group)
        )
        unit = f" ({escape(first.unit)})" if first.unit else ""
        rows.append(f"<tr><td>{escape(first.name)}{unit}</td>{cells}</tr>")
    outcomes = [section.outcomes[m] for m in methods]
    failed = "".join(f"<td>{len(o.failures)}</td>" for o in outcomes)
    spent = "".join(f"<td>{o.seconds:.1f}</td>" for o in outcomes)
    rows += [f"<tr><td>failures</td>{failed}</tr>", f"<tr><td>time (s)</td>{spent}</tr>"]
    return f'<div class="scroll"><table><tr><th></th>{head}</tr>{"".join(rows)}</table></div>'


def _best(group: Sequence[Metric]) -> int | None:
    """The place of the best of several methods; None where there is none."""
    values = np.array([m.interval.value for m in group])
    if group[0].lower_is_better is None or len(values) < 2 or not np.isfinite(values).any():
        return None
    return int(np.nanargmin(values) if group[0].lower_is_better else np.nanargmax(values))


def _number(metric: Metric) -> str:
    value, low, high, count = metric.interval
    if not np.isfinite(value):
        return "–"
    text = f"{value:.{metric.digits}f}"
    if np.isfinite(low) and count:
        text += f" <small>[{low:.{metric.digits}f}, {high:.{metric.digits}f}]</small>"
    return text


def _failures(section: Section) -> str:
    found = [(method, f.case, f.reason) for method, f in section.failures]
    return _listed("failures", ("method", "case", "reason"), found)


def _skipped(section: Section) -> str:
    found = [(s.file, s.record, s.reason) for s in section.skipped]
    return _listed("broken records, left out", ("file", "record", "reason"), found)


def _listed(what: str, names: Sequence[str], found: Sequence[Sequence[str]]) -> str:
    """A table to unfold; nothing where there is nothing to tell."""
    if not found:
        return ""
    head = "".join(f"<th>{name}</th>" for name in names)
    lines = [[f'<td class="text">{escape(cell)}</td>' for cell in line] for line in found[:SHOWN]]
    rows = "".join(f"<tr>{''.join(line)}</tr>" for line in lines)
    more = f" (the first {SHOWN})" if len(found) > SHOWN else ""
    return (
        f"<details><summary>{len(found)} {what}{more}</summary><table><tr>{head}</tr>{rows}"
        "</table></details>"
    )


def _worst(section: Section, methods: Sequence[str], cases: list[dict[str, Any]]) -> str:
    shown = []
    for method in methods:
        for case in section.outcomes[method].worst:
            note = "; halos: error of each atom" if case.values is not None else ""
            caption = f"{case.what} {case.error:.3g} {case.unit}{note}"
            shown.append(
                f'<figure><canvas data-case="{len(cases)}" tabindex="0" role="img" '
                f'aria-label="{escape(case.case)}"></canvas><figcaption><b>{escape(method)}</b>: '
                f"{escape(case.case)}<br>{escape(caption)}</figcaption></figure>"
            )
            cases.append(_molecule(case))
    if not shown:
        return ""
    return (
        '<h3>Worst cases</h3><p class="note">Drag, or use the arrow keys, to turn a molecule.</p>'
        f'<div class="cases">{"".join(shown)}</div>'
    )


def _molecule(case: Case) -> dict[str, Any]:
    linked = bonds(np.array(case.numbers), np.array([case.positions]))[0]
    pairs = np.argwhere(np.triu(linked)).tolist()
    return {
        "numbers": case.numbers,
        "positions": case.positions,
        "bonds": pairs,
        "values": case.values,
    }


def _resource(name: str) -> str:
    return (resources.files(__package__) / name).read_text("utf-8")
