"""What the engine was asked for."""

import pytest

from ase_mlseqm import Engine


@pytest.fixture
def runs(monkeypatch):
    """The guesses of all calls of the engine."""
    calls = []
    original = Engine.run

    def run(self, molecules, *args, guesses=None, **keywords):
        calls.append(guesses)
        return original(self, molecules, *args, guesses=guesses, **keywords)

    monkeypatch.setattr(Engine, "run", run)
    return calls
