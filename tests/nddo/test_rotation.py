"""Local frames, and what is left of their choice in energies and forces: nothing."""

import itertools

import numpy as np
import pytest
import torch
from ase.build import molecule as g2
from helpers import build, moved, rotation, run, single, turn

from ase_mlseqm.batch import Molecule
from ase_mlseqm.nddo.rotation import (
    axial_parts,
    axial_products,
    from_axis,
    local_frames,
    product_rotation,
)

AXES = [np.array(v, dtype=float) for v in np.vstack((np.eye(3), -np.eye(3)))]
NAMES = ["+x", "+y", "+z", "-x", "-y", "-z"]
TILTS = (0.0, 1e-3, 1e-6, 1e-9, 1e-12)
PRODUCTS = list(itertools.combinations_with_replacement(range(4), 2))


def onto(start, end):
    """A rotation that carries one unit vector to another."""
    axis, cosine = np.cross(start, end), start @ end
    if np.linalg.norm(axis) < 1e-12:
        return np.eye(3) if cosine > 0 else turn(np.eye(3)[np.abs(start).argmin()], np.pi)
    return turn(axis, np.arctan2(np.linalg.norm(axis), cosine))


def directions():
    rng = np.random.default_rng(1)
    out = list(rng.standard_normal((20, 3)))
    for axis in AXES:
        for tilt in TILTS:
            for other in AXES:
                if abs(axis @ other) < 0.5:
                    out.append(axis + tilt * other)
    out += [np.array(v) for v in [(1.0, 1.0, 1.0), (1.0, 1.0, 0.0), (-1.0, 1.0, 1.0), (0, 1.0, -1)]]
    out = np.array(out)
    return torch.from_numpy(out / np.linalg.norm(out, axis=1, keepdims=True))


def test_frames_are_right_handed_and_orthonormal():
    z = directions()
    frames = local_frames(z)
    eye = torch.eye(3, dtype=torch.float64).expand(len(z), 3, 3)
    torch.testing.assert_close(frames @ frames.mT, eye, rtol=0, atol=1e-14)
    torch.testing.assert_close(torch.linalg.det(frames), torch.ones(len(z)).double())
    torch.testing.assert_close(frames[:, 2], z, rtol=0, atol=1e-15)


