"""Barriers with thermal corrections: by hand, by ASE, and what must be so."""

import builtins
import dataclasses
import json

import numpy as np
import pytest
from ase import units
from ase.build import molecule
from ase.io import write
from ase.thermochemistry import IdealGasThermo
from reactions import bent, inversion, isomerisation, torsion

from ase_mlseqm import MLSEQM, InputError
from ase_mlseqm.cli import app as cli
from ase_mlseqm.workflows.activation import COUNTED_TWICE, activation
from ase_mlseqm.workflows.thermochemistry import quasi_harmonic_change
from ase_mlseqm.workflows.ts import TSConfig, ts
from ase_mlseqm.workflows.vibrations import VibrationsResult

PM3 = {"method": "PM3"}


@pytest.fixture(scope="module")
def hcn():
    """HCN to HNC: the vibrations of the transition state and of both minima."""
    found = bent()
    return found.vibrations, [minimum.vibrations for minimum in found.minima]


def gas(found, geometry):
    """ASE's ideal gas without the imaginary mode."""
    quanta = [w * units.invcm if w > 0 else -1j * w * units.invcm for w in found.frequencies]
    settings = {"symmetrynumber": 1, "spin": 0, "ignore_imag_modes": True}
    return IdealGasThermo(quanta, geometry, found.energy, found.atoms, **settings)


@pytest.mark.parametrize(("temperature", "pressure"), [(298.15, 101325.0), (700.0, 1e5)])
def test_ase(hcn, temperature, pressure):
    top, ends = hcn
    found = activation(top, ends, temperature, pressure)
    saddle, *minima = gas(top, "nonlinear"), *(gas(end, "linear") for end in ends)
    for k, minimum in enumerate(minima):
        enthalpy, gibbs = (
            [getattr(g, name)(temperature, *p, verbose=False) for g in (saddle, minimum)]
            for name, p in (("get_enthalpy", ()), ("get_gibbs_energy", (pressure,)))
        )
        assert found.enthalpies[k] == pytest.approx(enthalpy[0] - enthalpy[1], abs=1e-9)
        assert found.gibbs_energies_harmonic[k] == pytest.approx(gibbs[0] - gibbs[1], abs=1e-9)
        rotors = [
            quasi_harmonic_change(f[f > 0], np.array([temperature]), 100.0)[0]
            for f in (top.frequencies, ends[k].frequencies)
        ]
        slow = -temperature * (rotors[0] - rotors[1])
        assert found.gibbs_energies[k] == pytest.approx(gibbs[0] - gibbs[1] + slow, abs=1e-9)


def test_by_hand(hcn):
    """Zero-point energies from the frequencies; the enthalpy has half a kT more rotation."""
    top, ends = hcn
    found = activation(top, ends)
    assert len(top.frequencies) == 3 and top.frequencies[0] < -1000
    thermal = 8.617333262e-5 * 298.15
    quanta = [1.239841984e-4 * f[f > 0] for f in (top.frequencies, ends[0].frequencies)]
    zero_point = 0.5 * (quanta[0].sum() - quanta[1].sum())
    energy = top.energy - ends[0].energy
    assert found.energies[0] == energy
    assert found.energies_zero_point[0] == pytest.approx(energy + zero_point, abs=1e-7)
    excited = [(q / np.expm1(q / thermal)).sum() for q in quanta]
    expected = energy + zero_point + 0.5 * thermal + excited[0] - excited[1]
    assert found.enthalpies[0] == pytest.approx(expected, abs=1e-6)


