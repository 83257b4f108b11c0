"""One split by fragment, for any files in any order."""

import dataclasses

import numpy as np
import pytest
from helpers import SHARED, needs_shared
from labelled import group, standard

from ase_mlseqm.errors import InputError
from ase_mlseqm.training.dataset import Dataset
from ase_mlseqm.training.readers import read
from ase_mlseqm.training.smiles import heavy_atoms, smiles_fragments
from ase_mlseqm.training.split import leakage, on_both_sides, split

LARGE = [f"{'C' * k}{x}" for k in range(4, 24) for x in "NOSF"]
SMALL = ["O", "C", "CO", "N", "CC", "CCO", "C#N", "C=O", "CNC", "COC"]


def made_up(smiles: list[str | None], frames_each: int = 2) -> Dataset:
    """A data set of which only the SMILES matter."""
    n = frames_each * len(smiles)
    water = group("H2O")
    return Dataset(
        numbers=[water.numbers] * n,
        positions=[water.positions[0]] * n,
        energies=np.zeros(n),
        atomization=np.zeros(n),
        forces=[water.forces[0]] * n,
        charge=np.zeros(n, dtype=np.int64),
        multiplicity=np.ones(n, dtype=np.int64),
        unrestricted=np.zeros(n, dtype=bool),
        molecule=np.repeat(np.arange(len(smiles)), frames_each),
        names=[f"m{k}" for k in range(len(smiles))],
        smiles=smiles,
        level=["made up"],
        source=np.zeros(n, dtype=int),
    )


def real(name: str, smiles: str | None) -> Dataset:
    """A molecule with its geometry."""
    data = group(name)
    return dataclasses.replace(
        made_up([smiles], 1), numbers=[data.numbers], positions=[data.positions[0]]
    )


def sides(data: Dataset, fraction=0.3, seed=0) -> dict[str, str]:
    parts = split(data, fraction, seed)
    assert sorted(np.concatenate(parts).tolist()) == list(range(len(data)))
    out: dict[str, str] = {}
    for label, part in zip("tvd", parts, strict=True):
        for k in part:
            name = data.smiles[data.molecule[k]]
            assert out.setdefault(name, label) == label
    return out


def test_frames_for_themselves():
    """One molecule on both sides, every frame on its own wherever it is read from."""
    data = made_up(["CCO"], 400)
    random = np.random.default_rng(0)
    moved = [data.positions[0] + random.normal(scale=0.1, size=(3, 3)) for _ in range(400)]
    data = dataclasses.replace(data, positions=moved)
    training, validation, neither = split(data, 0.2, 0, "frame")
    assert not len(neither)
    assert sorted([*training, *validation]) == list(range(400))
    assert 50 < len(validation) < 110
    order = random.permutation(400)
    other = dataclasses.replace(data, positions=[moved[k] for k in order])
    assert set(order[split(other, 0.2, 0, "frame")[1]]) == set(validation)
    assert set(split(data, 0.2, 1, "frame")[1]) != set(validation)


def test_what_tells_frames_apart():
    """A displacement of 1e-3 Angstrom, but neither digits that files lose nor the sign of zero."""
    data, random = made_up(["CCO"], 200), np.random.default_rng(0)
    moved = [data.positions[0] + random.uniform(-2e-3, 2e-3, size=(3, 3)) for _ in range(200)]
    near = dataclasses.replace(data, positions=[p.round(4) for p in moved])
    assert 30 < len(split(near, 0.3, 0, "frame")[1]) < 90
    again = dataclasses.replace(near, positions=[p + 1e-6 for p in near.positions])
    np.testing.assert_array_equal(split(again, 0.3, 0, "frame")[1], split(near, 0.3, 0, "frame")[1])
    plus, minus = (made_up(["O"], 1) for _ in range(2))
    plus.positions[0], minus.positions[0] = np.zeros((3, 3)), np.full((3, 3), -1e-6)
    alike = [
        [len(split(one, 0.5, seed, "frame")[1]) for one in (plus, minus)] for seed in range(20)
    ]
    assert all(one == other for one, other in alike)


def test_every_frame_is_somewhere_and_the_share_is_right():
    data = made_up(LARGE * 10)
    assert sides(data, 0.0) == dict.fromkeys(LARGE, "t")
    share = [
        list(sides(made_up(LARGE), 0.3, s).values()).count("v") / len(LARGE) for s in range(20)
    ]
    assert np.mean(share) == pytest.approx(0.3, abs=0.05)


