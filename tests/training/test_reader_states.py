"""Readers: charge and spin of records, levels and units that only look known."""

import ase.io
import h5py
import numpy as np
import pytest
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from labelled import LEVEL, UNITS, assert_frames, error, frames, group, standard, write_h5

from ase_mlseqm.training.isolated import known_level
from ase_mlseqm.training.readers import FOREIGN, read
from ase_mlseqm.training.smiles import formal_charge


def test_ions_and_radicals_in_hdf5(tmp_path):
    """`mlseqm label` states charge and multiplicity of a group."""
    groups = {
        "water": group("H2O"),
        "broken": group("H2O"),
        "triplet": group("CH3OH"),
        "cation": group("NH3"),
        "dication": group("HCN"),
    }
    path = write_h5(tmp_path / "set.h5", groups, level=LEVEL, units=UNITS)
    with h5py.File(path, "a") as file:
        file["water"].attrs.update(charge=0, multiplicity=1)
        file["dication"].attrs.update(charge=2, multiplicity=1)
        file["dication"]["dipoles"] = np.ones((4, 3))
        file["water"]["dipoles"] = np.ones((4, 3))
        file.attrs["units"] = f"{UNITS}, e*angstrom"
        file["cation"].attrs.update(charge=1, multiplicity=2)
        file["triplet"].attrs.update(charge=0, multiplicity=3)
        file["broken"].attrs.update(charge=0, multiplicity=1, unrestricted=True)
    data = read(path)
    place = [list(groups).index(data.names[m].removeprefix("set/")) for m in data.molecule]
    data = data.select(np.argsort(place, kind="stable"))
    assert_frames(data, list(groups.values()))
    each = (column[::4].tolist() for column in (data.charge, data.multiplicity, data.unrestricted))
    assert list(zip(*each, strict=True)) == [
        (0, 1, False),
        (0, 1, True),
        (0, 3, True),
        (1, 2, True),
        (2, 1, False),
    ]
    # those of ions depend on the origin
    assert np.isfinite(data.dipoles[:4]).all() and np.isnan(data.dipoles[16:]).all()
    assert not data.skipped


@pytest.mark.parametrize("multiplicity", [0, 2, 7, 11])
def test_multiplicities_that_no_molecule_has(tmp_path, multiplicity):
    """Water has eight electrons in six orbitals."""
    path = standard(tmp_path)
    with h5py.File(path, "a") as file:
        file["a"].attrs["multiplicity"] = multiplicity
    data = read(path)
    assert set(data.multiplicity) == {1} and len(data) == 4
    assert f"a multiplicity of {multiplicity} is impossible" in data.skipped[0].reason


@pytest.mark.parametrize(
    ("state", "reason"),
    [
        ({"charge": 4}, "a charge of +4 is too large"),
        ({"charge": 0.5}, "its charge is 0.5"),
        ({"charge": float("nan")}, "its charge is nan"),
        ({"multiplicity": 2.5}, "its multiplicity is 2.5"),
    ],
)
def test_states_that_no_molecule_has(tmp_path, state, reason):
    path = standard(tmp_path)
    with h5py.File(path, "a") as file:
        file["a"].attrs.update(state)
    data = read(path)
    assert set(data.charge) == {0} and len(data) == 4
    assert reason in data.skipped[0].reason


def test_isolated_atoms_are_neutral(tmp_path):
    """The lowest energy counts, and that of an anion is lower."""
    frames = [free("H", -13.5), free("H", -14.5, charge=-1), free("O", -2023.0), water()]
    ase.io.write(tmp_path / "own.extxyz", frames)
    (energy,) = read(tmp_path / "own.extxyz").atomization
    assert energy == pytest.approx(-2046.0 + 2023.0 + 2 * 13.5)


IONS = {"[NH3+]CC[NH3+]": 2, "[O-:1]C(=O)C(=O)[O-:2]": -2, "[Ca+2:3]": 2, "[Fe++]": 2}
NEUTRAL = {"[NH3+:1]CC(=O)[O-:2]": 0, "C[N+](=O)[O-]": 0, "[H:2][O:1][H:3]": 0, "O-O": 0}


@pytest.mark.parametrize("smiles", IONS | NEUTRAL)
def test_formal_charges(smiles):
    """By hand.  Singly charged ions are known by their odd number of protons, too."""
    assert formal_charge(smiles) == (IONS | NEUTRAL)[smiles]


