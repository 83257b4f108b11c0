"""Potentials that cost little, and break down when they are told to."""

import numpy as np
from ase.calculators.calculator import Calculator
from ase.calculators.emt import EMT

from ase_mlseqm import SinglePoint
from ase_mlseqm.model import PlainModel
from ase_mlseqm.results import Status


class Springs(Calculator):
    """Every atom is held at ``origin`` by a spring of ``k`` eV/Angstrom^2."""

    implemented_properties = ["energy", "forces"]

    def __init__(self, origin, k=5.0, fail=None):
        super().__init__()
        self.origin, self.k, self.calls, self.fail = origin, k, 0, fail or {}

    def calculate(self, atoms=None, properties=("energy",), system_changes=()):
        super().calculate(atoms, properties, system_changes)
        self.calls += 1
        if self.calls in self.fail:
            raise self.fail[self.calls]
        shift = atoms.positions - self.origin
        self.results = {"energy": 0.5 * self.k * (shift**2).sum(), "forces": -self.k * shift}


class SpringEngine:
    """The same for replicas; ``lose`` are (call, molecule) whose SCF fails."""

    model = PlainModel("PM3")

    def __init__(self, origin, lose=()):
        self.origin, self.lose, self.calls = origin, lose, 0

    def run(self, molecules, properties, unrestricted, field, guesses):
        self.calls += 1
        return [self.point(k, m) for k, m in enumerate(molecules)]

    def point(self, k, found):
        lost = (self.calls, k) in self.lose
        status = Status.UNCONVERGED if lost else Status.CONVERGED
        shift = found.positions - self.origin
        values = {"energy": 2.5 * (shift**2).sum(), "forces": -5.0 * shift}
        return SinglePoint(
            **values,
            method="springs",
            charge=0,
            multiplicity=1,
            unrestricted=False,
            converged=not lost,
            status=status,
            iterations=9,
            residual=0.1,
            rung="diis",
            dipole=shift.sum(0),
            density=np.eye(2)[None],
        )


class Network(Calculator):
    """A spring of ``k`` eV/Angstrom^2 between every two atoms: a molecule, free to move."""

    implemented_properties = ["energy", "forces"]

    def __init__(self, atoms, k=5.0):
        super().__init__()
        self.pairs, self.k = np.triu_indices(len(atoms), 1), k
        self.lengths = atoms.get_all_distances()[self.pairs]

    def calculate(self, atoms=None, properties=("energy",), system_changes=()):
        super().calculate(atoms, properties, system_changes)
        one, other = self.pairs
        vectors = atoms.positions[one] - atoms.positions[other]
        distances = np.linalg.norm(vectors, axis=1)
        stretch = distances - self.lengths
        pulls = -(self.k * stretch / distances)[:, None] * vectors
        forces = np.zeros((len(atoms), 3))
        np.add.at(forces, one, pulls)
        np.add.at(forces, other, -pulls)
        self.results = {"energy": 0.5 * self.k * (stretch**2).sum(), "forces": forces}


def same(one, other):
    """Two results of dynamics are equal to the last bit."""
    for name in one.table:
        np.testing.assert_array_equal(one.table[name], other.table[name], err_msg=name)
    np.testing.assert_array_equal(one.atoms.positions, other.atoms.positions)
    np.testing.assert_array_equal(one.atoms.get_momenta(), other.atoms.get_momenta())


class Stopping(EMT):
    """A calculator that counts, and that Ctrl-C stops at the call after ``left``."""

    def __init__(self, left=1000):
        super().__init__()
        self.calls, self.left = 0, left

    def calculate(self, *args, **keywords):
        if self.calls == self.left:
            raise KeyboardInterrupt
        self.calls += 1
        super().calculate(*args, **keywords)
