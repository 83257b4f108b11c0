"""Self-consistent field for batches of molecules."""

from .driver import SCFResult, SCFSettings, solve

__all__ = ["SCFResult", "SCFSettings", "solve"]
