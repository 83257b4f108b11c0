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
pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs /proc")


def pair():
    """Two ethanols, 18 atoms."""
    first, second = molecule("CH3CH2OH"), molecule("CH3CH2OH")
    second.positions[:, 2] += 5.0
    return first + second


@pytest.fixture(scope="module")
def comp6(tmp_path_factory):
    """Random frames in the layout of COMP6, whose energies rise along the gradients."""
    folder = tmp_path_factory.mktemp("large")
    atoms, rng = pair(), np.random.default_rng(0)
    many = FRAMES // GROUPS
    for name, groups in (("small.h5", 1), ("s66x8.h5", GROUPS)):
        with h5py.File(folder / name, "w") as file:
            for k in range(groups):
                group = file.create_group(f"s66x8/mol{k:03d}")
                shift = 0.02 * np.arange(many)[:, None, None] * (np.arange(18) >= 9)[:, None]
                x = atoms.positions + shift * [0, 0, 1] + 0.001 * rng.standard_normal((many, 18, 3))
                group["species"] = np.array([s.encode() for s in atoms.symbols])
                group["coordinates"] = x
                group["energies"] = -300.0 + 0.5 * (x**2).sum((1, 2))
                group["forces"] = x
    return folder / "small.h5", folder / "s66x8.h5"


def growth(code, small, large):
    """What ``work`` makes of the large one, in a process of its own, and by how much its largest
    memory grows in it (MiB); the small one is for what has to be loaded."""
    script = textwrap.dedent(
        """
        import sys
        {code}
        def peak():  # not getrusage, whose maximum is that of the parent where this has more
            with open("/proc/self/status") as file:
                (line,) = (line for line in file if line.startswith("VmHWM"))
            return int(line.split()[1]) / 1024
        work(sys.argv[1])
        before = peak()
        found = work(sys.argv[2])
        print(found, peak() - before)
        """
    ).format(code=textwrap.dedent(code))
    run = subprocess.run(
        [sys.executable, "-c", script, str(small), str(large)],
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    )
    found, grown = run.stdout.split()
    return int(found), float(grown)


def test_memory_is_measured():
    """Whatever memory this process has had; 60 MiB are seen, also where they are given back."""
    held = np.ones(3 * 10**7)  # 230 MiB
    code = """
        def work(size):
            return len(bytearray(b"x") * int(size))
        """
    size, grown = growth(code, 1, 60 * 2**20)
    assert size == 60 * 2**20 and len(held)
    assert 55 < grown < 70


@pytest.mark.slow
def test_curves_are_streamed(comp6):
    """One curve at a time, 0.1 MB of 26; HDF5 has buffers of its own."""
    assert comp6[1].stat().st_size > 20e6
    frames, grown = growth(
        """
        from pathlib import Path
        from ase_mlseqm.workflows.transferability.read_comp6 import read_curves
        def work(path):
            return sum(len(curve.systems) for curve in read_curves(Path(path)))
        """,
        *comp6,
    )
    assert frames == FRAMES
    assert grown < 13


@pytest.mark.slow
def test_points_of_curves_are_held_once(comp6):
    """What the test of dimers keeps: forces, energies, and ASE's atoms, 3 kB a frame."""
    points, grown = growth(
        """
        from pathlib import Path
        from ase_mlseqm.workflows.transferability.read_comp6 import comp6_reactions
        def work(path):
            return len(comp6_reactions(Path(path)).reactions)
        """,
        *comp6,
    )
    assert points == FRAMES - GROUPS, "all but the widest of every curve"
    assert grown < 0.0042 * FRAMES


def test_labelled_frames_are_held_once(comp6, tmp_path):
    """Arrays of positions and forces, and not much besides."""
    forces = evaluate([pair()], "PM3")[0].forces / HARTREE  # their sign is checked
    paths = [tmp_path / path.name for path in comp6]
    for source, path in zip(comp6, paths, strict=True):
        with h5py.File(source) as old, h5py.File(path, "w") as new:
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
        *paths,
    )
    assert frames == FRAMES
    arrays = FRAMES * 18 * 3 * 8 * 2 / 2**20
    assert grown < 2.7 * arrays


def write_long(path, frames):
    """Points of a torsion of hydrogen peroxide."""
    atoms, rng = molecule("H2O2"), np.random.default_rng(0)
    head = '4\nProperties=species:S:1:pos:R:3 scan_atoms="2 0 1 3" energy={:.6f} pbc="F F F"\n'
    with open(path, "w") as file:
        for _ in range(frames):
            file.write(head.format(rng.normal()))
            for symbol, x in zip(atoms.symbols, atoms.positions, strict=True):
                file.write(f"{symbol} {' '.join(f'{v:.6f}' for v in x + 0.01 * rng.normal(3))}\n")
    return path


