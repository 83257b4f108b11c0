"""What every test needs: one thread, so that timings and round-off do not depend on the machine."""

import pytest
import torch


@pytest.fixture(autouse=True, scope="session")
def one_thread():
    """The workers of pytest-xdist keep the cores busy; torch gets one each."""
    torch.set_num_threads(1)