def test_ions_that_only_a_smiles_tells(tmp_path):
    """As in SPICE: dications and dianions have an even number of protons, as neutral ones do."""
    groups = {"ion": group("H2O"), "neutral": group("H2O"), "stated": group("H2O")}
    write_h5(tmp_path / "a.h5", groups, level=LEVEL, units=UNITS)
    with h5py.File(tmp_path / "a.h5", "a") as file:
        for name, smiles in (("ion", "[OH2++]"), ("neutral", "O"), ("stated", "[OH2++]")):
            file[name].attrs["smiles"] = smiles
        file["stated"].attrs["charge"] = 0
    atoms = frames(group("H2O"), level=LEVEL)
    atoms[0].info["smiles"], atoms[1].info["smiles"] = "[OH2++]", "O"
    ase.io.write(tmp_path / "a.xyz", atoms, format="extxyz")
    (tmp_path / "a.xyz").rename(tmp_path / "b.xyz")
    data = read([tmp_path / "a.h5", tmp_path / "b.xyz"])
    assert not data.skipped
    charged = {data.names[m] for m in data.molecule[data.charge == 2]}
    assert charged == {"a/ion", "b/[OH2++]"}
    assert sorted(data.charge) == [0] * 11 + [2] * 5


@pytest.mark.parametrize("smiles", ["[NH4+]", "C[NH3+]", "[CH3]", "[H][H]"])
def test_brackets_that_the_parser_takes_away(tmp_path, smiles):
    """Without them the charge would be lost; in quotation marks ASE leaves them."""
    ase.io.write(tmp_path / "a.xyz", frames(group("H2O")), format="extxyz")
    text = (tmp_path / "a.xyz").read_text().replace("pbc=", f"smiles={smiles} pbc=", 1)
    quoted = text.replace("pbc=", 'smiles="[OH2]" pbc=').replace(f'{smiles} smiles="[OH2]"', smiles)
    (tmp_path / "a.xyz").write_text(quoted)
    data = read(tmp_path / "a.xyz", LEVEL)
    assert len(data) == 3 and data.smiles == ["[OH2]"]
    (skipped,) = data.skipped
    assert skipped.record == "frame 0" and "is no SMILES" in skipped.reason


def free(symbol: str, energy: float, **state) -> Atoms:
    atoms = Atoms(symbol, info={"level": "B3LYP/STO-3G", **state})
    atoms.calc = SinglePointCalculator(atoms, energy=energy, forces=np.zeros((1, 3)))
    return atoms


def water(**results) -> Atoms:
    atoms = Atoms("OHH", group("H2O").positions[0][[0, 1, 2]])
    atoms.numbers = group("H2O").numbers
    results = {"energy": -2046.0, "forces": group("H2O").forces[0], **results}
    atoms.calc = SinglePointCalculator(atoms, **results)
    atoms.info["level"] = "B3LYP/STO-3G"
    return atoms


@pytest.mark.parametrize("multiplicity", [1, 3, 5, None])
def test_free_atoms_count_in_their_ground_state(tmp_path, multiplicity):
    """An oxygen atom is a triplet; another state would shift every energy by 2 eV and more."""
    state = {} if multiplicity is None else {"multiplicity": multiplicity}
    frames = [free("H", -13.5), free("O", -2023.0, **state), water()]
    ase.io.write(tmp_path / "own.extxyz", frames)
    if multiplicity in (1, 5):
        message = error(tmp_path / "own.extxyz")
        assert "the energy of the isolated atom O" in message
    else:
        (energy,) = read(tmp_path / "own.extxyz").atomization
        assert energy == pytest.approx(-2046.0 + 2023.0 + 2 * 13.5)


def test_magnetic_moment_of_a_calculation(tmp_path):
    frames = [free("H", -13.5), free("O", -2023.0), water(), water(magmom=2.0)]
    for atom, magmom in zip(frames[:2], (1.0, -2.0), strict=True):  # those of the ground states
        atom.calc.results["magmom"] = magmom
    ase.io.write(tmp_path / "own.traj", frames)  # extended XYZ keeps it, too
    ase.io.write(tmp_path / "own.extxyz", ase.io.read(tmp_path / "own.traj", ":"))
    data = read(tmp_path / "own.extxyz")
    assert data.multiplicity.tolist() == [1, 3] and data.unrestricted.tolist() == [False, True]


