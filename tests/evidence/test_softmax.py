"""What is kept of a run is computed once, is read-only, and goes with the run."""

import gc
import weakref
from dataclasses import replace

import numpy as np
import pytest
from made import made_run

from cifarcore.evidence import softmax
from cifarcore.evidence.comparison import compare


def test_values_are_kept_for_as_long_as_the_run_lives_and_cannot_be_changed():
    calls = []

    @softmax.once
    def twice(run):
        """Two for each image."""
        calls.append(run.digest)
        return None if run.n_images == 20 else np.full(run.n_images, 2.0)

    run = made_run(n_images=60)
    values = twice(run)
    assert twice(run) is values and len(calls) == 1 and twice.__doc__ == "Two for each image."
    with pytest.raises(ValueError, match="read-only"):
        values[0] = 3
    assert twice(replace(run)) is not values and len(calls) == 2, "another object is another run"
    few = made_run(n_images=20)
    assert twice(few) is None is twice(few) and len(calls) == 3
    gone = weakref.ref(values)
    del run, values
    gc.collect()
    assert gone() is None


def test_quotients_are_undefined_where_nothing_is_counted():
    found = softmax.ratio(np.array([1, 2, 0, 3]), np.array([2, 0, 0, 0.5]))
    np.testing.assert_array_equal(found, [0.5, np.nan, np.nan, 6])
    np.testing.assert_array_equal(softmax.ratio(1, np.array([4, 0])), [0.25, np.nan])


def test_probabilities_of_some_rows_are_those_of_all():
    run = made_run(n_images=60)
    whole = softmax.probabilities(run)
    np.testing.assert_array_equal(softmax.block_probabilities(run, slice(10, 13)), whole[10:13])
    np.testing.assert_allclose(whole.sum(axis=1), 1, atol=1e-6)
    scores = run.logits.astype(float)
    np.testing.assert_allclose(softmax.log_normalizer(run), np.log(np.exp(scores).sum(axis=1)), rtol=1e-12)


def test_the_normalizer_is_the_same_alone_and_with_all_else_and_a_comparison_reads_the_scores_once(monkeypatch):
    runs = [made_run(n_images=60, seed=seed) for seed in (0, 1)]
    alone = [softmax.log_normalizer(run) for run in runs]
    again = [replace(run) for run in runs]
    read, of_block = [], softmax._exponentials
    monkeypatch.setattr(softmax, "_exponentials", lambda scores: read.append(len(scores)) or of_block(scores))
    compare(again[:1], again[1:])
    assert sum(read) == 2 * 60, "each image's scores of each run once"
    for run, values in zip(again, alone, strict=True):
        np.testing.assert_array_equal(softmax.log_normalizer(run), values)
    assert sum(read) == 2 * 60
