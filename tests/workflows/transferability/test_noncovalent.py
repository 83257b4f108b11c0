"""Curves of dimers: readers of both layouts, minima, errors."""

import dataclasses
import shutil

import h5py
import numpy as np
import pytest
from ase import Atoms
from ase.build import molecule
from ase.data.s22 import (
    create_s22_system,
    get_interaction_energy_s22,
    get_number_of_dimer_atoms,
    s22,
)
from ase.io import write
from helpers import SHARED, needs_shared
from transfer import PLAIN, metrics, table

from ase_mlseqm import evaluate
from ase_mlseqm.errors import InputError
from ase_mlseqm.runs.transferability import transferability_run
from ase_mlseqm.units import EV_TO_KCAL, HARTREE
from ase_mlseqm.workflows.transferability.config import TransferabilityConfig
from ase_mlseqm.workflows.transferability.curves import minimum
from ase_mlseqm.workflows.transferability.noncovalent import NonCovalent, curves
from ase_mlseqm.workflows.transferability.read_comp6 import comp6_reactions, contacts, read_curves
from ase_mlseqm.workflows.transferability.read_gmtkn import expand, read_gmtkn

DISTANCES = (2.5, 2.7, 2.9, 3.1, 3.4, 4.0, 6.0)


def water_dimer(distance: float) -> Atoms:
    """Two waters with a hydrogen bond and this distance of their oxygen atoms, Angstrom."""
    donor = Atoms("OHH", [[0, 0, 0], [0.96, 0, 0], [-0.24, 0.93, 0]])
    acceptor = Atoms("OHH", [[0, 0, 0], [0.59, 0, 0.76], [0.59, 0, -0.76]])
    acceptor.positions += [distance, 0, 0]
    return donor + acceptor


def write_comp6(path, sign=-1.0, method="AM1"):
    """A curve of the water dimer in the layout of COMP6, labelled by a published method."""
    systems = [water_dimer(d) for d in DISTANCES]
    found = evaluate(systems, method)
    with h5py.File(path, "w") as file:
        group = file.create_group("s66x8/mol00")
        group["species"] = np.array([s.encode() for s in systems[0].symbols])
        group["coordinates"] = np.array([atoms.positions for atoms in systems])
        group["energies"] = np.array([r.energy for r in found]) / HARTREE
        group["forces"] = sign * np.array([r.forces for r in found]) / HARTREE
    return path


def write_gmtkn(folder, line="$tmer {01A,01B,01}/$f x 1 1 -1 $w 5.00"):
    """A subset with the water dimer and an ion."""
    dimer = water_dimer(2.9)
    for name, atoms in (("01", dimer), ("01A", dimer[:3]), ("01B", dimer[3:])):
        (folder / name).mkdir(parents=True)
        write(folder / name / "struc.xyz", atoms, format="xyz")
    ion = folder / "OH"
    ion.mkdir()
    write(ion / "coord", molecule("OH"), format="turbomole")
    (ion / ".CHRG").write_text("-1\n")
    (folder / ".res").write_text(f'if [ "$TMER" == "" ]\nthen\n tmer=tmer2++\nfi\n\n# x\n{line}\n')
    return folder


def test_gradients_become_forces(tmp_path):
    (curve,) = read_curves(write_comp6(tmp_path / "s66x8.h5"))
    expected = evaluate([water_dimer(d) for d in DISTANCES], "AM1")
    for forces, energy, found in zip(curve.forces, curve.energies, expected, strict=True):
        assert forces == pytest.approx(found.forces, abs=1e-9)
        assert energy == pytest.approx(found.energy)
    assert curve.contacts == pytest.approx(np.array(DISTANCES) - 0.96)
    with pytest.raises(InputError, match="stores gradients, but here energies fall"):
        list(read_curves(write_comp6(tmp_path / "wrong.h5", sign=1.0)))


def test_units_and_groups_of_curves(tmp_path):
    """Where a file states its units they hold, and groups of one name are curves of their own."""
    path = write_comp6(tmp_path / "s66x8.h5")
    with h5py.File(path, "a") as file:
        file.copy("s66x8/mol00", "other/mol00")
        for frames in ("coordinates", "energies", "forces"):
            values = file[f"other/mol00/{frames}"][...][::-1]
            file[f"other/mol00/{frames}"][...] = values
    both = list(read_curves(path))
    assert [curve.name for curve in both] == ["s66x8/mol00", "s66x8/s66x8/mol00"]
    assert both[0].energies == pytest.approx(both[1].energies[::-1])
    found = comp6_reactions(path)
    assert len({r.name for r in found.reactions}) == 2 * (len(DISTANCES) - 1)
    with h5py.File(path, "a") as file:
        file.attrs["units"] = "ev, angstrom"
        for group in (file["s66x8/mol00"], file["other/mol00"]):
            group["energies"][...] *= HARTREE
            group["forces"][...] *= HARTREE
    for before, after in zip(both, read_curves(path), strict=True):
        assert after.energies == pytest.approx(before.energies)
        assert after.forces == pytest.approx(before.forces)


