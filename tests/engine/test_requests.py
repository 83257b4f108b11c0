"""What is asked for is what comes back, in order; what cannot be is refused."""

import dataclasses
import json
import warnings

import numpy as np
import pytest
import torch
from helpers import TIGHT, build, moved, run, single
from mixture import MIXED, atoms_of, same, shuffled

from ase_mlseqm import Engine, InputError, SCFSettings, Status, evaluate
from ase_mlseqm.batch import Molecule
from ase_mlseqm.singlepoint import PROPERTIES


@pytest.mark.parametrize("seed", [3, 4])
def test_evaluate_keeps_the_order(seed):
    molecules, order = shuffled(MIXED, seed)
    results = evaluate([atoms_of(m) for m in molecules], "PM3", scf=TIGHT)
    expected = run(MIXED, "PM3", ("energy", "forces"))
    for place, result in zip(order, results, strict=True):
        same(result, expected[place])
        assert result.charge == MIXED[place].charge
        assert result.method == "PM3"


def test_evaluate_takes_molecules_and_atoms():
    molecule = build("NH4", 1)
    one, two = evaluate([molecule, atoms_of(molecule)], "mndo", scf=TIGHT)
    assert one.energy == pytest.approx(two.energy, rel=1e-14)
    assert one.method == "MNDO"


def test_charges_and_multiplicities_as_arguments():
    molecules = [build("NO2"), build("H2O"), build("O2")]
    results = evaluate(
        molecules, "PM3", ("energy",), charges=[-1, 1, 0], multiplicities=[None, None, 3], scf=TIGHT
    )
    assert [r.charge for r in results] == [-1, 1, 0]
    assert [r.multiplicity for r in results] == [1, 2, 3]
    assert [r.unrestricted for r in results] == [False, True, True]
    alone = single(dataclasses.replace(molecules[2], multiplicity=3), "PM3")
    assert results[2].energy == pytest.approx(alone.energy, abs=1e-9)


@pytest.mark.parametrize(
    ("spec", "beyond"),
    [(("NH3",), False), (("NH4", 1), True), (("CH3", 0, 2), True), (("CH2_s3B1d", 0, 3), True)],
)
def test_what_no_model_has_learned_is_warned_of(spec, beyond):
    """Ions and radicals, of the learned model alone."""
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        (learned,) = evaluate([build(*spec)], properties=("energy",))
        (plain,) = evaluate([build(*spec)], "PM3", ("energy",))
    assert ["ions and radicals" in str(warning.message) for warning in told] == [True] * beyond
    assert learned.status is (Status.NOT_IN_TRAINING if beyond else Status.CONVERGED)
    assert plain.status is Status.CONVERGED


@pytest.mark.parametrize("threads", [1, 2])
def test_nothing_to_do(threads):
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        assert evaluate([], "PM3") == []
    finally:
        torch.set_num_threads(before)


def test_only_what_was_asked_for():
    molecule = build("H2CO")
    free = {"energy", "atomization_energy", "heat_of_formation"}
    brings = {
        "energy": set(),
        "forces": {"forces"},
        "charges": {"charges"},
        "mulliken_charges": {"mulliken_charges"},
        "dipole": {"dipole"},
        "mo_energies": {"mo_energies", "occupations", "gap", "ionization_potential"},
        "density": {"density"},
        "bond_orders": {"bond_orders"},
        "magmoms": {"magmoms", "spin_squared"},
        "parameters": {"parameters"},
        "stability": {"stability"},
    }
    assert set(brings) == set(PROPERTIES)
    optional = free.union(*brings.values())
    whole = single(molecule, "PM3", PROPERTIES)
    for name, expected in brings.items():
        result = single(molecule, "PM3", (name,))
        given = {field for field in optional if getattr(result, field) is not None}
        assert given == free | expected, name
        for field in given - {"parameters"}:
            np.testing.assert_allclose(getattr(result, field), getattr(whole, field), atol=1e-7)


