"""Equal scores, as votes and trees give them: equal in every metric, and in whatever order the classes stand."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from cifarcore import Run
from cifarcore.errors import CifarcoreError
from cifarcore.evidence import abstention, metrics, roc_curves, softmax
from cifarcore.runs.alignment import align

NAMES = ["cat", "dog", "horse", "ship"]
N = 1_200


def made(scores, labels, names=NAMES, **more):
    return Run.from_predictions(scores, labels, class_names=names, sample_ids=range(1, len(labels) + 1), **more)


@pytest.fixture
def votes():
    """Of five neighbours, (N, 4), and the labels (N,)."""
    rng = np.random.default_rng(3)
    labels = rng.integers(0, 4, N)
    chances = np.full((N, 4), 0.2)
    chances[np.arange(N), labels] = 0.4
    return np.array([rng.multinomial(5, each) for each in chances]) / 5, labels


def test_equal_votes_are_ties_as_in_scikit_learn(votes):
    shares, labels = votes
    run = made(shares, labels, model="knn")
    found = [roc_curves.class_auc(run)[k] for k in range(4)]
    assert found == pytest.approx([roc_auc_score(labels == k, shares[:, k]) for k in range(4)], abs=1e-9)
    assert len(np.unique(softmax.confidence(run))) == len(np.unique(shares.max(axis=1)))
    assert softmax.probabilities(run) == pytest.approx(shares, abs=1e-3)
    softmax.per_image(run)  # the other way to the same normalizers
    assert len(np.unique(softmax.confidence(run))) == len(np.unique(shares.max(axis=1)))


@pytest.mark.parametrize("sure", [1, 0.4])
def test_zeros_of_half_precision_are_ties_as_in_scikit_learn(sure):
    """Of some images, or of all, the highest probability is 1, and the sum a little more."""
    rng = np.random.default_rng(5)
    labels = rng.integers(0, 4, N)
    given = np.where(rng.random(N) < sure, rng.choice([2e-4, 5e-4], N), 0.1)[:, None] * rng.dirichlet([0.2] * 3, N)
    given[given < 1e-5] = 0
    rest = np.argsort(
        rng.random((N, 4)) - 2 * (np.arange(4) == labels[:, None]) * (rng.random(N) < 0.7)[:, None], axis=1
    )
    shares = np.zeros((N, 4))
    np.put_along_axis(shares, rest, np.column_stack([np.where(given.sum(axis=1) < 0.01, 1, 0.9), given]), axis=1)
    run = made(shares, labels, model="half")
    assert (run.logits.max(axis=1) == 0).mean() == pytest.approx(sure, abs=0.1)
    found = [roc_curves.class_auc(run)[k] for k in range(4)]
    assert found == pytest.approx(
        [roc_auc_score(labels == k, shares[:, k].astype(np.float16)) for k in range(4)], abs=1e-4
    )
    assert len(np.unique(softmax.probabilities(run)[shares == 0])) == 1


def test_of_two_classes_alone_equal_shares_are_ties(votes):
    """p / (p + q) is 1 where the other class has no vote, however many this one has, and 0 the other way round."""
    shares, labels = votes
    run = made(shares, labels, model="knn")
    for one, other in ((0, 1), (1, 0), (2, 3)):
        scores, positive, rows = roc_curves.pair_scores(run, one, other)
        p, q = shares[rows, one], shares[rows, other]
        by_hand = roc_auc_score(positive, np.divide(p, p + q, out=np.full(len(p), 0.5), where=p + q > 0))
        assert roc_curves.pair_aucs(run, np.array([[one, other]])) == pytest.approx([by_hand], abs=1e-9)
        assert roc_auc_score(positive, scores) == pytest.approx(by_hand, abs=1e-9)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_of_two_classes_alone_zeros_are_known_in_every_precision(dtype):
    rng = np.random.default_rng(6)
    left = 10.0 ** rng.uniform(-12, -2, N)
    shares = np.stack([1 - left, left, 0 * left, 0 * left], axis=1).astype(dtype)
    run = made(shares, np.arange(N) % 4, model="sure")
    assert len(np.unique(roc_curves.pair_scores(run, 1, 3)[0][left[np.arange(N) % 2 == 1] > 1e-6])) == 1
    assert roc_curves.pair_aucs(run, np.array([[0, 2], [2, 3]])) == pytest.approx([0.5, 0.5])


def test_of_two_classes_alone_a_sure_model_ties_no_images():
    """Logits of which the logistic is 1 in double precision."""
    rng = np.random.default_rng(4)
    labels = rng.integers(0, 4, N)
    logits = 40.0 * (rng.normal(0, 1, (N, 4)) + (labels[:, None] == np.arange(4)))
    run = made(logits, labels, model="sure")
    for one, other in ((0, 1), (1, 0)):
        scores, positive, rows = roc_curves.pair_scores(run, one, other)
        by_hand = roc_auc_score(positive, logits[rows, one] - logits[rows, other])
        assert roc_auc_score(positive, scores) == pytest.approx(by_hand, abs=1e-4)
        assert roc_curves.pair_aucs(run, np.array([[one, other]])) == pytest.approx([by_hand], abs=1e-4)


def test_what_float16_would_make_equal_stays_apart():
    run = made([[0.49999, 0.50001], [0.5, 0.5], [0.50004, 0.49996]], [1, 0, 0], ["cat", "dog"])
    assert run.predictions.tolist() == [1, 0, 0]
    assert run.logits[1, 0] == run.logits[1, 1] and (run.logits[[0, 2], 0] != run.logits[[0, 2], 1]).all()


def test_older_files_with_shifted_logarithms_give_the_same_probabilities(votes):
    shares, labels = votes
    run = made(shares, labels)
    shifted = replace(run, logits=(run.logits - run.logits.max(axis=1, keepdims=True)).astype(np.float16))
    assert softmax.probabilities(shifted).sum(axis=1) == pytest.approx(np.ones(N), abs=1e-5)
    assert softmax.probabilities(shifted) == pytest.approx(shares, abs=1e-3)


def test_logits_that_only_claim_to_be_logarithms_are_normalized():
    run = made([[0.9, 0.1], [0.2, 0.8]], [0, 1], ["cat", "dog"])
    claimed = replace(run, logits=np.array([[-3, -5], [-4, -1]], np.float16))
    assert softmax.probabilities(claimed).sum(axis=1) == pytest.approx([1, 1], abs=1e-5)


def test_a_run_keeps_its_answers_beside_one_with_another_order_of_classes(votes):
    shares, labels = votes
    order = np.array([3, 1, 0, 2])
    own = made(shares[:, order], np.argsort(order)[labels], [NAMES[k] for k in order], model="knn")
    other = made(np.random.default_rng(0).standard_normal((N, 4)), labels, model="cnn")
    aligned = align(other, own).b
    answers = [own.class_names[k] for k in own.predictions]
    assert [aligned.class_names[k] for k in aligned.predictions] == answers
    part = aligned.take(np.arange(0, N, 2))
    assert [part.class_names[k] for k in part.predictions] == answers[::2]
    assert (metrics.true_rank(aligned) == 0).tolist() == own.correct.tolist()


@pytest.mark.parametrize("rest", [np.random.default_rng(0).standard_normal((900, 4)), np.full((900, 4), 0.25)])
def test_rows_that_were_never_filled_are_refused(rest):
    scores, labels = np.zeros((1_000, 4)), np.zeros(1_000, int)
    scores[:900] = rest
    with pytest.raises(CifarcoreError, match=r"100 of 1,000 rows have the score 0 for every class \(first: row 900\)"):
        made(scores, labels)
    assert made(scores, labels, kind="logits").n_images == 1_000  # as asked for


def test_errors_among_what_is_answered_do_not_depend_on_the_order_of_rows(votes):
    run = made(*votes)
    by_class = np.argsort(run.labels, kind="stable")
    best_first = np.argsort(~run.correct, kind="stable")
    for coverage in (0.3, 0.5, 0.8, 1.0):
        errors = [abstention.error_at(run.take(rows), coverage) for rows in (np.arange(N), by_class, best_first)]
        assert errors == pytest.approx(errors[:1] * 3)
        left = [
            {*run.sample_ids[rows][abstention.abstained(run.take(rows), coverage)]} for rows in (by_class, best_first)
        ]
        assert left[0] == left[1] and len(left[0]) == N - round(coverage * N)
    assert abstention.error_at(run, 1.0) == pytest.approx((~run.correct).mean())


def test_logits_that_float16_would_make_equal():
    close = np.array([[3e-5, 0, 2.999e-5], [0, 1e-3, 1e-3 - 1e-8], [5, 4, 5 - 1e-7]])
    assert made(close, [0, 1, 0], NAMES[:3], kind="logits").predictions.tolist() == [0, 1, 0]
    with pytest.raises(CifarcoreError, match="differ by at most 1e-07, too little for the float16 .* multiply them"):
        made(np.eye(3) * 1e-7, [0, 1, 2], NAMES[:3], kind="logits")