def test_what_must_be_so(hcn):
    top, ends = hcn
    found, swapped = activation(top, ends), activation(top, ends[::-1])
    thermal = units.kB * found.temperature
    gibbs = found.enthalpies - found.temperature * found.entropies
    np.testing.assert_allclose(found.gibbs_energies, gibbs, atol=1e-12)
    np.testing.assert_allclose(swapped.gibbs_energies, found.gibbs_energies[::-1], atol=1e-12)
    # Eyring: kT/h is 6.212e12 1/s at 298.15 K; both ways together are the equilibrium
    rates = found.rate_constants
    expected = 6.2124e12 * np.exp(-found.gibbs_energies / thermal)
    np.testing.assert_allclose(rates, expected, rtol=1e-4)
    reaction = found.gibbs_energies[0] - found.gibbs_energies[1]
    assert rates[0] / rates[1] == pytest.approx(np.exp(-reaction / thermal), rel=1e-9, abs=0)
    # HNC is higher, so nearer to the top, which has lost a mode
    assert reaction > 0 and found.energies[0] > found.energies[1] > 0
    assert (found.energies_zero_point < found.energies).all()
    cold = activation(top, ends, temperature=1.0)
    np.testing.assert_allclose(cold.enthalpies, cold.energies_zero_point, atol=1e-4)


def test_energies_that_contain_zero_point_energies(hcn):
    top, ends = hcn
    assert COUNTED_TWICE in activation(top, ends).messages
    bare = [dataclasses.replace(found, heat_of_formation=None) for found in (top, *ends)]
    assert activation(bare[0], bare[1:]).messages == []


def test_ends_that_are_no_single_minimum(hcn):
    top, (reactant, product) = hcn
    stored = product.to_dict()
    stored["positions"][0][2] += 6.0
    apart = VibrationsResult.from_dict(stored)
    (message,) = activation(top, [reactant, apart]).messages[:-1]
    assert message.startswith("the product is 2 molecules: its H, S and G are those of the complex")
    saddle = dataclasses.replace(reactant, frequencies=np.array([-300.0, 500, 900, 2000]))
    found = activation(top, [saddle, product], names=("first minimum", "second minimum"))
    assert "the first minimum is no minimum (300.0i cm-1)" in found.messages[0]
    assert np.isfinite(found.energies).all()
    for name in ("energies_zero_point", "enthalpies", "entropies", "gibbs_energies"):
        assert np.isnan(getattr(found, name)).tolist() == [True, False]
    soft = dataclasses.replace(reactant, frequencies=np.array([-7.0, 500, 900, 2000]))
    found = activation(top, [soft, product])
    assert found.messages[0] == "soft modes of the reactant (7.0i cm-1) are left out"
    assert np.isfinite(found.gibbs_energies).all()


def test_tops_that_are_none(hcn):
    top, ends = hcn
    with pytest.raises(InputError, match="one imaginary mode, this structure 0"):
        activation(ends[0], ends)
    periodic = dataclasses.replace(top, atoms=top.atoms.copy())
    periodic.atoms.pbc = True
    with pytest.raises(InputError, match="periodicity"):
        activation(periodic, ends)


def test_without_pymatgen(hcn, monkeypatch):
    real = builtins.__import__

    def without(name, *args, **keywords):
        if name.startswith("pymatgen"):
            raise ImportError
        return real(name, *args, **keywords)

    pytest.importorskip("pymatgen")
    expected = activation(*hcn).gibbs_energies
    monkeypatch.setattr(builtins, "__import__", without)
    found = activation(*hcn)
    assert "symmetry numbers are taken for one" in found.messages[0]
    assert "symmetry_number=" not in found.messages[0]  # which is a setting of thermochemistry
    np.testing.assert_allclose(found.gibbs_energies, expected)  # HCN has none


def test_symmetry_numbers_that_are_given(hcn):
    """RT ln of their ratio, which is nothing here otherwise."""
    top, ends = hcn
    plain = activation(top, ends, 400.0)
    given = activation(top, ends, 400.0, symmetry_numbers=(2, 1, 6))
    shift = units.kB * 400.0 * np.log([2 / 1, 2 / 6])
    np.testing.assert_allclose(given.gibbs_energies - plain.gibbs_energies, shift, atol=1e-9)
    np.testing.assert_allclose(given.enthalpies, plain.enthalpies, atol=1e-12)
    with pytest.raises(InputError, match="2 symmetry numbers for 3 structures"):
        activation(top, ends, symmetry_numbers=(2, 1))


