"""The list of all tests."""

from .base import TransferTest
from .extensibility import Extensibility
from .large import LargeMolecules
from .noncovalent import NonCovalent

TESTS: tuple[TransferTest, ...] = (Extensibility(), LargeMolecules(), NonCovalent())
"""All tests, in the order of the report."""
