"""All tests, and the methods that are asked for."""

from __future__ import annotations

from ase_mlseqm.errors import InputError
from ase_mlseqm.models import DEFAULT

from .base import TransferTest
from .config import TransferabilityConfig
from .dissociation import Dissociation
from .extensibility import Extensibility
from .frequencies import Frequencies
from .gfn2 import GFN2
from .large import LargeMolecules
from .methods import Method, Semiempirical
from .noncovalent import NonCovalent
from .reactions import ReactionEnergies
from .scaling import Scaling
from .stability import Stability
from .torsions import Torsions
from .uncertainty import Uncertainty

TESTS: tuple[TransferTest, ...] = (
    Extensibility(),
    LargeMolecules(),
    NonCovalent(),
    Torsions(),
    Dissociation(),
    ReactionEnergies(),
    Frequencies(),
    Stability(),
    Scaling(),
    Uncertainty(),
)
"""All tests, in the order of the report."""


def methods(config: TransferabilityConfig) -> list[Method]:
    """All that is asked for, the learned models first; their names differ.

    Raises
    ------
    InputError
        When one of them does not exist or is given twice.
    """
    asked_nothing = not config.model and not config.method
    models = (DEFAULT,) if asked_nothing else config.model
    plain = ("PM3",) if asked_nothing else config.method
    out: list[Method] = []
    for dispersion in (None, *config.dispersion):
        out += [Semiempirical(None, name, config.device, dispersion) for name in models]
        out += [Semiempirical(name, None, config.device, dispersion) for name in plain]
    out += [GFN2() for _ in config.peer]
    names: dict[str, int] = {}
    for method in out:
        names[method.name] = names.get(method.name, 0) + 1
        if names[method.name] > 1:
            if method.identity in {m.identity for m in out if m is not method}:
                raise InputError(f"{method.name} is given twice: leave one out")
            method.name = f"{method.name} ({names[method.name]})"
    return out
