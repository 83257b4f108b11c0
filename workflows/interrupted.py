"""Ctrl-C in a workflow that keeps what was done."""

from __future__ import annotations

from typing import Any


class Interrupted(KeyboardInterrupt):
    """Ctrl-C; ``result`` holds what was done until then, of the kind that would be returned."""

    def __init__(self, result: Any, message: str = "interrupted") -> None:
        super().__init__(message)
        self.result = result
