"""Readers at realistic size: their memory is bounded by the data, or by a part of it."""

import subprocess
import sys
import textwrap

import h5py
import numpy as np
import pytest
from ase.build import molecule

from ase_mlseqm import evaluate
from ase_mlseqm.units import HARTREE

FRAMES, GROUPS = 30_000, 300
"""Of a file as large as COMP6's sets."""


def pair():
    """Two ethanols, 18 atoms."""
    first, second = molecule("CH3CH2OH"), molecule("CH3CH2OH")
    second.positions[:, 2] += 5.0
    return first + second


@pytest.fixture(scope="module")
def comp6(tmp_path_factory):
    """Random frames in the layout of COMP6, whose energies rise along the gradients."""
    path = tmp_path_factory.mktemp("large") / "s66x8.h5"
    atoms, rng = pair(), np.random.default_rng(0)
    many = FRAMES // GROUPS
    with h5py.File(path, "w") as file:
        for k in range(GROUPS):
            group = file.create_group(f"s66x8/mol{k:03d}")
            shift = 0.02 * np.arange(many)[:, None, None] * (np.arange(18) >= 9)[:, None]
            x = atoms.positions + shift * [0, 0, 1] + 0.001 * rng.standard_normal((many, 18, 3))
            group["species"] = np.array([s.encode() for s in atoms.symbols])
            group["coordinates"] = x
            group["energies"] = -300.0 + 0.5 * (x**2).sum((1, 2))
            group["forces"] = x
    return path


def growth(code, *arguments):
    """What a process prints, and by how much its largest memory grows in ``work`` (MB)."""
    script = textwrap.dedent(
        """
        import resource, sys
        {code}
        def peak():
            return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        before = peak()
        found = work(*sys.argv[1:])
        print(found, peak() - before)
        """
    ).format(code=textwrap.dedent(code))
    run = subprocess.run(
        [sys.executable, "-c", script, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    )
    found, grown = run.stdout.split()
    return int(found), float(grown)


def test_curves_are_streamed(comp6):
    """One curve at a time: 0.1 MB of 26 MB."""
    assert comp6.stat().st_size > 20e6
    frames, grown = growth(
        """
        from pathlib import Path
        from ase_mlseqm.workflows.transferability.read_comp6 import read_curves
        def work(path):
            return sum(len(curve.systems) for curve in read_curves(Path(path)))
        """,
        comp6,
    )
    assert frames == FRAMES
    assert grown < 12


def test_labelled_frames_are_held_once(comp6, tmp_path):
    """Arrays of positions and forces, and not much besides."""
    path = tmp_path / "large.h5"
    forces = evaluate([pair()], "PM3")[0].forces / HARTREE  # their sign is checked
    with h5py.File(comp6) as old, h5py.File(path, "w") as new:
        new.attrs["level"] = "wB97X/6-31G*"
        new.attrs["units"] = "Hartree, Angstrom, Hartree/Angstrom"
        for name, group in old["s66x8"].items():
            copy = new.create_group(name)
            copy.attrs["smiles"] = "CCO.CCO"
            copy["species"] = pair().numbers
            copy["coordinates"] = group["coordinates"][:]
            copy["energies"] = np.full(FRAMES // GROUPS, -309.9)
            copy["forces"] = np.tile(forces, (FRAMES // GROUPS, 1, 1))
    frames, grown = growth(
        """
        from pathlib import Path
        from ase_mlseqm.workflows.transferability import labelled
        def work(path):
            return len(labelled.load_frames([Path(path)]))
        """,
        path,
    )
    assert frames == FRAMES
    arrays = FRAMES * 18 * 3 * 8 * 2 / 2**20
    assert grown < 3.5 * arrays


def test_long_series(tmp_path):
    """20,000 points of a torsion: a few kB each, as ASE's atoms need."""
    path = tmp_path / "long.extxyz"
    atoms, rng = molecule("H2O2"), np.random.default_rng(0)
    head = '4\nProperties=species:S:1:pos:R:3 scan_atoms="2 0 1 3" energy={:.6f} pbc="F F F"\n'
    with open(path, "w") as file:
        for _ in range(20_000):
            file.write(head.format(rng.normal()))
            for symbol, x in zip(atoms.symbols, atoms.positions, strict=True):
                file.write(f"{symbol} {' '.join(f'{v:.6f}' for v in x + 0.01 * rng.normal(3))}\n")
    frames, grown = growth(
        """
        from pathlib import Path
        from ase_mlseqm.workflows.transferability.series import read_series
        def work(path):
            return len(read_series(Path(path), "dihedral")[0])
        """,
        path,
    )
    assert frames == 20_000
    assert grown < 200


def write_xyz(path, atoms, rng):
    """A shaken structure, as the public sets have it."""
    path.parent.mkdir(exist_ok=True)
    lines = [str(len(atoms)), ""]
    for symbol, x in zip(atoms.symbols, atoms.positions, strict=True):
        lines.append(f"{symbol} {' '.join(f'{v:.6f}' for v in x + 0.01 * rng.normal(size=3))}")
    path.write_text("\n".join(lines) + "\n")


@pytest.mark.slow
def test_all_of_rdb7(tmp_path):
    """12,000 reactions with three structures each, as many as are published."""
    atoms, rng = molecule("CH3CH2OH"), np.random.default_rng(0)
    rows = ["rxn,dE0"]
    for k in range(12_000):
        for side in ("r", "ts", "p"):
            write_xyz(tmp_path / f"rxn{k:06d}" / f"{side}{k:06d}.xyz", atoms, rng)
        rows.append(f"{k},{rng.uniform(10, 90):.3f}")
    (tmp_path / "data.csv").write_text("\n".join(rows) + "\n")
    barriers, grown = growth(
        """
        from pathlib import Path
        from ase_mlseqm.workflows.transferability.read_rdb7 import read_rdb7
        def work(path):
            found = read_rdb7(Path(path))
            assert len(found.structures) == 36_000 and not found.skipped
            return len(found.differences)
        """,
        tmp_path,
    )
    assert barriers == 12_000
    assert grown < 200  # a few kB each, as ASE's atoms need


def test_as_many_systems_as_all_of_gmtkn55(tmp_path):
    """2,462 systems and 1,505 reactions, here in one folder."""
    folder, rng = tmp_path / "ALL", np.random.default_rng(0)
    folder.mkdir()
    for k in range(2462):
        write_xyz(folder / f"{k}" / "struc.xyz", molecule("CH3CH2OH"), rng)
    pairs = [rng.choice(2462, 2, replace=False) for _ in range(1504)] + [(0, 2461)]
    lines = [f"$tmer {a}/$f {b}/$f x -1 1 $w {rng.normal():.2f}" for a, b in pairs]
    (folder / ".res").write_text("#!/bin/bash\nf=$1\nw=$2\n" + "\n".join(lines) + "\n")
    reactions, grown = growth(
        """
        from pathlib import Path
        from ase_mlseqm.workflows.transferability.read_gmtkn import read_gmtkn
        def work(path):
            found = read_gmtkn(Path(path))
            assert not found.skipped
            return len(found.reactions)
        """,
        folder,
    )
    assert reactions == 1505
    assert grown < 60
