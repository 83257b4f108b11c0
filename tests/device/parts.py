"""What is computed on a device, beside the same on the CPU: ``python parts.py DEVICE PART``.

A process of its own for each part: torch counts the devices before its first gradient.
"""

from __future__ import annotations

import contextlib
import sys
import tempfile
from pathlib import Path

import numpy as np

TESTS = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TESTS), str(TESTS / "training")]

from helpers import TIGHT, build, moved  # noqa: E402

from ase_mlseqm import SCFSettings, evaluate  # noqa: E402
from ase_mlseqm.batch import Molecule  # noqa: E402
from ase_mlseqm.training.config import OptimizerConfig  # noqa: E402

ALL = ["energy", "forces", "charges", "mulliken_charges", "dipole", "mo_energies", "density"]
ALL += ["bond_orders", "magmoms", "parameters", "stability"]

ADAM = OptimizerConfig("adamw", 5e-3, warm_up=3, average=0.9)


def compare(device: str, molecules, **options) -> list:
    """Everything but orbitals, whose degenerate ones may turn."""
    options = {"properties": ALL, "scf": TIGHT} | options
    there = evaluate(molecules, device=device, **options)
    here = evaluate(molecules, **options)
    for one, two in zip(there, here, strict=True):
        assert one.converged and two.converged
        assert abs(one.energy - two.energy) < 1e-8
        arrays = ("forces", "charges", "mulliken_charges", "dipole", "mo_energies", "density")
        for name in (*arrays, "magmoms"):
            difference = np.abs(getattr(one, name) - getattr(two, name)).max()
            assert difference < 1e-7, (name, difference)
        assert abs(one.bond_orders - two.bond_orders).max() < 1e-6
        for name, values in one.parameters.items():
            np.testing.assert_allclose(values, two.parameters[name], rtol=1e-9, atol=1e-12)
        if two.stability is not None:
            assert abs(one.stability - two.stability) < 1e-6
        if two.uncertainty is not None:
            # the members' SCF is a loose one, which is looked at more rarely on a device
            assert abs(one.uncertainty - two.uncertainty) < 1e-4
    return there


def plain(device: str) -> None:
    """Closed and open shells, ions, in a field."""
    molecules = [build("H2CO"), build("CN"), build("NH4", charge=1), build("HCl"), build("SO2")]
    for method in ("MNDO", "AM1", "PM3"):
        compare(device, molecules[:3] if method == "AM1" else molecules[2:], method=method)
    compare(device, [build("CH3OH"), build("HCN")], method="PM3", field=(0.1, -0.2, 0.3))
    ammonia = build("NH3")
    places = [ammonia.positions + (20.0 * k, 0.0, 0.0) for k in range(6)]
    apart = Molecule(np.tile(ammonia.numbers, 6), np.concatenate(places))
    there = evaluate([apart], "PM3", ["energy", "stability"], device)[0]
    here = evaluate([apart], "PM3", ["energy", "stability"])[0]
    assert abs(there.stability - here.stability) < 1e-6


def difficult(device: str) -> None:
    """Stretched until the aids behind DIIS are needed."""
    molecule = build("HF")
    stretched = moved(molecule, 2.2 * molecule.positions)
    few = SCFSettings(tolerance=1e-10, max_iterations=15)
    result, easy = compare(device, [stretched, molecule], method="PM3", scf=few)
    assert easy.iterations <= few.max_iterations < result.iterations


def minimised(device: str) -> None:
    """Stretched until the last aid, which minimises the energy, is needed."""
    molecule = build("H2CO")
    stretched = moved(molecule, 2.2 * molecule.positions)
    result, easy = compare(device, [stretched, molecule], method="PM3")
    assert easy.iterations < SCFSettings().max_iterations < result.iterations


def learned(device: str) -> None:
    """The shipped model with its committee, which has parameters that follow the positions."""
    names = ("CH3CONH2", "H2O", "C6H6", "CH3CH2OH")
    compare(device, [build(name) for name in names], properties=[*ALL, "uncertainty"])


def many(device: str) -> None:
    """As many and as large as are not diagonalised there."""
    from unittest import mock

    from ase_mlseqm.scf.purification import MANY, Purification

    pairs = [
        joined(build("CH3CHO", seed=seed), build("CH3CH2OH", seed=seed)) for seed in range(MANY)
    ]
    settings = {"method": "PM3", "properties": ("energy", "forces")}
    with mock.patch.object(
        Purification, "density", autospec=True, side_effect=Purification.density
    ) as used:
        there = evaluate(pairs, device=device, **settings)
    assert used.called
    for one, two in zip(there, evaluate(pairs, **settings), strict=True):
        assert one.converged and abs(one.energy - two.energy) < 1e-8
        assert np.abs(one.forces - two.forces).max() < 1e-5


def joined(one, other):
    """Two molecules side by side."""
    apart = other.positions - other.positions.min(0) + one.positions.max(0) + 3.0
    return Molecule(
        np.concatenate((one.numbers, other.numbers)), np.concatenate((one.positions, apart))
    )


def hessian(device: str) -> None:
    """Second derivatives and dipole derivatives."""
    from ase_mlseqm.derivatives import hessian as second
    from ase_mlseqm.engine import Engine

    one, two = (second(Engine("PM3", where), build("H2CO")) for where in (device, "cpu"))
    assert abs(one.hessian - two.hessian).max() < 1e-5
    assert abs(one.dipole_derivatives - two.dipole_derivatives).max() < 1e-5


def training(device: str) -> None:
    """The loss over two epochs, and the weights behind them."""
    import torch
    from small import trainer

    runs = []
    for where in (device, "cpu"):
        with tempfile.TemporaryDirectory() as folder:
            # Muon's products of half precision are rounded otherwise on a device
            run = trainer(Path(folder), epochs=2, device=torch.device(where), optimizer=ADAM)
            run.run()
            weights = [w.detach().cpu() for w in run.average]
            log = np.genfromtxt(Path(folder) / "steps.csv", delimiter=",", names=True)
            runs.append((log["loss"], weights))
    assert len(runs[0][0]) == 6
    # the SCF is looked at more rarely on a device and ends closer to the solution
    np.testing.assert_allclose(runs[0][0], runs[1][0], rtol=1e-5)
    for one, two in zip(runs[0][1], runs[1][1], strict=True):
        # the optimiser gives directions without a gradient the same length as the others
        assert abs(one - two).max() < 1e-3


def large(device: str) -> None:
    """A peptide of 176 atoms, where what every pair of atoms is off would add up."""
    from ase.io import read

    atoms = read(TESTS.parent / "benchmarks" / "structures" / "peptide.xyz")
    assert len(atoms) == 176
    there, here = (
        evaluate([atoms], "PM3", device=where, scf=SCFSettings(tolerance=1e-11))[0]
        for where in (device, "cpu")
    )
    assert there.converged and here.converged
    assert there.residual < 1e-11 and here.residual < 1e-11
    assert abs(there.energy - here.energy) < 1e-12 * abs(here.energy)
    assert np.abs(there.forces - here.forces).max() < 1e-8
    assert np.abs(there.forces.sum(0)).max() < 1e-9


PARTS = {
    part.__name__: part
    for part in (plain, difficult, minimised, learned, many, hessian, large, training)
}

if __name__ == "__main__":
    name, part = sys.argv[1:]
    if name == "pretend":
        from pretend_device import pretend_device

        where: contextlib.AbstractContextManager = pretend_device()
    else:
        where = contextlib.nullcontext()
    with where:
        PARTS[part](name)