def test_curves_are_relative_to_the_widest_frame(tmp_path):
    found = comp6_reactions(write_comp6(tmp_path / "s66x8.h5"))
    assert len(found) == len(found.forces) == len(DISTANCES)
    assert len(found.reactions) == len(DISTANCES) - 1
    assert {r.curve for r in found.reactions} == {"s66x8/mol00"}
    assert all(r.coefficients["s66x8/mol00[6]"] == -1 for r in found.reactions)
    assert all(r.zero == pytest.approx(DISTANCES[-1] - 0.96) for r in found.reactions)


def test_contact_of_what_are_not_two_molecules():
    assert np.isnan(contacts([molecule("CH4")])).all()


def test_braces():
    assert expand("01{A,B,}/$f") == ["01A/$f", "01B/$f", "01/$f"]
    assert expand("{a,b}{1,2}") == ["a1", "a2", "b1", "b2"]
    assert expand("h2") == ["h2"]


def test_gmtkn_folder(tmp_path):
    folder = write_gmtkn(tmp_path / "S66")
    found = read_gmtkn(folder)
    (reaction,) = found.reactions
    # turned round: the interaction energy is negative
    assert reaction.reference == -5.0
    assert reaction.coefficients == {"S66/01A": -1, "S66/01B": -1, "S66/01": 1}
    assert reaction.name == "S66/01A + 01B → 01"
    script = folder / ".res"
    script.write_text("tmer2_GMTKN OH H 01A x -1 -1 1 $w 109.493\n")
    (folder / "H").mkdir()
    write(folder / "H" / "struc.xyz", molecule("H"), format="xyz")
    (folder / "H" / ".CHRG").write_text("1\n")
    found = read_gmtkn(folder)
    assert found.reactions[0].reference == 109.493
    assert found.reactions[0].coefficients == {"S66/OH": -1, "S66/H": -1, "S66/01A": 1}
    assert found.systems["S66/OH"].info == {"charge": -1, "multiplicity": 1}
    assert found.systems["S66/OH"].positions == pytest.approx(molecule("OH").positions, abs=1e-6)


@pytest.mark.parametrize("line", ["$tmer 01 01A x -1 2 $w 5.0", "$tmer 01 01A 01A x -1 1 1 $w 5.0"])
def test_dimers_of_one_molecule_are_turned_round_too(tmp_path, line):
    (reaction,) = read_gmtkn(write_gmtkn(tmp_path / "S66", line)).reactions
    assert reaction.reference == -5.0
    assert reaction.coefficients == {"S66/01A": -2, "S66/01": 1}


def test_structures_that_would_be_misread(tmp_path):
    folder = write_gmtkn(tmp_path / "S66", "$tmer OH 01A x -2 1 $w 1.0\n$tmer 01 01A x -1 2 $w 2.0")
    coordinates = (folder / "OH" / "coord").read_text()
    (folder / "OH" / "coord").write_text(coordinates.replace("$coord", "$coord angs"))
    (skipped,) = read_gmtkn(folder).skipped
    assert "its coordinates are in angs: write them in bohr" in skipped.reason
    (folder / "OH" / "coord").write_text(coordinates.replace("$coord", " $coord natoms=2 Angs"))
    (skipped,) = read_gmtkn(folder).skipped
    assert "its coordinates are in Angs: write them in bohr" in skipped.reason
    write(folder / "01A" / "struc.xyz", [molecule("H2O"), molecule("CH4")], format="xyz")
    with pytest.raises(InputError, match="none of its 2 records can be used"):
        read_gmtkn(folder)
    (folder / "OH" / "coord").write_text(coordinates)
    (folder / ".res").write_text("$tmer 01 01A x -1 2 $w 2.0\n$tmer 01 01B x -1 2 $w 1.0\n")
    (skipped,) = read_gmtkn(folder).skipped
    assert skipped.reason == "it has 2 structures: keep one"


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("$tmer 01A 01A x 1 -1 $w 0.0", "it does not turn some systems into others"),
        (
            "$tmer 01 01A x 1 $w 5.0",
            r"S66: nothing in it can be used \(S66/.res: line 7: 2 systems, but 1 coefficients",
        ),
        ("$tmer 01 01A x 1 a $w 5.0", "are no numbers"),
        (
            "$tmer 01 07 x 1 -1 $w 5.0",
            r"S66/07: line 7 \(.*\): there is no struc.xyz or coord in it",
        ),
        ("$tmer 01 01A 1 -1", "there is no x between"),
        ("nothing", "there is no reaction in it"),
    ],
)
def test_gmtkn_folder_of_which_nothing_is_left(tmp_path, line, sentence):
    with pytest.raises(InputError, match=sentence):
        read_gmtkn(write_gmtkn(tmp_path / "S66", line))


