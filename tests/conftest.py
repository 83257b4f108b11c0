"""What every test needs: one thread, so that timings and round-off do not depend on the machine."""

import pytest
import torch
from helpers import recorded


@pytest.fixture(autouse=True, scope="session")
def one_thread():
    """The workers of pytest-xdist keep the cores busy; torch gets one each."""
    torch.set_num_threads(1)


@pytest.fixture
def engine_calls(monkeypatch):
    """Molecules of every call of the engine, in order."""
    return recorded(monkeypatch)
