"""Files of torch.save are imported by a process that has torch; what it refuses is one line."""

import sys

import numpy as np
import pytest
import torch
from import_checks import refused, same, saved, taken

from cifarcore.runs.readers import apart


@pytest.fixture
def run(tmp_path):
    return saved(tmp_path, 60)


def test_batches_and_their_labels(run, tmp_path):
    torch.save(list(torch.from_numpy(run.logits.astype(np.float32)).split(7)), tmp_path / "theirs.pt")
    found = taken(tmp_path / "theirs.pt", tmp_path, like=str(tmp_path / "ours.npz"))
    same(found.run, run)
    assert any("without labels" in note for note in found.notes)
    torch.save({"logits": torch.from_numpy(run.logits), "targets": torch.from_numpy(run.labels)}, tmp_path / "x.pth")
    found = taken(tmp_path / "x.pth", tmp_path, like=str(tmp_path / "ours.npz"))
    same(found.run, run)
    assert found.notes == ()


def test_what_is_refused_is_said_in_one_line(run, tmp_path, monkeypatch):
    torch.save(run.logits, tmp_path / "theirs.pt")
    assert "theirs.pt: holds numpy" in refused(tmp_path / "theirs.pt", tmp_path)
    monkeypatch.setattr(sys, "executable", "/bin/false")
    assert "theirs.pt: the process that reads it ended" in refused(tmp_path / "theirs.pt", tmp_path)
    monkeypatch.setattr(sys, "executable", "/bin/sleep")
    monkeypatch.setattr(apart, "SECONDS", 0)
    assert "not read within 0 seconds" in refused(tmp_path / "theirs.pt", tmp_path)
