"""What computes the replicas of a simulation: an engine, or the one of a calculator."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ase import Atoms
from ase.calculators.calculator import BaseCalculator

from ase_mlseqm import MLSEQM
from ase_mlseqm.atoms import molecule_from_atoms
from ase_mlseqm.calculator import batched
from ase_mlseqm.engines import engine_for
from ase_mlseqm.errors import InputError
from ase_mlseqm.molecule import Molecule
from ase_mlseqm.summary import jsonable

from .fingerprint import keywords
from .states import state_of, stated_as

if TYPE_CHECKING:  # torch is imported with the first engine, not with this module
    from ase_mlseqm import Engine


@dataclasses.dataclass(frozen=True)
class System:
    """An engine, and what is said of all molecules that it computes.

    Attributes
    ----------
    engine : Engine
    unrestricted : bool or None
    field : sequence of float or None
        V/Angstrom.
    charge, multiplicity : int or None
        None: what the atoms say.
    keywords : dict
        Of the calculator, where it is known.
    """

    engine: Engine
    unrestricted: bool | None = None
    field: Sequence[float] | None = None
    charge: int | None = None
    multiplicity: int | None = None
    keywords: dict[str, Any] = dataclasses.field(default_factory=dict)

    @classmethod
    def of(
        cls,
        calc: MLSEQM | Engine | None,
        unrestricted: bool | None = None,
        field: Sequence[float] | None = None,
    ) -> System:
        """That of a calculator, with its keywords, or of an engine with these two."""
        if batched(calc):
            names = ("unrestricted", "field", "charge", "multiplicity")
            given = (calc.parameters[name] for name in names)
            return cls(engine_for(calc.parameters), *given, keywords(calc))
        if isinstance(calc, BaseCalculator):
            raise InputError(
                f"replicas need MLSEQM or an Engine, not {type(calc).__name__}: give the list to "
                "dynamics()"
            )
        if calc is None:
            from ase_mlseqm import Engine

            calc = Engine()
        return cls(calc, unrestricted, field)

    @property
    def identity(self) -> dict[str, Any]:
        """What of it decides on energies, JSON-able."""
        said = {"unrestricted": self.unrestricted, "field": self.field}
        return {"model": self.engine.model.name, "calculator": jsonable(said | self.keywords)}

    def stated(self, atoms: Atoms) -> Atoms:
        """Copy whose ``info`` says what is computed, as that of :func:`~.states.stated`."""
        state = state_of(atoms, self.charge, self.multiplicity)
        return stated_as(atoms, self.engine.model.name, *state)

    def molecule(self, atoms: Atoms) -> Molecule:
        """For the engine.

        Raises
        ------
        InputError
            When it cannot be computed.
        """
        from ase_mlseqm.validate import check

        molecule = molecule_from_atoms(atoms, self.charge, self.multiplicity)
        return check(molecule, self.engine.model, self.unrestricted)
