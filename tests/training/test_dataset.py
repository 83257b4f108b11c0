"""Selection and concatenation keep what belongs together together."""

import dataclasses

import numpy as np
import pytest
from labelled import standard

from ase_mlseqm.training.dataset import PER_FRAME, Dataset
from ase_mlseqm.training.readers import read


def full(tmp_path, name="set.h5") -> Dataset:
    data = read(standard(tmp_path, name))
    charges = [np.full(len(n), float(k)) for k, n in enumerate(data.numbers)]
    dipoles = np.arange(24.0).reshape(8, 3)
    values = np.arange(8.0)
    return dataclasses.replace(data, charges=charges, dipoles=dipoles, homo=values, lumo=values)


def test_per_frame_lists_every_field_with_one_entry_a_frame(tmp_path):
    data = full(tmp_path)
    per_molecule = {"names", "smiles", "level", "skipped", "checksums"}
    assert {f.name for f in dataclasses.fields(Dataset)} - per_molecule == set(PER_FRAME)
    assert all(len(getattr(data, name)) == len(data) for name in PER_FRAME)


def test_select(tmp_path):
    data = full(tmp_path)
    chosen = data.select([6, 1])
    for name in PER_FRAME:
        for got, index in zip(getattr(chosen, name), (6, 1), strict=True):
            np.testing.assert_array_equal(got, getattr(data, name)[index])
    assert chosen.names == data.names and chosen.molecule.tolist() == [1, 0]
    mask = np.isin(np.arange(8), [1, 6])
    np.testing.assert_array_equal(data.select(mask).energies, data.energies[[1, 6]])
    assert len(data.select([])) == 0


def test_concatenate(tmp_path):
    one, two = full(tmp_path), read(standard(tmp_path, "other.h5"))
    both = Dataset.concatenate([one, two])
    assert len(both) == 16 and both.molecule.tolist() == [0] * 4 + [1] * 4 + [2] * 4 + [3] * 4
    assert both.names[both.molecule[-1]] == "other/b"
    assert both.source.tolist() == [0] * 8 + [1] * 8 and len(both.level) == 2
    np.testing.assert_array_equal(both.dipoles[:8], one.dipoles)
    for name in ("dipoles", "homo", "lumo", "charges"):
        assert all(np.isnan(v).all() for v in getattr(both, name)[8:])
    assert [len(c) for c in both.charges] == [len(n) for n in both.numbers]
    assert Dataset.concatenate([one]) is one
    with pytest.raises(ValueError, match="nothing"):
        Dataset.concatenate([])
