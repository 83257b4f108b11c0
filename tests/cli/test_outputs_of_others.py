"""Charge and multiplicity in what other programs write."""

import json
from pathlib import Path

import pytest

from ase_mlseqm.cli.app import main

PM3 = ["--method", "PM3"]
GAUSSIAN_OUTPUT = """ Entering Gaussian System, Link 0=g16
 Charge = -1 Multiplicity = 1
                         Standard orientation:
 ---------------------------------------------------------------------
 Center     Atomic      Atomic             Coordinates (Angstroms)
 Number     Number       Type             X           Y           Z
 ---------------------------------------------------------------------
      1          8           0        0.000000    0.000000    0.108000
      2          1           0        0.000000    0.000000   -0.862000
 ---------------------------------------------------------------------
 SCF Done:  E(RB3LYP) =  -75.7266930000     A.U. after    8 cycles
 Normal termination of Gaussian 16
"""
SPINS = """ Mulliken charges and spin densities:
               1          2
     1  O    0.500000   1.000000
     2  H    0.500000   1.000000
 Sum of Mulliken charges =   1.00000   2.00000
"""
ORCA_OUTPUT = """
                                 * O   R   C   A *
 Total Charge           Charge          ....   -1
 Multiplicity           Mult            ....    1
Number of atoms                             ...      2
---------------------------------
CARTESIAN COORDINATES (ANGSTROEM)
---------------------------------
  O      0.000000    0.000000    0.108000
  H      0.000000    0.000000   -0.862000

FINAL SINGLE POINT ENERGY       -75.726693000000
                             ****ORCA TERMINATED NORMALLY****
"""
TURBOMOLE = """$coord
 0.0 0.0 0.0 o
 0.0 0.0 1.833 h
$eht charge=-1 unpaired=0
$end
"""


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("oh.log", GAUSSIAN_OUTPUT),
        ("windows.log", GAUSSIAN_OUTPUT.replace("\n", "\r\n")),
        ("oh.out", ORCA_OUTPUT),
        ("coord", TURBOMOLE),
    ],
)
def test_anions_that_a_file_states(name, text, capsys):
    """Also where nothing was computed that tells."""
    Path(name).write_text(text)
    assert main(["sp", name, *PM3, "--json"]) == 0
    (found,) = json.loads(capsys.readouterr().out)["molecules"]
    assert (found["charge"], found["multiplicity"]) == (-1, 1)
    assert main(["sp", name, *PM3, "--charge", "1", "--out", "other"]) == 2


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("oh.log", GAUSSIAN_OUTPUT.replace("-1 Multiplicity = 1", " 1 Multiplicity = 3")),
        ("oh.out", ORCA_OUTPUT.replace("....    1", "....    3").replace("-1", " 1")),
        ("coord", TURBOMOLE.replace("-1 unpaired=0", "1\n  unpaired=2")),
    ],
)
def test_triplets_that_a_file_states(name, text, capsys):
    Path(name).write_text(text)
    assert main(["sp", name, *PM3, "--json"]) == 0
    (found,) = json.loads(capsys.readouterr().out)["molecules"]
    assert (found["charge"], found["multiplicity"]) == (1, 3)


def test_jobs_with_different_charges(capsys):
    """What was computed tells those of a Gaussian output apart, also where it is of atoms."""
    first = GAUSSIAN_OUTPUT.replace("-1 Multiplicity = 1", " 1 Multiplicity = 3")
    first = first.replace(" Normal", SPINS + " Normal")
    second = SPINS.replace("0.500000   1.000000", "-0.500000   0.000000")
    Path("oh.log").write_text(first + GAUSSIAN_OUTPUT.replace(" Normal", second + " Normal"))
    assert main(["sp", "oh.log", *PM3, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["molecules"]
    assert [(m["charge"], m["multiplicity"]) for m in found] == [(1, 3), (-1, 1)]
