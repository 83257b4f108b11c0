"""An engine short of memory."""

import pytest
import torch

from ase_mlseqm import engine as engine_module


@pytest.fixture
def limited(monkeypatch):
    """An engine whose memory holds a few molecules only; records the sizes it was asked for."""
    sizes = []
    original = engine_module.compute

    def install(limit, error=None):
        def bounded(batch, *args, **kwargs):
            sizes.append(len(batch))
            if len(batch) > limit:
                raise error or torch.OutOfMemoryError("CUDA out of memory")
            return original(batch, *args, **kwargs)

        monkeypatch.setattr(engine_module, "compute", bounded)
        return sizes

    return install