def test_points_of_curves_in_a_gmtkn_folder(tmp_path):
    lines = []
    for d in DISTANCES:
        folder = tmp_path / "S66x8" / f"01_{d:.2f}"
        folder.mkdir(parents=True)
        write(folder / "struc.xyz", water_dimer(d), format="xyz")
        lines.append(f"$tmer 01_{d:.2f} A B x 1 -1 -1 $w -1.0")
    for name, part in (("A", slice(0, 3)), ("B", slice(3, 6))):
        (tmp_path / "S66x8" / name).mkdir()
        write(tmp_path / "S66x8" / name / "struc.xyz", water_dimer(3.0)[part], format="xyz")
    (tmp_path / "S66x8" / ".res").write_text("\n".join(lines))
    found = read_gmtkn(tmp_path / "S66x8")
    assert {r.curve for r in found.reactions} == {"S66x8/01"}
    assert [r.x for r in found.reactions] == pytest.approx(np.array(DISTANCES) - 0.96)


def test_systems_whose_names_look_like_points_of_a_curve(tmp_path):
    """Of other atoms: every reaction stands for itself."""
    folder = write_gmtkn(tmp_path / "own")
    lines = []
    for name, kind in (("alkane_1.0", "CH4"), ("alkane_2.0", "C2H6")):
        for system in (name, kind):
            (folder / system).mkdir()
            write(folder / system / "struc.xyz", molecule(kind), format="xyz")
        lines.append(f"$tmer {kind} {name} x -1 1 $w 5.0")
    (folder / ".res").write_text("\n".join(lines))
    found = read_gmtkn(folder)
    assert [r.curve for r in found.reactions] == [r.name for r in found.reactions]
    assert all(r.x is None for r in found.reactions)


def test_minimum_of_a_parabola():
    x = np.array([1.0, 1.4, 2.0, 3.0])
    found = minimum(x, 2 * (x - 1.7) ** 2 - 3)
    assert (found.x, found.y) == (pytest.approx(1.7), pytest.approx(-3.0))
    assert np.isnan(minimum(x, x).x)


def test_both_layouts_together(tmp_path):
    write_comp6(tmp_path / "s66x8.h5")
    write_gmtkn(tmp_path / "S66")
    config = dataclasses.replace(PLAIN, tests=("noncovalent",))
    assert transferability_run(config, tmp_path, tmp_path / "out") == 0
    rows = table(tmp_path / "out" / "noncovalent.csv")
    assert len(rows) == 2 * (len(DISTANCES) - 1 + 1)
    curve = [r for r in rows if r["method"] == "AM1" and r["curve"].startswith("s66x8")]
    for row in curve:
        assert float(row["energy"]) == pytest.approx(float(row["reference"]), abs=1e-5)
        assert float(row["force_mae"]) < 1e-6
    for row in (r for r in rows if r["method"] == "PM3" and r["curve"].startswith("s66x8")):
        frame = [water_dimer(float(row["contact"]) + 0.96)]
        own, label = (evaluate(frame, method)[0].forces for method in ("PM3", "AM1"))
        expected = np.abs(own - label).mean() * EV_TO_KCAL
        assert float(row["force_mae"]) == pytest.approx(expected, rel=1e-4)
    assert metrics(tmp_path / "out", "noncovalent")["AM1", "well depth MAE"] < 1e-6
    assert (tmp_path / "out" / "noncovalent.png").exists()
    (alone,) = [r for r in rows if r["method"] == "AM1" and r["curve"].startswith("S66/")]
    dimer = water_dimer(2.9)
    both, one, two = (r.energy for r in evaluate([dimer, dimer[:3], dimer[3:]], "AM1"))
    assert float(alone["energy"]) == pytest.approx((both - one - two) * EV_TO_KCAL, abs=1e-4)


def test_depth_of_a_curve_without_a_minimum():
    """It counts with its lowest point, so the methods are compared on the same curves."""
    x = np.array([1.8, 2.0, 2.2, 2.6, 3.2])
    well, wall = np.array([4.0, -2.0, -3.0, -1.0, -0.2]), np.array([6.0, 3.0, 1.0, 0.4, 0.1])

    def found(*energies):
        rows = [
            {
                "curve": name,
                "contact": d,
                "energy": e,
                "reference": ref,
                "zero_at": np.nan,
                "force_mae": np.nan,
            }
            for name, y in zip("ab", energies, strict=True)
            for d, e, ref in zip(x, y, well, strict=True)
        ]
        metrics = NonCovalent().metrics(rows, TransferabilityConfig())
        return {metric.name: metric.interval for metric in metrics}

    assert found(well, well)["well depth MAE"].value == pytest.approx(0.0, abs=1e-9)
    half = found(well, wall)
    assert half["well depth MAE"].value == pytest.approx((wall[-1] - minimum(x, well).y) / 2)
    assert half["well depth MAE"].count == 2
    assert half["curves without a minimum"].value == 50
    contact = half["contact at the lowest point MAE"]
    assert contact.value == pytest.approx((x[-1] - minimum(x, well).x) / 2)
    assert contact.count == 2