@pytest.fixture(scope="module")
def long_series(tmp_path_factory):
    """20,000 points of a torsion, and 20."""
    folder = tmp_path_factory.mktemp("series")
    return write_long(folder / "short.extxyz", 20), write_long(folder / "long.extxyz", 20_000)


@pytest.mark.slow
def test_long_series(long_series):
    """A few kB each, as ASE's atoms need."""
    frames, grown = growth(
        """
        from pathlib import Path
        from ase_mlseqm.workflows.transferability.series import read_series
        def work(path):
            return len(read_series(Path(path), "dihedral")[0])
        """,
        *long_series,
    )
    assert frames == 20_000
    assert grown < 0.004 * frames


@pytest.mark.slow
def test_frames_of_extended_xyz_are_streamed(long_series):
    """One frame at a time, of 4 MB."""
    frames, grown = growth(
        """
        from pathlib import Path
        from ase_mlseqm.workflows.transferability.read_extxyz import read_extxyz
        def work(path):
            return sum(1 for _ in read_extxyz(Path(path)))
        """,
        *long_series,
    )
    assert frames == 20_000
    assert grown < 1.5


def write_xyz(path, atoms, rng):
    """A shaken structure, as the public sets have it."""
    path.parent.mkdir(exist_ok=True)
    lines = [str(len(atoms)), ""]
    for symbol, x in zip(atoms.symbols, atoms.positions, strict=True):
        lines.append(f"{symbol} {' '.join(f'{v:.6f}' for v in x + 0.01 * rng.normal(size=3))}")
    path.write_text("\n".join(lines) + "\n")


def write_reactions(folder, many):
    """Reactions with three structures each in the layout of RDB7."""
    atoms, rng = molecule("CH3CH2OH"), np.random.default_rng(0)
    folder.mkdir()
    rows = ["rxn,dE0"]
    for k in range(many):
        for side in ("r", "ts", "p"):
            write_xyz(folder / f"rxn{k:06d}" / f"{side}{k:06d}.xyz", atoms, rng)
        rows.append(f"{k},{rng.uniform(10, 90):.3f}")
    (folder / "data.csv").write_text("\n".join(rows) + "\n")
    return folder


@pytest.mark.slow
def test_all_of_rdb7(tmp_path):
    """12,000 reactions, as many as are published."""
    barriers, grown = growth(
        """
        from pathlib import Path
        from ase_mlseqm.workflows.transferability.read_rdb7 import read_rdb7
        def work(path):
            found = read_rdb7(Path(path))
            assert len(found.structures) == 3 * len(found.differences) and not found.skipped
            return len(found.differences)
        """,
        write_reactions(tmp_path / "few", 2),
        write_reactions(tmp_path / "rdb7", 12_000),
    )
    assert barriers == 12_000
    assert grown < 0.004 * 36_000  # a few kB each, as ASE's atoms need


def write_subset(folder, systems, reactions):
    """Random reactions between two systems in the layout of GMTKN55."""
    rng = np.random.default_rng(0)
    folder.mkdir()
    for k in range(systems):
        write_xyz(folder / f"{k}" / "struc.xyz", molecule("CH3CH2OH"), rng)
    pairs = [rng.choice(systems, 2, replace=False) for _ in range(reactions - 1)]
    pairs.append((0, systems - 1))
    lines = [f"$tmer {a}/$f {b}/$f x -1 1 $w {rng.normal():.2f}" for a, b in pairs]
    (folder / ".res").write_text("#!/bin/bash\nf=$1\nw=$2\n" + "\n".join(lines) + "\n")
    return folder


def test_as_many_systems_as_all_of_gmtkn55(tmp_path):
    """2,462 systems and 1,505 reactions, here in one folder."""
    reactions, grown = growth(
        """
        from pathlib import Path
        from ase_mlseqm.workflows.transferability.read_gmtkn import read_gmtkn
        def work(path):
            found = read_gmtkn(Path(path))
            assert not found.skipped
            return len(found.reactions)
        """,
        write_subset(tmp_path / "FEW", 3, 2),
        write_subset(tmp_path / "ALL", 2462, 1505),
    )
    assert reactions == 1505
    assert grown < 0.004 * 2462
