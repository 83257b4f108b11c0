"""The list of all tests."""

from .base import TransferTest
from .dissociation import Dissociation
from .extensibility import Extensibility
from .frequencies import Frequencies
from .large import LargeMolecules
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
