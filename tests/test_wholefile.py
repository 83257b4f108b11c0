"""Files that are whole or absent."""

import os

from ase_mlseqm.wholefile import write_whole


def test_two_runs_write_one_file(tmp_path, monkeypatch):
    """Another one writes it between the two steps of the first; the last one wins."""
    path, replace = tmp_path / "mlseqm_relax.json", os.replace

    def other_first(new, target):
        monkeypatch.undo()
        write_whole(path, b"other")
        replace(new, target)

    monkeypatch.setattr(os, "replace", other_first)
    write_whole(path, b"ours")
    assert path.read_bytes() == b"ours"
    assert list(tmp_path.iterdir()) == [path]
