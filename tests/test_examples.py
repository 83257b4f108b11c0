"""The scripts in examples/ run as a user would run them."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from ase.io import read

from ase_mlseqm.workflows.ts import bonds

ROOT = Path(__file__).parent.parent
EXAMPLES = ROOT / "examples"


SLOW = ("caffeine", "reactions", "relax_drug", "transition_states")
SCRIPTS = [
    pytest.param(path, id=path.name, marks=[pytest.mark.slow] * (path.stem in SLOW))
    for path in sorted(EXAMPLES.glob("*.py"))
]


@pytest.mark.parametrize("script", SCRIPTS)
def test_script_runs(script: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(script)], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()
    assert "nan" not in done.stdout.lower()


def test_every_script_is_short_and_listed() -> None:
    listed = (EXAMPLES / "README.md").read_text()
    for path in EXAMPLES.iterdir():
        if path.suffix in (".py", ".xyz"):
            assert f"`{path.name}`" in listed, path.name
        if path.suffix == ".py":
            assert len(path.read_text().splitlines()) < 40, path.name


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


INCLUDE = re.compile(r'^\s*--8<-- "(.+)"$')


@pytest.mark.parametrize("page", sorted((ROOT / "docs").glob("*.md")), ids=lambda page: page.stem)
def test_pages_include_files_that_are_there(page: Path) -> None:
    """Nothing but this form is taken for an inclusion."""
    for line in page.read_text().splitlines():
        if re.match(r"\s*-+ ?8", line):
            found = INCLUDE.match(line)
            assert found and (ROOT / found[1]).exists(), line
