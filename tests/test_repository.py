"""What the repository promises: two commands that set up everything, versions, packages."""

from __future__ import annotations

import ast
import os
import re
import runpy
import shutil
import subprocess
import tomllib
from importlib.util import resolve_name
from pathlib import Path

import numpy as np
import pytest
import yaml
from ase.build import molecule

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
README = (ROOT / "README.md").read_text()


def test_project() -> None:
    project = PROJECT["project"]
    assert project["name"] == "ase-mlseqm"
    assert project["requires-python"] == ">=3.11"
    assert project["license"] == "BSD-3-Clause"
    assert (ROOT / "LICENSE").read_text().startswith("BSD 3-Clause License")
    assert project["scripts"] == {"mlseqm": "ase_mlseqm.entry:main"}


def test_versions_are_bounded_from_below_only() -> None:
    """A pinned version would keep the package from being installed beside others."""
    extras = PROJECT["project"]["optional-dependencies"].values()
    wanted = [*PROJECT["project"]["dependencies"], *(one for extra in extras for one in extra)]
    for one in wanted:
        assert re.fullmatch(r"[\w.-]+(\[\w+\])?>=[\d.]+", one.split(";")[0].strip()), one
    pins = re.findall(r"^[^#\s].*", (ROOT / "constraints.txt").read_text(), re.MULTILINE)
    assert pins == ["torch==2.13.0"]


def test_every_package_is_installed() -> None:
    """Folders of modules, under the names that the package has when it is installed."""
    found = set()
    for top, name in (("ase_mlseqm", "ase_mlseqm"), ("workflows", "ase_mlseqm.workflows")):
        for path in (ROOT / top).rglob("*.py"):
            inner = path.parent.relative_to(ROOT / top).parts
            found.add(".".join((name, *inner)))
    assert sorted(found) == sorted(PROJECT["tool"]["setuptools"]["packages"])


def imported(path: Path) -> set[str]:
    """Parts of the package that a file imports, but for names of types."""
    inner = path.relative_to(ROOT).parent.parts
    package = ".".join(inner if inner[0] == "ase_mlseqm" else ("ase_mlseqm", *inner))
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            node.body = []
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            outer = resolve_name("." * node.level + (node.module or ""), package)
            names = (f"{outer}.{name.name}".split(".") for name in node.names)
            found |= {parts[1] for parts in names if parts[0] == "ase_mlseqm"}
    return found


def test_dependencies_point_one_way() -> None:
    """As the guide for contributors draws them."""
    guide = (ROOT / "CONTRIBUTING.md").read_text()
    (chain,) = re.findall(r"Dependencies point one way: (.*?)\.", guide, re.DOTALL)
    steps = [re.findall(r"\w+", part) for part in chain.split("←")]
    rank = {name: k for k, names in enumerate(steps) for name in names}
    assert len(rank) > 10
    for folder in ("ase_mlseqm", "workflows"):
        for path in (ROOT / folder).rglob("*.py"):
            inner = path.relative_to(ROOT).with_suffix("").parts
            own = inner[0] if folder == "workflows" else inner[1]
            for other in imported(path) & set(rank) if own in rank else ():
                assert rank[other] <= rank[own], f"{path} imports {other}"


def test_every_data_file_is_there() -> None:
    """py.typed, too, without which type checkers take nothing of the package for typed."""
    tools = PROJECT["tool"]["setuptools"]
    for package, patterns in tools["package-data"].items():
        outer = max((name for name in tools["package-dir"] if package.startswith(name)), key=len)
        folder = ROOT / tools["package-dir"][outer] / package[len(outer) + 1 :].replace(".", "/")
        for pattern in patterns:
            assert any(folder.glob(pattern)), f"{folder}/{pattern}"
    assert "Typing :: Typed" in PROJECT["project"]["classifiers"]


def test_sources_have_no_part_of_the_tests() -> None:
    """setuptools adds tests/test_*.py, which do not run without the other files of tests/."""
    assert "prune tests" in (ROOT / "MANIFEST.in").read_text().splitlines()


def test_messages_name_extras_that_there_are() -> None:
    files = [*(ROOT / "ase_mlseqm").rglob("*.py"), *(ROOT / "workflows").rglob("*.py")]
    files += (ROOT / "docs").glob("*.md")
    named = {x for path in files for x in re.findall(r"ase-mlseqm\[(\w+)\]", path.read_text())}
    extras = PROJECT["project"]["optional-dependencies"]
    assert len(named) > 5 and named <= set(extras)
    # whoever runs the tests has all of them
    names = {x: {re.split(r"[\[>;]", one)[0] for one in wanted} for x, wanted in extras.items()}
    assert set().union(*(names[x] for x in named)) <= names["test"]


