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


def test_the_models_answers_beside_the_labels_are_not_taken_for_them(run, tmp_path):
    """Of (logits, predictions, labels) the predictions were, and the model was right on every image."""
    logits = torch.from_numpy(run.logits.astype(np.float32))
    answers, labels = logits.argmax(1), torch.from_numpy(run.labels.astype(np.int64))
    (tmp_path / "names.txt").write_text("\n".join(run.class_names.tolist()), encoding="utf-8")
    options = {"order": "rows", "test_set": "shop", "class_names": str(tmp_path / "names.txt")}
    for parts in ((logits, answers, labels), (logits, labels, answers)):
        batches = list(zip(*(part.split(7) for part in parts), strict=True))
        for content in (parts, batches):
            torch.save(content, tmp_path / "theirs.pt")
            found = taken(tmp_path / "theirs.pt", tmp_path, **options)
            assert found.run.correct.tolist() == run.correct.tolist() and not found.run.correct.all()
    torch.save((logits, labels.roll(1), labels), tmp_path / "theirs.pt")
    assert "holds 2 columns of whole numbers beside the scores" in refused(tmp_path / "theirs.pt", tmp_path, **options)
    torch.save((logits, answers), tmp_path / "theirs.pt")
    found = taken(tmp_path / "theirs.pt", tmp_path, **options)
    assert any("are the labels in the file the model's own answers?" in note for note in found.notes)


def test_what_is_refused_is_said_in_one_line(run, tmp_path, monkeypatch):
    torch.save(run.logits, tmp_path / "theirs.pt")
    assert "theirs.pt: holds numpy" in refused(tmp_path / "theirs.pt", tmp_path)
    monkeypatch.setattr(sys, "executable", "/bin/false")
    assert "theirs.pt: the process that reads it ended" in refused(tmp_path / "theirs.pt", tmp_path)
    monkeypatch.undo()
    monkeypatch.setattr(apart, "SECONDS", 0)  # in which it does not even load torch
    assert "not read within 0 seconds" in refused(tmp_path / "theirs.pt", tmp_path)
