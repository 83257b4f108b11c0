"""Every aid alone reaches the solution that plain DIIS finds, and knows when it is done."""

import pytest
import torch
from helpers import build, problem

from ase_mlseqm.scf import guess, rungs
from ase_mlseqm.scf.density import aufbau, commutator
from ase_mlseqm.scf.iterate import iterate
from ase_mlseqm.scf.rungs import Annealing, LevelShift, OptimalDamping, PlainDIIS

AIDS = [PlainDIIS, OptimalDamping, LevelShift, Annealing]
CLOSED = ["CH3CONH2", "H2O", "CH3Cl", "PF3", "CH3SiH3", "C6H6", "HCN", "CHFBrI"]
OPEN = [("CH3", 0, 2), ("O2", 0, 3), ("H2O", 1, 2), ("C2H5", 0, 2), ("SiH3", 0, 2)]
TOLERANCE = 1e-8


def cases(unrestricted):
    if unrestricted:
        return problem([build(*spec) for spec in OPEN], "PM3", True)
    return problem([build(name) for name in CLOSED], "PM3")


def energies(part, aid, tolerance=TOLERANCE, start=None):
    """Energies of a batch solved with one aid only, and the densities."""
    if start is None:
        start = guess.diagonal(part.layout, part.occupied)
    attempt = iterate(part.builder, part.occupied, start, aid, tolerance, 400)
    assert bool((attempt.residual < tolerance).all()), attempt.residual
    fock = part.builder(attempt.density)
    return part.builder.energy(attempt.density, fock), attempt


@pytest.mark.parametrize("unrestricted", [False, True])
@pytest.mark.parametrize("aid", AIDS)
def test_every_aid_alone_reaches_the_energy_of_diis(aid, unrestricted):
    part = cases(unrestricted)
    start = guess.diagonal(part.layout, part.occupied)
    expected, _ = energies(part, PlainDIIS(part.occupied, start, 8))
    found, attempt = energies(part, aid(part.occupied, start, 8))
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-8)
    idempotent = attempt.density @ attempt.density
    torch.testing.assert_close(idempotent, attempt.density, rtol=0, atol=1e-9)
    rebuilt = commutator(part.builder(attempt.density), attempt.density).abs().amax((0, 2, 3))
    assert bool((rebuilt < TOLERANCE).all())


@pytest.mark.parametrize("aid", AIDS)
def test_from_noise(aid):
    """No aid relies on a symmetric start."""
    part = problem([build(name) for name in CLOSED[:4]])
    start = guess.perturbed(part.layout, part.occupied, 4)
    expected, _ = energies(part, PlainDIIS(part.occupied, start, 8))
    found, _ = energies(part, aid(part.occupied, start, 8), start=start)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-8)


@pytest.mark.parametrize("aid", AIDS)
def test_a_molecule_alone_takes_the_path_it_takes_in_a_batch(aid):
    together, alone = problem([build(n) for n in CLOSED]), problem([build(CLOSED[2])])
    for part, column in ((together, 2), (alone, 0)):
        start = guess.diagonal(part.layout, part.occupied)
        attempt = iterate(
            part.builder, part.occupied, start, aid(part.occupied, start, 8), 1e-8, 400
        )
        energy = part.builder.energy(attempt.density, attempt.fock)[column]
        if part is together:
            first = (int(attempt.iterations[column]), float(energy))
    assert int(attempt.iterations[0]) == first[0]
    # the energy is measured from a constant of the molecule alone
    assert float(energy) == pytest.approx(first[1], rel=0, abs=1e-9)


def some_steps(part, aid, density, n):
    """Densities after each of ``n`` steps, none of which ends the search."""
    out = []
    for _ in range(n):
        fock = part.builder(density)
        error = commutator(fock, density)
        effective = aid.effective_fock(fock, density, error, error.abs().amax((0, 2, 3)))
        energies_, orbitals = torch.linalg.eigh(effective)
        filled = orbitals * aid.occupations(energies_).unsqueeze(-2)
        density = filled @ orbitals.mT
        out.append(density)
    return out