def test_a_well_at_the_last_point_but_the_widest():
    """The widest point, of energy zero, makes a minimum of it."""
    x = np.array([1.8, 2.2, 2.6, 3.2])
    rows = [
        {
            "curve": "a",
            "contact": d,
            "energy": -d,
            "reference": -d,
            "zero_at": 4.5,
            "force_mae": np.nan,
        }
        for d in x
    ]
    lost = {m.name: m.interval.value for m in NonCovalent().metrics(rows, TransferabilityConfig())}
    assert lost["curves without a minimum"] == 0.0
    assert lost["well depth MAE"] == lost["contact at the lowest point MAE"] == 0.0
    (points,) = curves(rows).values()
    assert points[0] == pytest.approx([*x, 4.5]) and points[1][-1] == 0.0
    open_ = [row | {"zero_at": np.nan} for row in rows]
    assert len(next(iter(curves(open_).values()))[0]) == len(x)


def test_s22_in_the_layout_of_gmtkn55(tmp_path):
    """Real complexes with CCSD(T) energies: PM3's known lack of attraction comes out."""
    folder, lines = tmp_path / "S22", []
    for number, name in enumerate(s22, 1):
        dimer, first = create_s22_system(name), get_number_of_dimer_atoms(name)[0]
        for suffix, atoms in (("", dimer), ("A", dimer[:first]), ("B", dimer[first:])):
            system = folder / f"{number:02d}{suffix}"
            system.mkdir(parents=True)
            write(system / "struc.xyz", atoms, format="xyz")
        energy = get_interaction_energy_s22(name) * EV_TO_KCAL
        lines.append(f"$tmer {number:02d}{{A,B,}}/$f x 1 1 -1 $w {-energy:.3f}")
    (folder / ".res").write_text("\n".join(lines))
    config = dataclasses.replace(PLAIN, tests=("noncovalent",), method=("PM3", "AM1"))
    assert transferability_run(config, tmp_path, tmp_path / "out") == 0
    rows = [row for row in table(tmp_path / "out" / "noncovalent.csv") if row["method"] == "PM3"]
    assert len(rows) == 22
    water = next(row for row in rows if row["curve"].startswith("S22/02"))
    assert float(water["reference"]) == pytest.approx(-5.02, abs=0.01)
    dimer = create_s22_system("Water_dimer")
    both, one, two = (r.energy for r in evaluate([dimer, dimer[:3], dimer[3:]], "PM3"))
    assert float(water["energy"]) == pytest.approx((both - one - two) * EV_TO_KCAL, abs=1e-4)
    found = metrics(tmp_path / "out", "noncovalent")
    assert found["PM3", "interaction energy bias"] > 3.0
    assert found["AM1", "interaction energy bias"] > 3.0


def test_a_curve_without_one_point_is_a_failure(tmp_path):
    systems = write_gmtkn(tmp_path / "S66", "$tmer {01A,01B,01,OH,LiH}/$f x 1 1 -1 1 -1 $w 5.0")
    write(systems / "OH" / "coord", molecule("LiH"), format="turbomole")
    (systems / "OH" / ".CHRG").unlink()
    shutil.copytree(systems / "OH", systems / "LiH")
    config = dataclasses.replace(PLAIN, tests=("noncovalent",), method=("PM3",))
    assert transferability_run(config, tmp_path, tmp_path / "out") == 1
    (failure,) = table(tmp_path / "out" / "failures.csv")
    assert "PM3 has no parameters for Li" in failure["reason"]


@needs_shared
def test_half_of_s66x8():
    curves = list(read_curves(SHARED / "s66x8_half.h5"))
    assert len(curves) == 33
    assert all(len(c.systems) == 8 and np.isfinite(c.contacts).all() for c in curves)
    found = [minimum(c.contacts, c.energies) for c in curves]
    assert 1.7 < np.nanmin([m.x for m in found]) < 2.1
    depths = [
        (m.y - c.energies[c.contacts.argmax()]) * EV_TO_KCAL
        for m, c in zip(found, curves, strict=True)
    ]
    assert np.nanmax(depths) < 0 < np.nanmax(np.abs(depths)) < 25