def test_places_where_a_radical_is_stated(tmp_path):
    """However it is, it is one molecule."""
    stated = ({"info": {"charge": 0}}, {"info": {"spin": 2}}, {"magmoms": [1, 0, 0, 0]})
    radicals = frames(group("CH3", 6))
    for atoms, more in zip(radicals, stated, strict=False):
        atoms.info.update(more.get("info", {}))
        atoms.set_initial_magnetic_moments(more.get("magmoms"))
    radicals[3].calc.results["magmom"] = -1.0
    radicals[4].calc.results["magmoms"] = np.array([1.2, -0.05, -0.07, -0.08])
    cation = frames(group("NH3", 1))[0]
    cation.set_initial_charges([1, 0, 0, 0])
    ase.io.write(tmp_path / "a.extxyz", [*radicals, cation])
    data = read(tmp_path / "a.extxyz", LEVEL)
    assert [s.record for s in data.skipped] == ["frame 5"]
    assert data.multiplicity.tolist() == [2] * 6 and data.charge.tolist() == [0] * 5 + [1]
    assert len(set(data.molecule[:5])) == 1 and data.unrestricted.all()


def test_moments_of_both_signs_ask_for_broken_symmetry(tmp_path):
    """Unless the frame says how it was computed; words are no truth values."""
    singlets = frames(group("H2O", 4))
    for atoms in singlets[:2]:
        atoms.set_initial_magnetic_moments([1, -1, 0])
    singlets[1].info["unrestricted"] = False
    singlets[2].info["unrestricted"] = "no"
    ase.io.write(tmp_path / "a.extxyz", singlets)
    data = read(tmp_path / "a.extxyz", LEVEL)
    assert data.unrestricted.tolist() == [True, False, False]
    assert [s.record for s in data.skipped] == ["frame 2"]
    path = standard(tmp_path)
    with h5py.File(path, "a") as file:
        file["a"].attrs["unrestricted"] = "no"
    assert "give True or False" in read(path).skipped[0].reason


def test_open_shells_of_other_elements_are_not_broken(tmp_path):
    """Nothing is known of the valence of iron."""
    hydride = frames(group("H2O", 1))[0]
    hydride.numbers = [26, 1, 1]
    hydride.info["multiplicity"] = 5
    ase.io.write(tmp_path / "a.extxyz", [*frames(group("H2O")), hydride])
    (skipped,) = read(tmp_path / "a.extxyz", LEVEL, elements={1, 8}).skipped
    assert skipped.reason == f"{FOREIGN} Fe"


@pytest.mark.parametrize(
    "level",
    [
        "wB97X/6-31G* (PySCF, spherical d functions)",
        "B3LYP//wB97X/6-31G*",
        "RI-MP2/cc-pVTZ at wB97X/6-31G* geometries",
        "wB97X/6-31G**",
    ],
)
def test_levels_that_only_look_known(level):
    assert known_level(level) == {}
    assert known_level(LEVEL) and known_level("a model of wB97X/6-31G*")


def test_a_level_that_later_frames_state(tmp_path):
    frames = [water() for _ in range(3)]
    del frames[0].info["level"]
    ase.io.write(tmp_path / "own.extxyz", frames)
    isolated = {"H": -0.5, "O": -74.0}
    assert len(read(tmp_path / "own.extxyz", level="B3LYP/STO-3G", isolated=isolated)) == 3


def test_units_of_dipoles(tmp_path):
    path = standard(tmp_path)
    with h5py.File(path, "a") as file:
        file["a"]["dipoles"] = np.ones((4, 3))
        file.attrs["units"] = f"{UNITS}, Debye"
    assert read(path).dipoles[0] == pytest.approx(1 / 4.803204712570263)
    with h5py.File(path, "a") as file:
        file.attrs["units"] = f"{UNITS}, statC"
    assert "unknown unit of dipoles 'statc'" in error(path)


def test_units_of_formats_that_have_them(tmp_path):
    """Of HDF5 one may state them and another not; extended XYZ has its own by convention."""
    path = tmp_path / "own.extxyz"
    ase.io.write(path, [free("H", -13.5), free("O", -2023.0), water()])
    assert "units 'hartree' are of no use" in error(path, units="hartree")
    assert len(read([path, standard(tmp_path)], units="hartree")) == 9