def test_status_of_every_molecule():
    settings = SCFSettings(max_iterations=9, ladder=False)
    molecules = [build("H2"), build("CH3CONH2"), build("OH", -1), build("HCl")]
    results = evaluate([atoms_of(m) for m in molecules], "PM3", scf=settings)
    assert [r.converged for r in results] == [True, False, True, True]
    assert [r.status for r in results] == [
        Status.CONVERGED if r.converged else Status.UNCONVERGED for r in results
    ]
    for result in results:
        assert np.isfinite(result.energy) == result.converged
        assert ("did not converge" in result.message) != result.converged
        assert result.to_dict()["status"] == result.status.name.lower()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"properties": ("energy", "hessian")}, "unknown property 'hessian'"),
        ({"properties": "energy"}, "properties is 'energy': give a list"),
        ({"properties": None}, "properties is None: give a list"),
        ({"properties": (1, "x")}, "unknown property 1"),
        ({"method": 3}, "unknown method 3"),
        ({"unrestricted": np.array([True, False])}, "give True or False"),
        ({"method": "PM7"}, "unknown method 'PM7'"),
        ({"device": "quantum"}, "unknown device 'quantum'"),
        ({"device": "meta"}, "unknown device 'meta'"),
        ({"field": (0.0, 1.0)}, "three finite numbers"),
        ({"field": "abc"}, "field is 'abc': give three finite numbers"),
        ({"field": (0.0, 1.0, float("nan"))}, "three finite numbers"),
        ({"charges": [0, 1]}, "molecule 1: multiplicity 1 is impossible"),
        ({"multiplicities": [1, 2]}, "molecule 1: multiplicity 2 is impossible"),
        ({"charges": [0, 0.5]}, "molecule 1: charge is 0.5: give a whole number"),
        ({"multiplicities": [1.5, None]}, "molecule 0: multiplicity is 1.5: give a whole number"),
        # nothing that was given may be left aside
        ({"charges": [0]}, "there are 2 molecules, but 1 charges"),
        ({"multiplicities": [1, 1, 1]}, "there are 2 molecules, but 3 multiplicities"),
        ({"guesses": [None]}, "there are 2 molecules, but 1 guesses"),
        ({"charges": 1}, "charges is 1: give a list"),
        ({"max_memory": -1.0}, "max_memory is -1.0: give a positive number"),
        ({"guesses": ["core", None]}, "molecule 0: guesses are arrays of real numbers"),
        ({"guesses": [None, [[1, 2], [3]]]}, "molecule 1: guesses are arrays of real numbers"),
        ({"scf": "tight"}, r"scf is 'tight': give SCFSettings\(...\)"),
        ({"scf": {"tolerance": 1e-9}}, r"give SCFSettings\(...\)"),
        ({"dispersion": 4}, "dispersion is 4: give a name such as 'wb97x-d3bj'"),
        ({"callback": 3}, "callback is 3: give a function"),
        ({"unrestricted": "yes"}, "unrestricted is 'yes': give True or False"),
    ],
)
def test_requests_that_cannot_be_met(arguments, words):
    molecules = [dataclasses.replace(build("H2O"), multiplicity=1)] * 2
    with pytest.raises(InputError, match=words):
        evaluate(molecules, **({"method": "PM3"} | arguments))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"charge": 0.5}, "molecule 1: charge is 0.5: give a whole number"),
        ({"multiplicity": 1.5}, "molecule 1: multiplicity is 1.5: give a whole number"),
    ],
)
def test_molecules_that_are_none(changes, words):
    """A charge of a half would be cut to zero."""
    water = build("H2O")
    with pytest.raises(InputError, match=words):
        evaluate([water, dataclasses.replace(water, **changes)], "PM3")


def test_an_engine_takes_molecules():
    with pytest.raises(InputError, match="Atoms is no Molecule"):
        Engine("PM3").run([atoms_of(build("H2O"))])


