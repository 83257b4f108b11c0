"""Which minima a transition state connects, how far they were followed, and what files say."""

import json

import numpy as np
import pytest
from ase import Atoms
from ase.build import molecule
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io import read, write
from reactions import inversion, isomerisation, planar, torsion

from ase_mlseqm import MLSEQM, InputError
from ase_mlseqm.cli import app as cli
from ase_mlseqm.workflows.neb import NEBConfig, neb
from ase_mlseqm.workflows.relax import RelaxConfig, relax
from ase_mlseqm.workflows.ts import TSConfig, ts
from ase_mlseqm.workflows.ts_config import Minimum
from ase_mlseqm.workflows.ts_ends import assigned

GUESS = Atoms("HCN", [(0, 1.2, 0.55), (0, 0, 0), (0, 0, 1.17)])
DIMER = TSConfig(refiner="dimer")


def pm3(**options):
    return MLSEQM(method="PM3", **options)


def at(atoms, energy):
    copy = atoms.copy()
    copy.calc = SinglePointCalculator(copy, energy=energy)
    return copy


def foot(atoms, energy):
    return Minimum(at(atoms, energy), True, None, [])


class TestEnds:
    """Bonds decide, and of conformers the structures."""

    def test_another_structure_with_the_bonds_of_the_product(self):
        hcn, hnc = isomerisation()
        bridged = Atoms("HCN", [(0, 0.88, 1.75), (0, 0, 0), (0, 0, 1.25)])  # H on N, bent
        minima = [foot(bridged, -98.0), foot(hcn, -100.0)]
        order, connects, remarks = assigned(minima, at(hcn, -100.0), at(hnc, -99.3))
        assert order[0] is minima[1] and not connects
        (remark,) = remarks
        assert "on the side of the product" in remark and "1.300 eV above it" in remark
        # of ends without energies nothing but the bonds is known
        assert assigned(minima, hcn, hnc)[1:] == (True, [])

    def test_a_lower_minimum_with_the_bonds_of_the_product(self):
        hcn, hnc = isomerisation()
        minima = [foot(hcn, -100.0), foot(hnc, -100.6)]
        _, connects, remarks = assigned(minima, at(hcn, -100.0), at(hnc, -99.3))
        assert not connects and "1.300 eV below it" in remarks[0]

    def test_conformers_are_told_by_both_structures(self):
        cis, trans = torsion()
        ends = at(cis, -10.0), at(trans, -10.1)
        minima = [foot(trans, -10.1), foot(cis, -10.0)]
        assert assigned(minima, *ends) == (minima[::-1], True, [])
        for both in (foot(cis, -10.0), foot(trans, -10.1)):  # of ends without energies, too
            assert assigned([both, both], cis, trans)[1] is False
        # of the same shape, but not the end
        other = [foot(cis, -10.0), foot(trans, -10.04)]
        _, connects, remarks = assigned(other, *ends)
        assert not connects and "0.060 eV above it" in remarks[0]

    def test_another_complex_of_the_product(self):
        hcn, hnc = isomerisation()
        far, near = hcn.copy(), hnc.copy()
        near.positions[0] += [0.9, 0.0, -0.5]
        far, near = (one + Atoms("He", [(0, 0, 6.0 + z)]) for one, z in ((far, 0), (near, 2.0)))
        product = hnc + Atoms("He", [(0, 0, 6.0)])
        minima = [foot(far, -100.0), foot(near, -99.25)]
        _, connects, remarks = assigned(minima, at(far, -100.0), at(product, -99.3))
        assert connects and "0.050 eV above it" in remarks[0]

    def test_conformers_have_to_be_the_ends(self):
        """Of butane from gauche to the other gauche, by way of anti or not."""
        anti = molecule("trans-butane")
        carbon = [k for k, atom in enumerate(anti) if atom.symbol == "C"]
        end = max(carbon, key=lambda k: anti.positions[k, 1])
        chain = [end]
        while len(chain) < 4:
            left = [k for k in carbon if k not in chain]
            chain.append(min(left, key=lambda k: anti.get_distance(k, chain[-1])))
        moving = [
            k
            for k in range(len(anti))
            if anti.get_distance(k, chain[3]) < 1.2 or anti.get_distance(k, chain[2]) < 1.2
        ]

        def turned(angle, energy):
            atoms = anti.copy()
            atoms.set_dihedral(*chain, angle, indices=moving)
            return at(atoms, energy)

        plus, minus, flat = turned(65, -0.02), turned(-65, -0.02), turned(180, -0.04)
        found = [foot(plus, -0.02), foot(flat, -0.04)]
        assert assigned(found, plus, minus)[1] is False
        assert assigned(found, plus, flat)[1:] == (True, [])
        found = [foot(plus, -0.02), foot(minus, -0.02)]
        assert assigned(found, minus, plus)[1:] == (True, [])


def test_a_reaction_coordinate_that_is_given_up(tmp_path, monkeypatch, capsys):
    file = tmp_path / "c.json"
    few = TSConfig(refiner="dimer", irc_steps=4)
    ends = dict(zip(("reactant", "product"), isomerisation(), strict=True))
    short = ts(GUESS, pm3(), few, checkpoint=file, **ends)
    assert not short.converged
    assert "given up after 4 steps on the side of the reactant" in short.message
    assert [len(minimum.path) for minimum in short.minima] == [4, 4]
    whole = ts(GUESS, pm3(), DIMER, **ends)
    assert whole.converged and min(len(minimum.path) for minimum in whole.minima) > 4
    calls = []
    more = ts(GUESS, pm3(), DIMER, checkpoint=file, callback=calls.append, **ends)
    assert more.converged
    assert not any("refinement" in call or call == "Hessian" for call in calls)
    assert more.barriers == pytest.approx(whole.barriers, abs=1e-5)
    assert [len(m.path) for m in more.minima] == [len(m.path) for m in whole.minima]
    # what was finished stays
    calls.clear()
    assert ts(GUESS, pm3(), DIMER, checkpoint=file, callback=calls.append, **ends).converged
    assert calls == []
    # and fewer steps are those of a run that takes no more
    assert not ts(GUESS, pm3(), few, checkpoint=file, **ends).converged