def test_ends_without_a_reaction_coordinate():
    """The barriers are those from the ends that were given; a planar one is no minimum."""
    up, down = inversion()
    flat = molecule("NH3")
    flat.positions[0, 2] = flat.positions[1, 2]
    settings = TSConfig(refiner="dimer", irc=False, temperature=400.0)
    found = ts(flat, MLSEQM(**PM3), settings, reactant=up, product=down)
    assert found.converged and found.connects is None
    assert found.activation.temperature == 400.0
    np.testing.assert_allclose(found.activation.energies, found.barriers, atol=1e-9)
    assert found.activation.gibbs_energies[0] == pytest.approx(
        found.activation.gibbs_energies[1], abs=1e-4
    )
    found = ts(flat, MLSEQM(**PM3), settings, reactant=flat, product=down)
    assert not found.converged
    assert found.message == "the reactant is not relaxed to a minimum"
    assert np.isnan(found.activation.enthalpies[0])
    assert ts(flat, MLSEQM(**PM3), settings).activation is None


@pytest.mark.parametrize(
    "settings",
    [
        {"temperature": 0.0},
        {"pressure": float("inf")},
        {"symmetry_numbers": (1, 2)},
        {"symmetry_numbers": (1, 2, 0)},
    ],
)
def test_settings_that_make_no_sense(settings):
    with pytest.raises(InputError, match=next(iter(settings))):
        TSConfig(**settings)


def test_command(tmp_path, monkeypatch, capsys):
    """``neb --ts`` is ``neb`` and then ``ts``."""
    monkeypatch.chdir(tmp_path)
    for name, atoms in zip("rp", torsion(), strict=True):
        write(f"{name}.xyz", atoms)
    line = ["neb", "r.xyz", "p.xyz", "--method", "PM3", "--images", "5", "--fmax", "0.1", "--ts"]
    assert cli.main(line) == 0
    out, err = capsys.readouterr()
    assert "PM3 transition states, kcal/mol, 298.15 K, 101325 Pa" in out
    assert "Gibbs energy" in out and "from product" in out
    assert f"PM3: {COUNTED_TWICE}" in err
    stored = json.loads((tmp_path / "r_p_ts.json").read_text())
    assert stored["units"]["temperature"] == "K"
    corrected = stored["result"]["activation"]
    assert corrected["energies"] == pytest.approx(stored["result"]["barriers"])
    assert corrected["gibbs_energies"][0] == pytest.approx(
        corrected["enthalpies"][0] - 298.15 * corrected["entropies"][0]
    )
    assert (tmp_path / "r_p_path.extxyz").exists() and (tmp_path / "r_p_irc.png").exists()
    summary = json.loads((tmp_path / "mlseqm_neb.json").read_text())
    assert summary["results"]["converged"] == 1
    again = ["ts", "r_p_path.extxyz", "--method", "PM3", "--out", "o", "--json", "--no-irc"]
    stale = [tmp_path / "o" / f"r_p_{name}" for name in ("irc.extxyz", "irc.png")]
    stale[0].parent.mkdir()
    for path in stale:
        path.write_text("of an earlier run")
    assert cli.main(again) == 0
    assert not any(path.exists() for path in stale)
    (told,) = json.loads(capsys.readouterr().out)["molecules"]
    found = told["ts"]["activation"]["gibbs_energies"]
    assert found == pytest.approx(corrected["gibbs_energies"], abs=2e-3)


def test_ends_of_the_fixture_are_hcn_and_hnc(hcn):
    """So that the numbers above are what they say."""
    _, ends = hcn
    for end, expected in zip(ends, isomerisation(), strict=True):
        order = np.argsort(end.atoms.get_all_distances()[0])
        assert order.tolist() == np.argsort(expected.get_all_distances()[0]).tolist()