def test_one_molecule_is_no_list():
    for one in (build("H2O"), atoms_of(build("H2O"))):
        with pytest.raises(InputError, match="a single molecule: give a list"):
            evaluate(one, "PM3")
    with pytest.raises(InputError, match="systems is None: give a list"):
        evaluate(None, "PM3")


def test_whole_numbers_of_any_kind_are_charges():
    water = [build("H2O")] * 2
    ion = dataclasses.replace(water[0], charge=np.float32(-1), multiplicity=2.0)
    (found,) = evaluate([ion], "PM3", ("energy",))
    assert json.dumps([found.charge, found.multiplicity]) == "[-1, 2]"
    for charges in (np.array([1.0, -1.0], "f4"), np.array([1, -1], "i2"), [1.0, -1.0]):
        assert [r.charge for r in evaluate(water, "PM3", charges=charges)] == [1, -1]


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("tolerance", 0.0, "tolerance is 0.0: give a positive number"),
        ("tolerance", float("nan"), "tolerance is nan: give a positive number"),
        ("max_iterations", 0, "max_iterations is 0: give 1 or more"),
        ("diis_size", 0, "diis_size is 0: give 1 or more"),
        ("tolerance", "tight", "tolerance is 'tight': give a positive number"),
        ("max_iterations", 5.5, "max_iterations is 5.5: give a whole number"),
        ("max_iterations", float("nan"), "max_iterations is nan: give a whole number"),
        ("diis_size", "8", "diis_size is '8': give a whole number"),
        ("ladder", "no", "ladder is 'no': give True or False"),
    ],
)
def test_settings_of_the_scf_that_make_no_sense(name, value, words):
    with pytest.raises(InputError, match=words):
        SCFSettings(**{name: value})


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_cuda_without_a_device():
    with pytest.raises(InputError, match="torch sees no CUDA device"):
        evaluate([build("H2O")], "PM3", device="cuda")


def test_nothing_is_computed_before_all_input_is_checked(limited):
    sizes = limited(10**6)
    bad = build("H2O")
    bad = moved(bad, np.full((3, 3), np.nan))
    with pytest.raises(InputError, match="molecule 2: the position of atom 0"):
        evaluate([build("H2"), build("HCl"), bad], "PM3")
    assert sizes == []


def test_unusable_guesses_are_ignored():
    molecule = build("H2O")
    expected = single(molecule, "PM3")
    shape = (1, 6, 6)
    for guess in (np.zeros((1, 5, 5)), np.full(shape, np.nan), None, np.zeros((2, 6, 6))):
        result = single(molecule, "PM3", guesses=[guess])
        assert result.energy == pytest.approx(expected.energy, abs=1e-9)


def test_lists_and_arrays_are_as_good():
    molecule = Molecule([1, 1], [[0.0, 0.0, 0.0], [0.0, 0.0, 0.74]])
    engine = Engine("PM3")
    (found,) = engine.run([molecule], ("energy", "density"))
    (again,) = engine.run([molecule], guesses=found.density[None])
    assert again.energy == pytest.approx(found.energy, abs=1e-9)


def test_a_start_that_is_no_determinant_is_not_called_converged():
    """A carbon atom's p electron, spread over three orbitals, commutes with its Fock matrix."""
    atom = Molecule(np.array([6]), np.zeros((1, 3)), multiplicity=1)
    (found,) = Engine("PM3", scf=SCFSettings(max_iterations=1)).run([atom])
    assert found.energy == pytest.approx(Engine("PM3").run([atom])[0].energy, abs=1e-6)


def test_properties_that_can_be_looked_at_once():
    """An iterator is as good as a list."""
    (point,) = evaluate(
        [atoms_of(build("H2O"))], "PM3", properties=(name for name in ("forces", "charges"))
    )
    assert point.forces.shape == (3, 3) and point.charges.shape == (3,)
