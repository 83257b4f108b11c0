"""Self-consistent field for batches of molecules."""

from .driver import SCFSettings, solve
from .result import SCFResult

__all__ = ["SCFResult", "SCFSettings", "solve"]
