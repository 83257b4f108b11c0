"""Vibrations with other calculators: one displacement after the other, which a file keeps."""

import numpy as np
import pytest
from ase import Atoms
from ase.build import molecule
from ase.calculators.emt import EMT
from ase.constraints import FixAtoms
from ase.vibrations import Infrared, Vibrations
from springs import Stopping

from ase_mlseqm import MLSEQM, InputError
from ase_mlseqm.workflows.hessians import second_derivatives
from ase_mlseqm.workflows.vibrations import VibrationsConfig, vibrations


@pytest.fixture
def copper():
    """Three atoms with ASE's EMT."""
    return Atoms("Cu3", [(0, 0, 0), (2.3, 0, 0), (1.1, 2.0, 0)])


def test_other_calculators(copper, tmp_path):
    copper.set_constraint(FixAtoms([0]))
    result = vibrations(copper, EMT(), VibrationsConfig(fmax=1e-4))
    assert result.intensities is None and result.heat_of_formation is None
    assert len(result.frequencies) == 3
    free = result.atoms.copy()
    free.set_constraint()
    free.calc = EMT()
    serial = Vibrations(free, name=str(tmp_path / "vib"))
    serial.run()
    np.testing.assert_allclose(result.frequencies, serial.get_frequencies().real[6:], atol=0.5)


def test_tblite(tmp_path):
    """Frequencies and intensities of a calculator with dipoles, against ASE's of the same."""
    xtb = pytest.importorskip("tblite.ase").TBLite
    calc = xtb(method="GFN2-xTB", accuracy=0.01, verbosity=0)
    cache = tmp_path / "cache.jsonl"
    result = vibrations(molecule("H2O"), calc, VibrationsConfig(fmax=1e-3), cache=cache)
    assert len(cache.read_text().splitlines()) == 1 + 18
    assert result.messages == [] and result.heat_of_formation is None
    atoms = result.atoms.copy()
    atoms.calc = calc
    serial = Infrared(atoms, name=str(tmp_path / "ir"), delta=0.01)
    serial.run()
    np.testing.assert_allclose(result.frequencies, serial.get_frequencies().real[6:], atol=0.5)
    in_km_mol = serial.intensities[6:] * 42.255  # ASE: (D/Angstrom)^2/u
    np.testing.assert_allclose(result.intensities, in_km_mol, rtol=0.01, atol=0.1)
    assert result.intensities.max() > 50


def test_displacements_are_kept(copper, tmp_path):
    """A run that was cut off does what was left, even behind a torn line."""
    cache, seen = tmp_path / "cache.jsonl", []
    with pytest.raises(KeyboardInterrupt):
        second_derivatives(copper, Stopping(7), cache=cache)
    with cache.open("a") as file:
        file.write('{"key": "torn')
    calc = Stopping()
    with pytest.warns(UserWarning, match="1 broken line of it is ignored"):
        found = second_derivatives(
            copper, calc, cache=cache, callback=lambda *step: seen.append(step)
        )
    assert calc.calls == 18 - 7
    assert seen[-1] == (18, 18)
    np.testing.assert_array_equal(found.hessian, second_derivatives(copper, EMT()).hessian)
    copper.positions[0, 0] += 0.1  # another molecule: nothing of the file fits
    calc = Stopping()
    with pytest.warns(UserWarning, match="1 broken line of it is ignored"):
        second_derivatives(copper, calc, cache=cache)
    assert calc.calls == 18


def test_calculators_with_a_hessian(copper):
    class Known(EMT):
        def get_hessian(self, atoms):
            return np.arange(81.0).reshape(9, 9)

    found = second_derivatives(copper, Known())
    assert found.asymmetry == 64.0
    assert found.hessian[0, 1] == 5.0


def test_many_with_other_calculators(copper, tmp_path):
    """One after the other, each with its error; one file keeps the displacements of all."""
    bad = Atoms("Cu", cell=[3, 3, 3], pbc=True)
    cache = tmp_path / "cache.jsonl"
    pair = Atoms("Cu2", [(0, 0, 0), (0, 0, 2.2)])
    results = vibrations([copper, bad, pair], EMT(), VibrationsConfig(fmax=1e-4), cache=cache)
    assert isinstance(results[1], InputError)
    for k, start in ((0, copper), (2, pair)):
        single = vibrations(start, EMT(), VibrationsConfig(fmax=1e-4))
        np.testing.assert_array_equal(results[k].frequencies, single.frequencies)
    assert len(cache.read_text().splitlines()) == 2 + 18 + 12
    assert vibrations([], EMT()) == vibrations([], MLSEQM()) == []
