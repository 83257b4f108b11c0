"""Model files: what is written comes back to the last bit, and nothing else is accepted."""

import dataclasses
import json
import os
import pickle

import numpy as np
import pytest
import torch
from helpers import build
from learned import ALL, atoms_of, learned
from safetensors.torch import load_file, save_file

from ase_mlseqm import InputError
from ase_mlseqm.nn.hamiltonian import HamiltonianConfig
from ase_mlseqm.nn.hipnn import HIPNNConfig
from ase_mlseqm.nn.parameter_head import CORRECTIONS
from ase_mlseqm.nn.weights import (
    config_from_dict,
    config_to_dict,
    load_model,
    save_model,
    seeded,
)

CARD = {"training data": "none", "errors": {"force MAE, eV/Å": 0.25}, "licence": "CC0"}


@pytest.fixture
def model():
    return learned(ALL, order=2)


@pytest.fixture
def file(tmp_path, model):
    save_model(tmp_path / "model.safetensors", model, CARD)
    return tmp_path / "model.safetensors"


def refused(path, *words):
    """The message, one sentence, with which the file is refused."""
    with pytest.raises(InputError) as caught:
        load_model(path)
    message = str(caught.value)
    assert path.name in message and "\n" not in message and ". " not in message
    assert all(word in message for word in words), message


def same_weights(one, two):
    first, second = (m.network.state_dict() for m in (one, two))
    return first.keys() == second.keys() and all(
        torch.equal(first[k], second[k]) and first[k].dtype == second[k].dtype for k in first
    )


class TestRoundTrip:
    def test_everything_comes_back(self, tmp_path, model):
        digest = save_model(tmp_path / "a.safetensors", model, CARD)
        found = load_model(tmp_path / "a.safetensors")
        assert found.card == CARD and found.sha256 == digest and len(digest) == 64
        assert found.model.config == model.config and found.model.name == model.name
        assert same_weights(found.model, model)
        assert not any(w.requires_grad for w in found.model.network.parameters())
        layout, positions = atoms_of(build("CH3CONH2"))
        with torch.no_grad():
            ours, theirs = (m.parameters(layout, positions) for m in (model, found.model))
        for (name, value), (_, expected) in zip(ours.items(), theirs.items(), strict=True):
            assert torch.equal(value, expected), name

    def test_digest_tells_models_apart(self, tmp_path, model):
        path = tmp_path / "model.safetensors"
        digests = [save_model(path, m, CARD) for m in (model, model, learned(ALL, 2, seed=1))]
        assert digests[0] == digests[1] != digests[2]
        with torch.no_grad():
            weight = next(model.network.parameters()).flatten()
            weight[0] = np.nextafter(float(weight[0]), 10.0)
        assert save_model(path, model, CARD) != digests[0]

    def test_config_through_json(self):
        config = HamiltonianConfig(
            HIPNNConfig(n_blocks=3, tensor_order=1), ("U_ss", "K"), "AM1", (1, 6), False
        )
        assert config_from_dict(json.loads(json.dumps(config_to_dict(config)))) == config

    def test_files_that_do_not_state_the_smoothing(self):
        """What it was before it could be set, whatever the default is now."""
        values = config_to_dict(HamiltonianConfig(HIPNNConfig(tensor_order=1)))
        assert values["network"].pop("smoothing") != 1e-3
        assert config_from_dict(values).network.smoothing == 1e-3

    def test_seeded(self, model):
        state = torch.random.get_rng_state()
        config = model.config
        assert same_weights(seeded(config, 5), seeded(config, 5))
        assert not same_weights(seeded(config, 5), seeded(config, 6))
        assert torch.equal(torch.random.get_rng_state(), state)


class TestRefused:
    def test_missing(self, tmp_path):
        refused(tmp_path / "nowhere.safetensors", "no model file")
        refused(tmp_path, "no model file")

    @pytest.mark.parametrize("share", [0.0, 1e-4, 0.01, 0.5, 0.9999])
    def test_cut_off(self, file, share):
        content = file.read_bytes()
        file.write_bytes(content[: int(share * len(content))])
        refused(file, "not a whole safetensors file")

    def test_too_long(self, file):
        file.write_bytes(file.read_bytes() + b"\0" * 8)
        refused(file)

    def test_flipped_bits(self, file):
        """In a sample of header and weights."""
        content = bytearray(file.read_bytes())
        header = 8 + int.from_bytes(content[:8], "little")
        rng = np.random.default_rng(0)
        places = [
            *range(16),
            *rng.integers(16, header, 250),
            *rng.integers(header, len(content), 40),
        ]
        for place in places:
            bit = 1 << rng.integers(8)
            content[place] ^= bit
            file.write_bytes(content)
            refused(file)
            content[place] ^= bit

    @pytest.mark.parametrize("key", ["name", "config", "foundation", "card", "sha256", "format"])
    def test_changed_metadata(self, file, key):
        import safetensors

        tensors = load_file(file)
        with safetensors.safe_open(file, "pt") as opened:
            metadata = opened.metadata()
        for changed in (metadata | {key: metadata[key] + " "}, {**metadata}):
            if changed == metadata:
                del changed[key]
            save_file(tensors, file, changed)
            refused(file, "not a model" if key == "format" else "its checksum differs")

    def test_other_number_type(self, file):
        """The same bytes read as integers."""
        content = file.read_bytes()
        file.write_bytes(content.replace(b'"F64"', b'"I64"'))
        refused(file, "its checksum differs")

    def test_another_version(self, file, monkeypatch):
        """Whole and unchanged, but of a network that cannot be built."""
        from ase_mlseqm.nn import weights

        config = config_to_dict(learned().config)
        for changed in ({"depth": 3}, {"network": {"tensor_order": 3}}, {"elements": [1, 6]}):
            monkeypatch.setattr(weights, "config_to_dict", lambda _, c=changed: config | c)
            save_model(file, learned(), CARD)
            refused(file, "does not fit this version")

    def test_foreign(self, tmp_path):
        path = tmp_path / "other.safetensors"
        save_file({"weight": torch.zeros(3)}, path)
        refused(path, "not a model of this program")

    @pytest.mark.parametrize("content", [b"", b"hello", b"\x89PNG\r\n\x1a\n" + bytes(100)])
    def test_not_safetensors(self, tmp_path, content):
        path = tmp_path / "other.safetensors"
        path.write_bytes(content)
        refused(path, "not a whole safetensors file")

    def test_executes_nothing(self, tmp_path):
        marker = tmp_path / "was_here"

        class Harmful:
            def __reduce__(self):
                return os.mkdir, (str(marker),)

        path = tmp_path / "pickle.safetensors"
        path.write_bytes(pickle.dumps(Harmful()))
        refused(path)
        torch.save({"weights": Harmful()}, path)
        refused(path)
        assert not marker.exists()
        pickle.loads(pickle.dumps(Harmful()))
        assert marker.exists()  # it would have


def test_another_table_is_refused(tmp_path, monkeypatch):
    """Weights are corrections of certain numbers, within certain bounds."""
    path = tmp_path / "model.safetensors"
    save_model(path, learned(), {})
    load_model(path)
    looser = dataclasses.replace(CORRECTIONS["U_pp"], bound=20.0)
    monkeypatch.setitem(CORRECTIONS, "U_pp", looser)
    with pytest.raises(InputError, match="bounds of its corrections differ"):
        load_model(path)