def test_the_split_depends_on_smiles_and_seed_alone():
    one, other = sides(made_up(LARGE)), sides(made_up(LARGE[::-1] + SMALL))
    assert {k: other[k] for k in one} == one
    assert {k: sides(made_up([k]))[k] for k in LARGE[:10]} == {k: one[k] for k in LARGE[:10]}
    assert sides(made_up(LARGE), seed=1) != one
    larger = sides(made_up(LARGE), 0.5)
    assert all(larger[k] == "v" for k in LARGE if one[k] == "v"), "more of it, not others"


def test_the_split_is_the_same_on_every_machine():
    """Validation errors of different trainings are compared: the split must never change."""
    found = sides(made_up(["c1ccccc1", "CCCCO", "CCCCCCC", "CC(C)C", "O", "CO"]), 0.5)
    expected = {
        "c1ccccc1": "t",
        "CCCCO": "v",
        "CCCCCCC": "t",
        "CC(C)C": "v",
        "O": "v",
        "CO": "t",
    }
    assert found == expected


def test_dimers_follow_their_large_fragment():
    alone = sides(made_up(LARGE))
    dimers = [f"{small}.{large}" for small in SMALL for large in LARGE]
    dimers += [f"{large}.{large}" for large in LARGE]
    found = sides(made_up(dimers))
    for name, side in found.items():
        assert side == alone[name.split(".")[1]]


def test_dimers_of_both_sides_are_dropped():
    alone = sides(made_up(LARGE))
    found = sides(made_up([f"{a}.{b}" for a in LARGE for b in LARGE]))
    for name, side in found.items():
        a, b = name.split(".")
        assert side == (alone[a] if alone[a] == alone[b] else "d")
    assert set(found.values()) == {"t", "v", "d"}


def test_small_molecules_go_by_themselves():
    """A dimer of small ones need not follow them, but its order does not matter."""
    data = made_up([f"{a}.{b}" for a in SMALL for b in SMALL])
    found = sides(data)
    assert set(found.values()) == {"t", "v"}
    for a in SMALL:
        for b in SMALL:
            assert found[f"{a}.{b}"] == found[f"{b}.{a}"]


def test_no_leakage_in_a_split():
    data = made_up([f"{a}.{b}" for a in LARGE + SMALL for b in LARGE + SMALL] + LARGE, 1)
    train, validation, _ = split(data, 0.3)
    assert leakage(data.select(train), data.select(validation)) == []
    assert leakage(data.select(train), data.select(train[::2])) != []


def test_leakage_finds_large_fragments_only():
    one = made_up(["CCCCO.O", "CC", "c1ccccc1", "CC(C)C"])
    two = made_up(["O", "CCCCO", "CC.O", "C1CCCCC1", "N.CC(C)C"])
    assert leakage(one, two) == ["CC(C)C", "CCCCO"]
    # molecules without frames do not count
    assert leakage(one.select([2, 3]), two) == []


@pytest.mark.parametrize("fraction", [-0.1, 1.0, float("nan")])
def test_fraction_is_checked(fraction):
    with pytest.raises(InputError, match="validation fraction"):
        split(made_up(["O"]), fraction)


def test_empty_data_set():
    assert [len(part) for part in split(made_up([]))] == [0, 0, 0]


# --- without SMILES


def test_molecules_without_smiles_keep_to_one_side(tmp_path):
    data = dataclasses.replace(read(standard(tmp_path)), smiles=[None, None])
    for seed in range(5):
        parts = split(data, 0.5, seed)
        assert all(len(set(data.molecule[p]) & set(data.molecule[q])) == 0 for p, q in [parts[:2]])
    assert leakage(data, data) == [], "water and ethanol are small"
    benzene = real("C6H6", None)
    (name,) = leakage(benzene, Dataset.concatenate([data, benzene]))
    assert name.startswith("C6H6~")


def test_the_same_bonds_with_and_without_smiles_go_together():
    with_smiles, without = real("C6H6", "c1ccccc1"), real("C6H6", None)
    other = real("C4H4O", None)
    assert leakage(with_smiles, without) == ["c1ccccc1"]
    assert leakage(with_smiles, other) == []
    data = Dataset.concatenate([with_smiles, without])
    for seed in range(10):
        assert len(split(data, 0.5, seed)[0]) in (0, 2)


def test_molecules_of_a_dimer_that_are_of_one_size_are_not_confused():
    """Furan and pyrrole: which SMILES is whose the sizes do not tell."""
    furan, pyrrole = group("C4H4O"), group("C4H4NH")
    dimer = made_up(["c1cc[nH]c1.c1ccoc1"], 1)
    positions = [furan.positions[0], pyrrole.positions[0] + [0, 0, 20.0]]
    dimer.numbers[0] = np.concatenate([furan.numbers, pyrrole.numbers])
    dimer.positions[0] = np.concatenate(positions)
    assert leakage(dimer, real("C4H4O", None)) == []
    known = Dataset.concatenate([dimer, real("C4H4O", "c1ccoc1")])
    assert leakage(known, real("C4H4O", None)) == ["c1ccoc1"]