MAKES_OWN = ("MAKEFLAGS", "MFLAGS", "MAKELEVEL", "MAKEOVERRIDES", "VENV", "JOBS", "ARGS", "PYTHON")


@pytest.mark.parametrize(
    ("target", "last"),
    [("demo", "mlseqm relax examples/imatinib.xyz --out demo"), ("test", "-m pytest -n auto")],
)
def test_make_sets_up_all_it_needs(target: str, last: str, tmp_path: Path) -> None:
    """What make would do where there is no environment yet."""
    if shutil.which("make") is None:
        pytest.skip("make is not installed")
    venv = tmp_path / "venv"
    line = ["make", "--dry-run", "--no-print-directory", target, f"VENV={venv}"]
    # these tests may be run by make, which hands its own settings on
    outside = {k: v for k, v in os.environ.items() if k not in MAKES_OWN}
    done = subprocess.run(line, cwd=ROOT, env=outside, capture_output=True, text=True, check=True)
    steps = [step for step in done.stdout.splitlines() if step and not step.startswith("echo")]
    made = next(k for k, step in enumerate(steps) if step.endswith(f"-m venv {venv}"))
    installed = next(k for k, step in enumerate(steps) if " install -c constraints.txt -e" in step)
    assert made < installed < len(steps) - 1
    assert f"{venv}/bin/" in steps[-1] and steps[-1].strip().endswith(last)


def test_what_is_run_before_a_change_is_merged() -> None:
    ours = (ROOT / ".ci" / "run").read_text()
    jobs = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text())["jobs"]
    theirs = "\n".join(step.get("run", "") for job in jobs.values() for step in job["steps"])
    for command in ("make lint", "make docs", "make test"):
        assert re.search(rf"^{command}$", ours, re.MULTILINE), command
        assert re.search(rf"^{command}$", theirs, re.MULTILINE), command
    assert "mkdocs build --strict" in (ROOT / "Makefile").read_text()


def test_set_up_of_a_contributor() -> None:
    """Hooks that are not found on the path refuse every commit."""
    (hooks,) = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
    assert {hook["language"] for hook in hooks["hooks"]} == {"system"}
    steps = (ROOT / "CONTRIBUTING.md").read_text().split("```")[1].splitlines()
    assert steps.index("source .venv/bin/activate") < steps.index("pre-commit install")


def test_roles_of_docstrings_in_the_pages() -> None:
    """The name of what they point to, not the markup, which mkdocstrings knows nothing of."""
    hook = "docs/hooks/roles.py"
    assert hook in re.findall(r"^  - (docs/.*)", (ROOT / "mkdocs.yml").read_text(), re.MULTILINE)
    pages = runpy.run_path(str(ROOT / hook))["on_page_content"]
    text = "With :class:<code>~ase_mlseqm.MLSEQM</code>: see :meth:<code>Engine.run</code>."
    assert pages(text) == "With <code>MLSEQM</code>: see <code>Engine.run</code>."
    # all that docstrings have is known
    folders = (ROOT / "ase_mlseqm", ROOT / "workflows")
    files = [path.read_text() for folder in folders for path in folder.rglob("*.py")]
    roles = {role for text in files for role in re.findall(r":\w+:`[^`\n]+`", text)}
    assert len(roles) > 50
    for role in roles:
        assert ":" not in pages(re.sub(r"`(.*)`", r"<code>\1</code>", role)), role


def test_citation() -> None:
    """The software and the article."""
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert (citation["type"], citation["title"]) == ("software", "ase-mlseqm")
    assert citation["version"] == PROJECT["project"]["version"]
    assert citation["license"] == PROJECT["project"]["license"]
    (article,) = citation["references"]
    assert article["doi"] == "10.1073/pnas.2120333119"
    assert len(article["authors"]) == 5
    assert article["doi"] in README


def test_first_screen_of_the_readme() -> None:
    """What it is, and the two commands."""
    screen = README.splitlines()[:20]
    assert screen[0] == "# ase-mlseqm"
    assert "ASE" in screen[2]
    assert [line.split("#")[0].strip() for line in screen if line.startswith("make ")] == [
        "make demo",
        "make test",
    ]


def test_python_of_the_readme() -> None:
    single, many = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    names: dict = {"list_of_atoms": [molecule("CH3OH"), molecule("H2O")]}
    exec(single, names)
    atoms = names["atoms"]
    assert atoms.calc.get_hessian(atoms).shape == (27, 27)
    exec(many, names)
    assert np.isfinite(names["energies"]).all() and len(names["energies"]) == 2
    # and the table of what is computed
    rows = re.findall(r"^\| (`\w+`.*?) \|", README, re.MULTILINE)
    for name in re.findall(r"`(\w+)`(?!=)", " ".join(rows)):
        assert hasattr(atoms.calc.singlepoint, name), name
