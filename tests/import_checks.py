"""Predictions written as a foreign file, imported, and compared with the run that they came from; for tests of
imports.
"""

import numpy as np
import pandas as pd
import pytest
from made import made_run
from scipy.special import softmax

from cifarcore.config import ImportConfig
from cifarcore.errors import CifarcoreError
from cifarcore.runs.alignment import align
from cifarcore.runs.importing import import_file
from cifarcore.runs.run import save_run


def write(path, run, scores=None, names=None, **columns):
    """`run`'s outputs as a foreign file; columns of the table, or arrays, beside the scores."""
    scores = run.logits.astype(np.float32) if scores is None else scores
    names = run.class_names.tolist() if names is None else names
    if path.suffix == ".npz":
        np.savez(path, scores=scores, class_names=names, **columns)
    elif path.suffix == ".npy":
        np.save(path, scores)
    else:
        table = pd.DataFrame(columns | dict(zip(names, scores.T, strict=True)))
        table.to_csv(path, index=False) if path.suffix == ".csv" else table.to_parquet(path)
    return path


def saved(folder, n_images):
    """A run of five classes, and its file `ours.npz` in the folder."""
    run = made_run(5, n_images)
    save_run(run, folder / "ours.npz")
    return run


def taken(path, tmp_path, **options):
    return import_file(path, tmp_path / "out.npz", ImportConfig(**options), tmp_path / "data", overwrite=True)


def kept_as(logits):
    """Each row's highest score becomes 0."""
    return (logits - logits.max(axis=1, keepdims=True)).astype(np.float16)


def refused(path, tmp_path, **options) -> str:
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(CifarcoreError) as caught:
        taken(path, tmp_path, **options)
    assert sorted(tmp_path.rglob("*")) == before, "a refusal leaves nothing behind"
    message = str(caught.value)
    assert "\n" not in message
    return message


def same(run, expected):
    """Equal but for the order of images and classes, and the last digits of the scores."""
    pair = align(expected, run)
    assert pair.only_a == pair.only_b == 0
    np.testing.assert_allclose(softmax(pair.b.logits, axis=1), softmax(pair.a.logits, axis=1), atol=2e-3)
    np.testing.assert_array_equal(pair.a.labels, pair.b.labels)
