"""Bounded corrections of the table: what they change, and what they cannot."""

import dataclasses

import numpy as np
import pytest
import torch
from helpers import TIGHT, build, single
from learned import ALL, PARAMETERS, atoms_of, learned

from ase_mlseqm import Engine, InputError
from ase_mlseqm.nddo.layout import build_layout
from ase_mlseqm.nddo.multipoles import MIN_H_PP
from ase_mlseqm.nddo.parameters import METHODS, Parameters, table_parameters
from ase_mlseqm.nn.hamiltonian import HamiltonianConfig, LearnedHamiltonian
from ase_mlseqm.nn.parameter_head import CORRECTIONS, GAUSSIANS, PAPER, ParameterHead

AMIDE = build("CH3CONH2")  # H, C, N and O
LAYOUT, POSITIONS = atoms_of(AMIDE)
HEAVY_ONLY = ("U_pp", "zeta_p", "beta_p", "g_sp", "g_pp", "g_p2", "h_sp")
ADDED = ("U_ss", "U_pp", "M")


def from_outputs(head, outputs):
    """All parameters for the network's outputs (n, k)."""
    return head.assemble(LAYOUT, head.values(LAYOUT, head.corrections(LAYOUT, outputs)))


def random_outputs(head, scale=1.0, seed=0):
    generator = torch.Generator().manual_seed(seed)
    shape = (len(LAYOUT.numbers), head.n_outputs)
    return scale * torch.randn(shape, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize("parameters", PARAMETERS)
class TestNewModel:
    def test_parameters_are_the_table(self, parameters):
        """To the last bit, as nothing would be gained by training otherwise."""
        model = LearnedHamiltonian(HamiltonianConfig(parameters=PARAMETERS[parameters]))
        table = table_parameters("PM3", LAYOUT.numbers)
        with torch.no_grad():
            found = model.parameters(LAYOUT, POSITIONS)
        for (name, value), (_, expected) in zip(found.items(), table.items(), strict=True):
            assert torch.equal(value, expected), name

    def test_results_are_those_of_the_method(self, parameters):
        model = LearnedHamiltonian(HamiltonianConfig(parameters=PARAMETERS[parameters]))
        asked = ("energy", "forces", "dipole")
        ours, plain = (single(AMIDE, method, asked) for method in (model, "PM3"))
        assert ours.energy == pytest.approx(plain.energy, abs=1e-9)
        assert ours.atomization_energy == pytest.approx(plain.atomization_energy, abs=1e-9)
        np.testing.assert_allclose(ours.forces, plain.forces, atol=1e-9)
        np.testing.assert_allclose(ours.dipole, plain.dipole, atol=1e-9)


@pytest.mark.parametrize("names", [("g_pp",), ("U_ss", "g_pp", "K"), PAPER, ALL])
def test_slopes_are_collected_as_parameters_are_assembled(names):
    """Those of any function of all parameters; g_p2 follows g_pp where it is not learned."""
    head, generator = ParameterHead(names), torch.Generator().manual_seed(1)
    corrections = head.corrections(LAYOUT, random_outputs(head))
    values = head.values(LAYOUT, corrections).requires_grad_()
    parameters = head.assemble(LAYOUT, values)
    slopes = {
        name: torch.randn(value.shape, generator=generator, dtype=torch.float64)
        for name, value in parameters.items()
    }
    total = sum((slopes[name] * value).sum() for name, value in parameters.items())
    (expected,) = torch.autograd.grad(total, values)
    found = head.collect(Parameters(**slopes))
    np.testing.assert_allclose(found.numpy(), expected.numpy(), rtol=0, atol=1e-14)


@pytest.mark.parametrize("method", METHODS)
def test_positive_and_bounded(method):
    """However large the outputs, of whatever signs."""
    head, table = ParameterHead(ALL, method), table_parameters(method, LAYOUT.numbers)
    heavy = LAYOUT.numbers > 1
    for seed in range(20):
        p = from_outputs(head, 1e6 * random_outputs(head, seed=seed).sign())
        assert all(torch.isfinite(value).all() for _, value in p.items())
        for name in ("zeta_s", "g_ss", "alpha"):
            assert (getattr(p, name) > 0.5 * getattr(table, name)).all(), name
        for name in ("zeta_p", "h_sp", "g_sp", "g_pp"):
            assert (getattr(p, name)[heavy] > 0.3 * getattr(table, name)[heavy]).all(), name
        # where this ends the integrals have a kink
        assert (0.5 * (p.g_pp - p.g_p2)[heavy] > MIN_H_PP).all()
        for name in ("U_ss", "U_pp"):
            assert ((getattr(p, name) - getattr(table, name)).abs() <= 10.0).all()


@pytest.mark.parametrize(("method", "number"), [("MNDO", 0), ("AM1", 1), ("PM3", 2)])
def test_gaussians_that_an_element_lacks_are_not_learned(method, number):
    """Centres and widths of Gaussians without a height would be numbers without a meaning."""
    head, layout = ParameterHead(ALL, method), build_layout(torch.tensor([[13, 13]]))
    outputs = torch.ones(2, head.n_outputs, dtype=torch.float64)
    changed = head.corrections(layout, outputs) != 0
    assert torch.equal(head.applies(layout) > 0, changed)
    labels = [label for label, there in zip(head.labels(), changed[0], strict=True) if there]
    expected = [name for name in ALL if name not in GAUSSIANS]
    expected += [f"{name}_{k + 1}" for name in GAUSSIANS for k in range(number)]
    assert labels == expected


def test_correction_is_the_output_in_its_unit():
    """Near zero; added to energies and lengths, a factor exp(c) of the rest."""
    head, small = ParameterHead(ALL), 1e-4
    outputs = small * torch.ones(len(LAYOUT.numbers), head.n_outputs, dtype=torch.float64)
    p, table = from_outputs(head, outputs), table_parameters("PM3", LAYOUT.numbers)
    heavy = LAYOUT.numbers > 1
    for name in ALL:
        new, old = (getattr(q, name)[heavy] for q in (p, table))
        if name in GAUSSIANS:
            new, old = new[:, :2], old[:, :2]
        expected = small * CORRECTIONS[name].unit
        if name == "g_p2":
            new, old = p.g_pp[heavy] - new, table.g_pp[heavy] - old  # twice h_pp
        found = new - old if name in ADDED else (new / old).log()
        np.testing.assert_allclose(found, expected, rtol=1e-6, err_msg=name)
    np.testing.assert_allclose(
        head.in_units(head.corrections(LAYOUT, outputs))[heavy], small, rtol=1e-6
    )


@pytest.mark.parametrize("name", ALL)
def test_acts_on_its_own_column(name):
    head = ParameterHead((name,))
    assert head.n_outputs == (2 if name in GAUSSIANS else 1) == len(head.labels())
    table, heavy = table_parameters("PM3", LAYOUT.numbers), LAYOUT.numbers > 1
    for column in range(head.n_outputs):
        outputs = torch.zeros(len(heavy), head.n_outputs, dtype=torch.float64)
        outputs[:, column] = 0.7
        p = from_outputs(head, outputs)
        for (field, new), (_, old) in zip(p.items(), table.items(), strict=True):
            differs = (new != old).reshape(len(heavy), -1)
            if field == "g_p2" and name == "g_pp":
                continue  # see below
            assert differs[heavy].any() == (field == name), field
            if field in GAUSSIANS:
                differs[:, column] = False
                assert not differs.any()
            if field == name and field in HEAVY_ONLY:
                assert not differs[~heavy].any()


def test_g_pp_alone_keeps_h_pp():
    table, heavy = table_parameters("PM3", LAYOUT.numbers), LAYOUT.numbers > 1
    for names in (("g_pp",), ("g_pp", "g_p2")):
        head = ParameterHead(names)
        outputs = random_outputs(head)
        outputs[:, 1:] = 0.0
        p = from_outputs(head, outputs)
        assert ((p.g_pp - table.g_pp)[heavy].abs() > 1e-3).all()
        np.testing.assert_allclose(p.g_pp - p.g_p2, table.g_pp - table.g_p2, atol=1e-13)


class TestHydrogen:
    def test_keeps_what_it_lacks(self):
        head, table = ParameterHead(ALL), table_parameters("PM3", LAYOUT.numbers)
        p, hydrogen = from_outputs(head, random_outputs(head, 10.0)), LAYOUT.numbers == 1
        for name in HEAVY_ONLY:
            assert torch.equal(getattr(p, name)[hydrogen], getattr(table, name)[hydrogen]), name
        applies = dict(zip(head.labels(), head.applies(LAYOUT)[hydrogen].T, strict=True))
        assert {name for name, column in applies.items() if not column.any()} == set(HEAVY_ONLY)

    def test_ignores_what_it_lacks(self):
        """Energies do not see its p parameters, whatever they are."""
        model = learned(ALL)
        plain, head = single(AMIDE, model, ("energy", "forces")), model.head

        class Meddled(LearnedHamiltonian):
            def assemble(self, layout, values):
                p = head.assemble(layout, values)
                hydrogen = layout.numbers == 1
                junk = {k: torch.where(hydrogen, 3.0, getattr(p, k)) for k in HEAVY_ONLY}
                return dataclasses.replace(p, **junk)

        meddled = Meddled(model.config)
        meddled.network = model.network
        result = Engine(meddled, scf=TIGHT).run([AMIDE])[0]
        assert result.atomization_energy == pytest.approx(plain.atomization_energy, abs=1e-9)
        np.testing.assert_allclose(result.forces, plain.forces, atol=1e-8)


@pytest.mark.parametrize(
    ("names", "message"),
    [(("U_ss", "u_pp"), "'u_pp'"), ((), "no parameters"), (("g_hp",), "g_ss")],
)
def test_refuses_unknown_names(names, message):
    with pytest.raises(InputError, match=message):
        ParameterHead(names)


def test_refuses_elements_without_a_table():
    with pytest.raises(InputError, match="Z=26"):
        HamiltonianConfig(elements=(1, 26))


def test_the_papers_parameters():
    assert len(PAPER) == 9 and set(PAPER) < set(ALL) and len(ALL) == 15
