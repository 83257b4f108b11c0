"""The list of all tests."""

from .base import TransferTest
from .extensibility import Extensibility
from .large import LargeMolecules

TESTS: tuple[TransferTest, ...] = (Extensibility(), LargeMolecules())
"""All tests, in the order of the report."""
