"""The list of all tests."""

from .base import TransferTest
from .dissociation import Dissociation
from .extensibility import Extensibility
from .large import LargeMolecules
from .noncovalent import NonCovalent
from .reactions import ReactionEnergies
from .scaling import Scaling
from .torsions import Torsions

TESTS: tuple[TransferTest, ...] = (
    Extensibility(),
    LargeMolecules(),
    NonCovalent(),
    Torsions(),
    Dissociation(),
    ReactionEnergies(),
    Scaling(),
)
"""All tests, in the order of the report."""
