"""Files of networks."""

import pytest
from networks import network

from ase_mlseqm.nn.weights import save_model


@pytest.fixture
def files(tmp_path):
    """A model and two others in a folder."""
    paths = [tmp_path / name for name in ("mine.safetensors", "b.safetensors", "c.safetensors")]
    for seed, path in enumerate(paths):
        save_model(path, network(seed), {})
    return paths