@pytest.mark.parametrize("aid", AIDS)
def test_what_an_aid_remembers_survives_the_others_leaving(aid):
    part = problem([build(name) for name in ("CH3OH", "SO2", "CH3Cl", "H2CO")])
    start = guess.diagonal(part.layout, part.occupied)
    expected = some_steps(part, aid(part.occupied, start, 8), start, 7)
    other = aid(part.occupied, start, 8)
    middle = some_steps(part, other, start, 3)[-1]
    keep = torch.tensor([1, 3])
    other.select(keep)
    part.builder = part.builder.select(keep)
    found = some_steps(part, other, middle[:, keep], 4)
    for one, two in zip(found, expected[3:], strict=True):
        torch.testing.assert_close(one, two[:, keep], rtol=0, atol=1e-8)


def test_annealing_is_not_final_while_warm(monkeypatch):
    monkeypatch.setattr(rungs, "WARM_STEPS", 5)
    part = problem([build("H2O")])
    start = guess.diagonal(part.layout, part.occupied)
    aid = Annealing(part.occupied, start, 8)
    fock = part.builder(start)
    seen = []
    for _ in range(8):
        error = commutator(fock, start)
        aid.effective_fock(fock, start, error, error.abs().amax((0, 2, 3)))
        seen.append(aid.final())
        filling = aid.occupations(torch.linalg.eigvalsh(fock))
        integer = bool((filling == aufbau(part.occupied, part.layout.N)).all())
        assert integer == aid.final()
    assert seen == [False] * 5 + [True] * 3


def test_damped_energies_go_down():
    """Optimal damping never raises the energy of its own density."""
    part = problem([build("O3"), build("CH3NO2"), build("SO2")])
    density = guess.perturbed(part.layout, part.occupied, 2)
    aid = OptimalDamping(part.occupied, density, 8, switch=0.0)
    energy = None
    for _ in range(15):
        fock = part.builder(density)
        error = commutator(fock, density)
        effective = aid.effective_fock(fock, density, error, error.abs().amax((0, 2, 3)))
        damped, damped_fock = aid.damped
        torch.testing.assert_close(part.builder(damped), damped_fock, rtol=0, atol=1e-9)
        now = part.builder.energy(damped, damped_fock)
        if energy is not None:
            assert bool((now <= energy + 1e-9).all())
        energy = now
        _, orbitals = torch.linalg.eigh(effective)
        filled = orbitals * aid.filling.unsqueeze(-2)
        density = filled @ filled.mT


def test_level_shift_keeps_the_filled_orbitals():
    """The shift raises empty orbitals only: at self-consistency the density does not change."""
    part = problem([build("H2CO"), build("H2O")])
    start = guess.diagonal(part.layout, part.occupied)
    _, attempt = energies(part, PlainDIIS(part.occupied, start, 8))
    aid = LevelShift(part.occupied, start, 8)
    fock, density = attempt.fock, attempt.density
    shifted = aid.effective_fock(
        fock, density, commutator(fock, density), torch.tensor([0.5, 0.25])
    )
    old, new = torch.linalg.eigvalsh(fock), torch.linalg.eigvalsh(shifted)
    for b, n in enumerate(part.occupied[0].tolist()):
        torch.testing.assert_close(old[0, b, :n], new[0, b, :n], rtol=0, atol=1e-6)
        raised = new[0, b, n:] - old[0, b, n:]
        assert float(raised.min()) > 1.0
        torch.testing.assert_close(raised, raised[:1].expand_as(raised), rtol=0, atol=1e-6)


def test_damping_goes_on_for_the_molecules_that_are_left():
    part = problem([build(name) for name in ("CH3OH", "SO2", "CH3Cl", "H2CO")])
    start, keep = guess.diagonal(part.layout, part.occupied), torch.tensor([1, 3])
    aid = OptimalDamping(part.occupied, start, 8)
    some_steps(part, aid, start, 5)
    assert aid.close.tolist() == [False, False, False, True] and aid.damped is not None
    before = [matrices[:, keep] for matrices in aid.damped]
    aid.select(keep)
    assert aid.close.tolist() == [False, True]
    for one, two in zip(aid.damped, before, strict=True):
        assert torch.equal(one, two)


def test_a_warm_density_is_no_solution():
    """That of hydrogen commutes with its Fock matrix by symmetry, at any temperature."""
    part = problem([build("H2")])
    start = guess.diagonal(part.layout, part.occupied)
    aid = Annealing(part.occupied, start, 8)
    attempt = iterate(part.builder, part.occupied, start, aid, TOLERANCE, 5)
    error = commutator(attempt.fock, attempt.density).abs().max()
    assert float(error) < TOLERANCE <= float(attempt.residual)
