"""The scripts in examples/ run as a user would run them."""

from __future__ import annotations

import functools
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest
from ase.io import read

from ase_mlseqm.workflows.geometry import bonds

ROOT = Path(__file__).parent.parent
EXAMPLES = ROOT / "examples"


SLOW = ("caffeine", "reactions", "relax_drug", "transition_states")
SCRIPTS = [
    pytest.param(path, id=path.name, marks=[pytest.mark.slow] * (path.stem in SLOW))
    for path in sorted(EXAMPLES.glob("*.py"))
]


@functools.cache
def run(script: Path) -> subprocess.CompletedProcess[str]:
    """What a script prints; those that two tests look at take minutes."""
    with tempfile.TemporaryDirectory() as folder:
        line = [sys.executable, str(script)]
        return subprocess.run(line, cwd=folder, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("script", SCRIPTS)
def test_script_runs(script: Path) -> None:
    done = run(script)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()
    assert "nan" not in done.stdout.lower()


def listed() -> str:
    """The list of the examples."""
    return (EXAMPLES / "README.md").read_text()


def test_every_script_is_short_and_listed() -> None:
    for path in EXAMPLES.iterdir():
        if path.suffix in (".py", ".xyz"):
            assert f"`{path.name}`" in listed(), path.name
        if path.suffix == ".py":
            assert len(path.read_text().splitlines()) < 40, path.name


REACTIONS = {
    "reactions": r'^    "(.+)": \(.+, ([\d.]+)\),$',
    "transition_states": r'^    "\w+": \("(.+)", ([\d.]+)\),$',
}
"""Names and published barriers in the scripts."""


def barriers() -> dict[str, list[float]]:
    """The table in the README by reaction: learned, the same with zero point, PM3, published."""
    rows = re.findall(r"^\| (.+?) \|([\d.| ]+\d) \| [^|]+ \|$", listed(), re.MULTILINE)
    return {
        name: [float(cell) if cell.strip() else np.nan for cell in cells.split("|")]
        for name, cells in rows
    }


@pytest.mark.parametrize("script", REACTIONS)
def test_every_reaction_stands_in_the_table(script: str) -> None:
    text = (EXAMPLES / f"{script}.py").read_text()
    found = re.findall(REACTIONS[script], text, re.MULTILINE)
    assert len(found) > 1
    for name, published in found:
        assert barriers()[name.replace(" to ", " → ")][3] == pytest.approx(
            float(published), abs=0.06
        )


FAILURES = (
    *("not converged", "stopped after", "not relaxed", "not refined", "does not connect"),
    *("imaginary modes instead", "falls apart", "there is no barrier", "minimum between the ends"),
)
"""Of the messages of paths and transition states those that say that the barrier is none."""


def assert_no_failure(printed: str) -> None:
    assert [words for words in FAILURES if words in printed] == []


def test_failures_are_what_the_workflows_say() -> None:
    """Sentences that a later version words in another way would no longer be found."""
    files = [ROOT / "workflows" / f"{name}.py" for name in ("neb", "neb_config", "ts")]
    text = "".join(file.read_text() for file in files)
    assert [words for words in FAILURES if words not in text] == []


@pytest.mark.slow
def test_paths_have_the_barriers_of_the_table() -> None:
    printed = run(EXAMPLES / "reactions.py").stdout
    assert_no_failure(printed)
    rows = re.findall(r"^(\w.*?) +([\d.]+) +([\d.]+) +[\d.]+$", printed, re.MULTILINE)
    assert len(rows) == 3
    for name, *found in rows:
        learned, _, plain, _ = barriers()[name.replace(" to ", " → ")]
        assert [float(x) for x in found] == pytest.approx([learned, plain], abs=0.3), name


@pytest.mark.slow
def test_transition_states_have_the_barriers_of_the_table() -> None:
    printed = run(EXAMPLES / "transition_states.py").stdout
    assert_no_failure(printed)
    assert printed.count(" steps, one imaginary mode") == printed.count("; imaginary: [-") == 4
    number = r" +([\d.]+)"
    rows = re.findall(rf"^(\w.*?) +(hipnn-pm3|PM3){number}{number} ", printed, re.MULTILINE)
    assert len(rows) == 4
    for name, method, *found in rows:
        learned, corrected, plain, _ = barriers()[name.replace(" to ", " → ")]
        expected = [learned, corrected] if method == "hipnn-pm3" else [plain]
        assert [float(x) for x in found][: len(expected)] == pytest.approx(expected, abs=0.3), name


@pytest.mark.parametrize("name", ["claisen", "keto_enol", "malonaldehyde"])
def test_ends_of_reactions_are_the_same_atoms_with_other_bonds(name: str) -> None:
    reactant, product = read(EXAMPLES / f"{name}.xyz", ":2")
    assert (reactant.numbers == product.numbers).all()
    assert bonds(reactant) != bonds(product)


def test_the_drug_of_the_demo_is_what_it_says() -> None:
    atoms = read(EXAMPLES / "imatinib.xyz")
    assert atoms.get_chemical_formula() == "C29H31N7O"
    distances = atoms.get_all_distances()
    distances[distances == 0] = 9.0
    assert distances.min() > 0.9


def examples_of(page: str) -> list[str]:
    """The Python in a page of the documentation."""
    return re.findall(r"```python\n(.*?)```", (ROOT / "docs" / page).read_text(), re.DOTALL)


def test_imports_of_workflows_are_those_of_the_page() -> None:
    (code,) = (text for text in examples_of("usage.md") if "phonons" in text)
    names: dict[str, object] = {}
    exec(code, names)
    assert len(code.splitlines()) == 9
    assert all(callable(value) for name, value in names.items() if not name.startswith("_"))


def test_example_of_the_page_on_reactions(tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    single, lists, own = examples_of("reactions.md")
    names: dict[str, object] = {}
    exec(single, names)
    assert {path.name for path in tmp_path.iterdir()} == shown("reactions.md")
    printed = capsys.readouterr().out
    assert "True" in printed and "nan" not in printed
    exec(lists, names)
    there, back = map(float, capsys.readouterr().out.split())
    assert there == pytest.approx(names["path"].barrier, abs=1e-3)
    assert back == pytest.approx(names["path"].reverse_barrier, abs=1e-2)
    energies = [found.energy for found in [names["top"], *names["tops"]]]
    assert energies == pytest.approx(energies[:1] * 3, abs=1e-4)
    exec(own, names)
    printed = dict(map(str.split, capsys.readouterr().out.splitlines()))
    assert [float(printed[k]) for k in "01"] == pytest.approx(energies[:2], abs=1e-4)


def test_example_of_the_page_on_dynamics(tmp_path, monkeypatch, capsys) -> None:
    """With fewer steps than those that the pictures are made of."""
    monkeypatch.chdir(tmp_path)
    code, many, stored, _ = examples_of("dynamics.md")
    names: dict[str, object] = {}
    exec(re.sub(r"steps=\d+", "steps=40", code).replace("[ethanol]", "[molecule('H2O')]"), names)
    assert {path.name for path in tmp_path.iterdir()} == shown("dynamics.md")
    printed = capsys.readouterr().out
    assert printed.count("completed 40 steps") == 4 and "nan" not in printed
    assert "read_h5md" in stored  # of a file that is not made here
    exec(many, names)
    assert capsys.readouterr().out == "completed 100 steps\n" * 2
    assert (tmp_path / "b_md.csv").exists()


def shown(page: str) -> set[str]:
    """The pictures of a page."""
    return set(re.findall(r"\]\((\w+\.png)\)", (ROOT / "docs" / page).read_text()))


INCLUDE = re.compile(r'^\s*--8<-- "(.+?)(?::(\d+):(\d+))?"$')
"""File, and the first and last of its lines."""


@pytest.mark.parametrize("page", sorted((ROOT / "docs").glob("*.md")), ids=lambda page: page.stem)
def test_pages_include_files_that_are_there(page: Path) -> None:
    """Nothing but this form is taken for an inclusion."""
    for line in page.read_text().splitlines():
        if re.match(r"\s*-+ ?8", line):
            found = INCLUDE.match(line)
            assert found and (ROOT / found[1]).exists(), line
            if found[3]:  # tables end with an empty line
                lines = (ROOT / found[1]).read_text().splitlines()
                assert lines[int(found[3])] == "" != lines[int(found[3]) - 1], line
