"""The Python on the page docs/usage.md runs from top to bottom and gives what the page says."""

import re
from pathlib import Path

import numpy as np
import pytest

PAGE = Path(__file__).parent.parent / "docs" / "usage.md"


@pytest.fixture(scope="module")
def blocks():
    """What every block leaves behind, by the heading above it."""
    pytest.importorskip("dftd3")
    pytest.importorskip("pymatgen")
    names, left = {}, {}
    parts = re.split(r"^## (.+)\n", PAGE.read_text(), flags=re.MULTILINE)[1:]
    for heading, text in zip(parts[::2], parts[1::2], strict=True):
        for block in re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
            if "--8<--" in block:  # an example, which has a test of its own
                continue
            exec(compile(block, f"{PAGE.name}: {heading}", "exec"), names)
            if "atoms" in names:
                names["point"] = names["atoms"].calc.singlepoint
            left[heading] = dict(names)
    return left


def test_every_block_is_executed(blocks):
    expected = ["The calculator", "Charge and spin", "Dispersion", "pymatgen", "Workflows"]
    assert list(blocks) == expected


def test_ethanol_is_relaxed(blocks):
    point = blocks["The calculator"]["point"]
    assert point.method == "hipnn-pm3"
    assert point.converged
    assert np.linalg.norm(point.forces, axis=1).max() < 0.01


def test_oxygen_is_a_triplet(blocks):
    point = blocks["Charge and spin"]["point"]
    assert point.multiplicity == 3
    assert point.spin_squared == pytest.approx(2.0, abs=0.05)


def test_dispersion_binds(blocks):
    point = blocks["Dispersion"]["point"]
    assert -0.1 < point.dispersion < 0.0


def test_ion_comes_back_as_a_molecule(blocks):
    relaxed = blocks["pymatgen"]["relaxed"]
    assert relaxed.charge == -1
    assert [site.specie.symbol for site in relaxed] == ["O", "H"]
    assert np.isfinite(relaxed.properties["energy"])
    assert np.abs(relaxed.site_properties["forces"]).max() < 0.05