def test_an_end_that_is_no_minimum_is_told():
    """Flat ammonia keeps its symmetry where it is relaxed, and is the top itself."""
    config = TSConfig(refiner="dimer", irc=False)
    result = ts(planar(), pm3(), config, reactant=planar(), product=inversion()[0])
    assert [minimum.converged for minimum in result.minima] == [False, True]
    assert not result.converged and result.message == "the reactant is not relaxed to a minimum"


def test_two_imaginary_modes_are_one_too_many():
    """Linear water, which bends to all sides."""
    line = Atoms("HOH", [(0, 0, -0.95), (0, 0, 0), (0, 0, 0.95)])
    line = relax(line, pm3(), RelaxConfig(fmax=1e-4)).atoms
    bent = molecule("H2O")[[1, 0, 2]]
    ends = {"reactant": bent, "product": bent}
    result = ts(line, pm3(), TSConfig(refiner="dimer", irc=False), **ends)
    assert len(result.imaginary) == 2 and result.activation is None
    assert not result.converged and result.message == "2 imaginary modes instead of one"


def test_no_reaction_coordinate_is_asked_for_by_name():
    with pytest.raises(InputError, match="irc_steps is 0: give 1 or more, or leave"):
        TSConfig(irc_steps=0)


@pytest.mark.slow
def test_a_foot_that_is_a_saddle_point_is_left():
    """The complexes of F- + CH3Cl, on the axis of its transition state, are none in PM3."""
    guess = Atoms("CH3FCl", [(0, 0, 0), *[(0, 0, 0)] * 3, (0, 0, -1.9), (0, 0, 2.2)])
    turns = np.radians([0, 120, 240])
    guess.positions[1:4, :2] = 1.08 * np.array([np.cos(turns), np.sin(turns)]).T
    found = ts(guess, pm3(charge=-1), TSConfig())
    assert found.converged, found.message
    assert "ends in a saddle point" in found.message
    assert all(minimum.converged for minimum in found.minima)
    for minimum in found.minima:
        assert (minimum.vibrations.frequencies > -20).all()
        alone = relax(minimum.atoms, pm3(charge=-1), RelaxConfig(fmax=0.005))
        assert alone.energy == pytest.approx(minimum.atoms.get_potential_energy(), abs=1e-3)


def anion(z):
    return Atoms("CH3", [(0, 0, z), (1.0, 0, 0), (-0.5, 0.866, 0), (-0.5, -0.866, 0)])


def test_files_can_be_computed_again(tmp_path, monkeypatch, capsys):
    """They state the charge, which only an option gave, and nothing of earlier calculations."""
    monkeypatch.chdir(tmp_path)
    for name, z in (("r", 0.3), ("p", -0.3)):
        write(f"{name}.xyz", anion(z))
    line = ["--method", "PM3", "--charge", "-1"]
    assert cli.main(["relax", "r.xyz", "p.xyz", *line, "--out", "o"]) == 0
    ends = ["o/r_relaxed.extxyz", "o/p_relaxed.extxyz"]
    assert "heat_of_formation" in read(ends[0]).info
    assert cli.main(["neb", *ends, *line, "--images", "5", "--ts", "--out", "o"]) == 0
    (stem,) = [file.name.removesuffix("_path.extxyz") for file in tmp_path.glob("o/*_path.extxyz")]
    for kind in ("path", "ts", "minima", "irc"):
        for atoms in read(f"o/{stem}_{kind}.extxyz", ":"):
            assert (atoms.info["charge"], atoms.info["multiplicity"]) == (-1, 1)
            assert atoms.info["method"] == "PM3"
            assert not {"heat_of_formation", "gap", "steps", "relaxed"} & set(atoms.info)
            again = pm3().get_potential_energy(atoms.copy())
            assert again == pytest.approx(atoms.get_potential_energy(), abs=1e-5)
    capsys.readouterr()
    other = ["ts", f"o/{stem}_path.extxyz", "--method", "AM1", "--out", "p", "--no-irc", "--json"]
    assert cli.main(other) == 0
    (told,) = json.loads(capsys.readouterr().out)["molecules"]
    assert told["charge"] == -1
    assert read(f"p/{stem}_ts.extxyz").info["method"] == "AM1"


class TestStates:
    """Ends whose charges and multiplicities are the same in effect."""

    CONFIG = NEBConfig(images=3, max_steps=0, relax_ends=False)

    def test_what_is_not_given_is_what_it_is_taken_for(self):
        up, down = inversion()
        up.info |= {"charge": 0, "multiplicity": 1}
        assert neb(up, down, pm3(), self.CONFIG).images

    def test_a_keyword_counts_for_both(self):
        up, down = anion(0.3), anion(-0.3)
        up.info["charge"] = -1
        found = neb(up, down, pm3(charge=-1), self.CONFIG)
        assert all(image.info["charge"] == -1 for image in found.images)

    def test_others_are_named(self):
        up, down = torsion()
        down.info["charge"] = -1
        with pytest.raises(
            InputError,
            match="reactant has charge 0 and multiplicity 1, the product -1 and 2: give both",
        ):
            neb(up, down, pm3(), self.CONFIG)
