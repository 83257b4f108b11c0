"""The list of all tests."""

from .base import TransferTest
from .extensibility import Extensibility
from .large import LargeMolecules
from .noncovalent import NonCovalent
from .reactions import ReactionEnergies
from .scaling import Scaling

TESTS: tuple[TransferTest, ...] = (
    Extensibility(),
    LargeMolecules(),
    NonCovalent(),
    ReactionEnergies(),
    Scaling(),
)
"""All tests, in the order of the report."""