def test_small_molecules_with_several_smiles_may_be_on_both_sides():
    data = Dataset.concatenate([real("CH3OH", "CO"), real("CH3OH", "OC")])
    assert [on_both_sides(data, 0.5, seed) for seed in range(20)] == [[]] * 20


def test_a_molecule_with_several_smiles_is_found_out():
    """The side follows from the text, so that they are on both, unless chance has it otherwise."""
    one, other = real("CH3CH2OCH3", "CCOC"), real("CH3CH2OCH3", "COCC")
    data = Dataset.concatenate([one, other, real("C6H6", "c1ccccc1")])
    found = [on_both_sides(data, 0.5, seed) for seed in range(20)]
    apart = [len({k in split(data, 0.5, seed)[0] for k in (0, 1)}) == 2 for seed in range(20)]
    assert found == [[["CCOC", "COCC"]] if different else [] for different in apart]
    assert 3 < sum(apart) < 17


# --- SMILES


@pytest.mark.parametrize(
    ("smiles", "count"),
    [
        ("O", 1),
        ("[H][H]", 0),
        ("[2H]O[2H]", 1),
        ("[H+]", 0),
        ("[He]", 1),
        ("[Hg]", 1),
        ("c1ccccc1", 6),
        ("CCl", 2),
        ("BrCBr", 3),
        ("C[N+](=O)[O-]", 4),
        ("c1cc[nH]c1", 5),
        ("[13CH4]", 1),
        ("N[C@@H](C)C(=O)O", 6),
        ("F/C=C\\F", 4),
        ("C%12CCCCC%12", 6),
        ("[Na+].[Cl-]", 2),
        ("[se]1cccc1", 5),
    ],
)
def test_heavy_atoms(smiles, count):
    assert heavy_atoms(smiles) == count
    Chem = pytest.importorskip("rdkit.Chem")
    molecule = Chem.MolFromSmiles(smiles)
    assert sum(atom.GetAtomicNum() > 1 for atom in molecule.GetAtoms()) == count


def test_fragments_of_smiles():
    found = smiles_fragments("c1ccccc1.O")
    assert [(f.name, f.heavy) for f in found] == [("O", 1), ("c1ccccc1", 6)]
    assert smiles_fragments("F/C=C/F") == smiles_fragments("F/C=C\\F")
    assert smiles_fragments("C[C@H](O)F") == smiles_fragments("C[C@@H](O)F")
    assert smiles_fragments("C[C@H](O)F") == smiles_fragments("CC(O)F")


# --- the project's data


@pytest.fixture(scope="module")
def shared_sets() -> dict[str, Dataset]:
    names = ("ani1x_labels", "dft_train", "ani1x_heldout", "dft_test")
    return {name: read(SHARED / f"{name}.h5") for name in names}


@needs_shared
@pytest.mark.parametrize("blind", [False, True])
def test_training_and_test_files_share_no_fragment(shared_sets, blind):
    """Also when fragments are told by their bonds instead of their SMILES."""
    training = Dataset.concatenate([shared_sets["ani1x_labels"], shared_sets["dft_train"]])
    test = Dataset.concatenate([shared_sets["ani1x_heldout"], shared_sets["dft_test"]])
    if blind:
        training = dataclasses.replace(training, smiles=[None] * len(training.smiles))
        test = dataclasses.replace(test, smiles=[None] * len(test.smiles))
    assert leakage(training, test) == []
    assert len(leakage(test, shared_sets["dft_test"])) > 20, "it finds what there is"


@needs_shared
def test_one_split_for_all_training_files(shared_sets):
    parts = [shared_sets["ani1x_labels"], shared_sets["dft_train"]]
    both = Dataset.concatenate(parts)
    train, validation, dropped = split(both)
    assert leakage(both.select(train), both.select(validation)) == []
    assert 0.07 < len(validation) / len(both) < 0.13 and len(dropped) < 0.05 * len(both)
    alone = [set(split(data)[1].tolist()) for data in parts]
    n = len(parts[0])
    assert alone[0] == {k for k in validation if k < n}
    assert alone[1] == {k - n for k in validation if k >= n}


@needs_shared
def test_heavy_atoms_of_the_data(shared_sets):
    for data in shared_sets.values():
        first = np.unique(data.molecule, return_index=True)[1]
        for molecule, frame in enumerate(first):
            assert heavy_atoms(data.smiles[molecule]) == (data.numbers[frame] > 1).sum()