def test_derivatives_of_frames_are_finite():
    z = directions().requires_grad_()
    local_frames(z).square().sum().backward()
    assert bool(torch.isfinite(z.grad).all())
    weights = torch.randn(3, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    z.grad = None
    (local_frames(z) * weights).sum().backward()
    # no frame is close to singular: |d frame / d z| stays of the order of one
    assert float(z.grad.abs().max()) < 20.0


def test_product_rotation_turns_the_products_of_orbitals():
    """Against the rotation of the full 4 x 4 density of an atom."""
    z = directions()
    frames = local_frames(z)
    packed = product_rotation(frames).numpy()
    rng = np.random.default_rng(2)
    for frame, matrix in zip(frames.numpy(), packed, strict=True):
        orbital = np.eye(4)
        orbital[1:, 1:] = frame  # local orbitals in terms of the molecular ones
        potential = rng.standard_normal((4, 4))
        potential = potential + potential.T  # of one charge distribution, in the local frame
        turned = orbital.T @ potential @ orbital
        local = np.array([potential[p] for p in PRODUCTS])
        np.testing.assert_allclose(matrix @ local, [turned[p] for p in PRODUCTS], atol=1e-13)


def test_integrals_with_hydrogen_are_turned_without_a_frame():
    """As by the rotation of products: beside an s orbital they are round about the bond."""
    z = directions()
    ss, sz, xx, yy, zz = (PRODUCTS.index(p) for p in ((0, 0), (0, 3), (1, 1), (2, 2), (3, 3)))
    local = torch.zeros(len(z), 10, dtype=torch.float64)
    generator = torch.Generator().manual_seed(6)
    local[:, [ss, sz, xx, zz]] = torch.randn(len(z), 4, generator=generator, dtype=torch.float64)
    local[:, yy] = local[:, xx]
    turned = torch.bmm(product_rotation(local_frames(z)), local.unsqueeze(2)).squeeze(2)
    parts = local @ axial_parts(z.device)
    torch.testing.assert_close(from_axis(parts, axial_products(z)), turned, rtol=0, atol=1e-13)


def in_frame(molecule: Molecule, first: int, second: int, direction) -> tuple[Molecule, np.ndarray]:
    """The molecule turned such that a bond points along ``direction``."""
    bond = molecule.positions[second] - molecule.positions[first]
    matrix = onto(bond / np.linalg.norm(bond), direction / np.linalg.norm(direction))
    return moved(molecule, (molecule.positions - molecule.positions[first]) @ matrix.T), matrix


def compare(turned, matrices, generic):
    for result, matrix in zip(turned, matrices, strict=True):
        assert result.energy == pytest.approx(generic.energy, rel=0, abs=1e-9)
        np.testing.assert_allclose(result.forces @ matrix, generic.forces, rtol=0, atol=1e-8)


def plain(name):
    atoms = g2(name)
    return Molecule(atoms.numbers, atoms.positions @ rotation(np.random.default_rng(5)).T)


@pytest.mark.parametrize("axis", range(6), ids=NAMES)
@pytest.mark.parametrize(
    ("name", "first", "second", "method"),
    [
        ("ClF", 0, 1, "PM3"),
        ("HCl", 0, 1, "AM1"),
        ("HCN", 0, 1, "MNDO"),
        ("H2CO", 0, 1, "PM3"),
        ("CH3CN", 0, 1, "AM1"),
    ],
)
def test_bonds_along_and_close_to_the_axes(axis, name, first, second, method):
    molecule = plain(name)
    generic = single(molecule, method, ("energy", "forces"))
    turned, matrices = [], []
    for tilt in TILTS:
        for other in AXES:
            if abs(other @ AXES[axis]) < 0.5:
                new, matrix = in_frame(molecule, first, second, AXES[axis] + tilt * other)
                turned.append(new)
                matrices.append(matrix)
    assert len(turned) == 20
    compare(run(turned, method, ("energy", "forces")), matrices, generic)


@pytest.mark.parametrize("name", ["ClF", "H2CO", "C2H4"])
def test_bond_exactly_on_an_axis(name):
    """Coordinates that are exactly zero, with no round-off of a rotation."""
    molecule = plain(name)
    bond = molecule.positions[1] - molecule.positions[0]
    length = float(np.linalg.norm(bond))
    molecule = in_frame(molecule, 0, 1, AXES[0])[0]
    for axis, direction in enumerate(AXES):
        new, _ = in_frame(molecule, 0, 1, direction)
        exact = new.positions.copy()
        exact[0], exact[1] = 0.0, length * direction
        near = exact.copy()
        near[1] += 1e-9 * AXES[(axis + 1) % 3]
        one, two = run([moved(new, exact), moved(new, near)], "PM3", ("energy", "forces"))
        assert np.isfinite(one.forces).all()
        assert one.energy == pytest.approx(two.energy, rel=0, abs=1e-8)
        np.testing.assert_allclose(one.forces, two.forces, rtol=0, atol=1e-6)


def switch(angle):
    """Directions through |x| = |y|, where another axis becomes the least aligned one."""
    return np.array([0.4 + angle, 0.4 - angle, np.sqrt(1 - 2 * 0.4**2)])


SCAN = [s * 10.0**k for k in range(-15, -1) for s in (-1, 1)] + [0.0]


@pytest.mark.parametrize(("name", "method"), [("ClF", "PM3"), ("H2CO", "AM1"), ("HCN", "MNDO")])
def test_scan_through_the_switch_of_the_axis(name, method):
    molecule = plain(name)
    generic = single(molecule, method, ("energy", "forces"))
    before = torch.tensor(np.array([switch(s) for s in SCAN])).abs().argmin(1)
    assert set(before.tolist()) == {0, 1}
    turned, matrices = zip(*(in_frame(molecule, 0, 1, switch(s)) for s in SCAN), strict=True)
    results = run(turned, method, ("energy", "forces"))
    compare(results, matrices, generic)
    energies = np.array([r.energy for r in results])
    forces = np.array([r.forces @ m for r, m in zip(results, matrices, strict=True)])
    assert np.ptp(energies) < 1e-9
    assert np.ptp(forces, axis=0).max() < 1e-8


def test_second_derivatives_through_the_switch():
    """Differences of forces across the switch are those of either side."""
    molecule = plain("H2CO")
    rng = np.random.default_rng(3)
    direction = rng.standard_normal(molecule.positions.shape)
    h, curvatures = 1e-3, []
    for shift in (-1e-2, -1e-5, 0.0, 1e-5, 1e-2):
        new, matrix = in_frame(molecule, 0, 1, switch(shift))
        step = h * direction @ matrix.T
        pair = [moved(new, new.positions + s * step) for s in (1, -1)]
        plus, minus = run(pair, "PM3", ("energy", "forces"))
        curvatures.append((plus.forces - minus.forces) @ matrix / (2 * h))
    for curvature in curvatures[1:]:
        np.testing.assert_allclose(curvature, curvatures[0], rtol=0, atol=1e-6)


def test_radicals_along_the_axes():
    molecule = build("NH", multiplicity=3, shake=0.0)
    generic = single(molecule, "PM3", ("energy", "forces"))
    turned, matrices = zip(
        *(in_frame(molecule, 0, 1, a + t * AXES[0]) for a in AXES[1:3] for t in TILTS), strict=True
    )
    compare(run(turned, "PM3", ("energy", "forces")), matrices, generic)
