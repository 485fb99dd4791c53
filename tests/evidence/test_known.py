"""What people found in CIFAR-100's test images, against loops over the published columns; and of other images."""

from dataclasses import replace

import numpy as np
import pytest
from made import made_run
from processes import bundled
from scipy.stats import binomtest
from statsmodels.stats.proportion import proportion_confint

from cifarcore.data.cifar100 import CLASS_NAMES
from cifarcore.data.known_images import known_images
from cifarcore.evidence import known, shares
from cifarcore.evidence.comparison import compare, on_shared_images
from cifarcore.runs.run import load_run


@pytest.fixture(scope="module")
def pair():
    return on_shared_images(list(map(load_run, bundled("cnn-quick-0", "resnet18-longer-0"))))


@pytest.fixture(scope="module")
def facts(pair):
    """The published columns of each image of the pair, found by a dictionary."""
    published = known_images()
    at = {
        key: row for row, key in enumerate(zip(published.sample_ids.tolist(), published.labels.tolist(), strict=True))
    }
    return [at[key] for key in zip(pair[0].sample_ids.tolist(), pair[0].labels.tolist(), strict=True)]


def shares_right(pair, facts, truth):
    """Accuracies of both and the discordant counts on the images for which `truth(row)` is no None, by loops."""
    right = [[], []]
    for image, row in enumerate(facts):
        if (label := truth(row)) is not None:
            for side, run in zip(right, pair, strict=True):
                side.append(int(run.logits[image].argmax()) == label)
    a, b = np.array(right)
    return a.mean(), b.mean(), len(a), (a & ~b).sum(), (b & ~a).sum()


def test_the_difference_without_duplicates_and_disputed_labels(pair, facts):
    published = known_images()
    kind, votes, label = published.duplicate, published.votes, published.labels

    def confirmed(row):
        return label[row] if votes[row].sum() == 0 or votes[row, 0] >= 3 else None

    def corrected(row):
        return published.other_label[row] if votes[row, 1] >= 3 else confirmed(row)

    truths = {
        "all images": lambda row: label[row],
        "without exact duplicates": lambda row: None if kind[row] == 1 else label[row],
        "without exact and near duplicates": lambda row: None if kind[row] in (1, 2) else label[row],
        "without exact, near and similar ones": lambda row: None if kind[row] else label[row],
        "without disputed labels": confirmed,
        "with disputed labels corrected": corrected,
        "without exact and near duplicates, labels corrected": lambda row: (
            None if kind[row] in (1, 2) else corrected(row)
        ),
    }
    found = known.repeats(pair, 1)
    assert found["what"].tolist() == list(truths)
    for row in found.itertuples():
        a, b, n, only_a, only_b = shares_right(pair, facts, truths[row.what])
        assert (row.images, row.left_out) == (n, 10_000 - n)
        assert (row.a, row.b, row.difference) == pytest.approx((a, b, b - a))
        assert row.p == pytest.approx(binomtest(int(only_a), int(only_a + only_b)).pvalue)
        low, high = map(float, shares.tango_interval(only_a, only_b, n))
        assert (row.low, row.high) == pytest.approx((low, high))
    other = votes[:, 1] >= 3
    assert found["corrected"].tolist() == [0, 0, 0, 0, 0, other.sum(), (other & ~np.isin(kind, [1, 2])).sum()]
    # the published example
    assert f"{100 * found['difference'][0]:.2f}, {100 * found['difference'][3]:.2f}" == "11.99, 12.89"
    assert found["left_out"][3] == 891


def test_the_headlines_notes_say_it(pair):
    duplicates, labels = compare(pair[:1], pair[1:]).notes[-2:]
    found = known.repeats(pair, 1).set_index("what")
    for note, what, start in (
        (duplicates, "without exact and near duplicates", "621 test images are exact or near duplicates of training"),
        (labels, "without disputed labels", "585 labels are disputed: fewer than three of five people confirm them"),
    ):
        row = found.loc[what]
        assert note.startswith(start)
        assert note.endswith(
            f"without them accuracy is {row['a']:.4f} (A) and {row['b']:.4f} (B), B − A "
            f"+{100 * row['difference']:.2f} points."
        )


def test_several_seeds(pair):
    names = (f"{model}-quick-{seed}" for model in ("cnn", "resnet18") for seed in (0, 1))
    runs = on_shared_images(list(map(load_run, bundled(*names))))
    found = known.repeats(runs, 2).set_index("what")
    keep = ~np.isin(known.duplicates(runs), known.SAME_PHOTO)
    means = [np.mean([run.correct[keep].mean() for run in side]) for side in (runs[:2], runs[2:])]
    row = found.loc["without exact and near duplicates"]
    assert (row["a"], row["b"]) == pytest.approx(means)
    whole = shares.accuracy_difference([run.take(keep) for run in runs], 2)
    assert (row["low"], row["high"], row["p"]) == pytest.approx((whole.low, whole.high, whole.p))


def test_another_order_of_classes_and_images_changes_nothing(pair):
    rng = np.random.default_rng(0)
    classes, rows = rng.permutation(100), rng.permutation(10_000)[:4000]
    moved = [
        replace(
            run, class_names=run.class_names[classes], logits=run.logits[:, classes], superclass_names=None,
            superclass_of=None, labels=np.argsort(classes)[run.labels].astype(np.int16), digest="",
        ).take(rows)
        for run in pair
    ]  # fmt: skip
    plain = [run.take(rows) for run in pair]
    assert known.repeats(moved, 1).equals(known.repeats(plain, 1))
    assert known.coincidence(moved) == known.coincidence(plain)
    votes, expected = known.people(moved[0]), known.people(plain[0])
    back = np.argsort(classes)
    np.testing.assert_array_equal(votes.other, np.where(expected.asked, back[expected.other], -1))


def test_suspect_labels_and_people(pair, facts):
    published = known_images()
    suspects = asked = disputed = agreed = 0
    for image, row in enumerate(facts):
        said = {int(run.logits[image].argmax()) for run in pair}
        if len(said) == 1 and published.labels[row] not in said:
            votes = published.votes[row]
            suspects += 1
            asked += votes.sum() == 5
            disputed += votes.sum() == 5 and votes[0] < 3
            agreed += votes[1] >= 3 and published.other_label[row] in said
    found = known.coincidence(pair)
    assert (found.suspects, found.asked, found.disputed, found.agreed) == (suspects, asked, disputed, agreed)
    assert (found.low, found.high) == pytest.approx(proportion_confint(disputed, asked, method="wilson"))
    assert (found.all_asked, found.all_disputed) == (2235, 585)
    assert found.disputed / found.asked > found.all_disputed / found.all_asked


def test_of_other_images_only_exact_copies_are_known():
    runs = [made_run(100, 400, model=model) for model in ("cnn", "resnet18")]
    ids = runs[1].train_neighbor_ids.copy()
    ids[[3, 7], [4, 0]] = runs[1].sample_ids[[3, 7]]
    ids[4, 0] = runs[1].sample_ids[5]  # another image's bytes
    runs[1] = replace(runs[1], train_neighbor_ids=ids, train_neighbor_cosine=runs[1].train_neighbor_cosine * 0 + 1)
    assert np.flatnonzero(known.duplicates(runs) == "exact").tolist() == [3, 7]
    assert not known.judged(runs[0]) and known.people(runs[0]) is None and known.coincidence(runs) is None
    found = known.repeats(runs, 1)
    assert found["what"].tolist() == ["all images", "without exact duplicates"] and found["images"].tolist() == [
        400,
        398,
    ]
    (note,) = known.notes(runs, 1)
    keep = ~np.isin(np.arange(400), [3, 7])
    a, b = (run.correct[keep].mean() for run in runs)
    assert note == (
        "2 test images are exact copies of training images (train-test duplicates); without them accuracy is "
        f"{a:.4f} (A) and {b:.4f} (B), B − A {100 * (b - a):+.2f} points."
    )
    assert known.notes([made_run(10, 100)] * 2, 1) == []


def test_duplicates_of_the_official_images_need_no_labels_and_no_features():
    """A model of the twenty superclasses: the labels are others', the pictures are not."""
    published = known_images()
    rows = np.flatnonzero(published.duplicate)[:40]
    run = replace(made_run(20, 40, neighbors=False), sample_ids=published.sample_ids[rows])
    kinds = np.array(["", "exact", "near", "similar"])[published.duplicate[rows]]
    np.testing.assert_array_equal(known.duplicates([run]), kinds)
    assert known.judged(run) and known.people(run) is None


def test_one_image_and_every_image():
    published = known_images()
    near, disputed = np.flatnonzero(published.duplicate == 2)[0], np.flatnonzero(published.disputed)[0]
    plain = np.flatnonzero((published.duplicate == 0) & ~published.disputed)[:3]

    def of(rows):
        logits = np.eye(100, dtype=np.float16)[published.labels[rows]]
        ids, labels = published.sample_ids[rows], published.labels[rows]
        run = replace(made_run(100, len(rows)), sample_ids=ids, labels=labels, logits=logits)
        return replace(run, class_names=np.array(CLASS_NAMES), superclass_names=None, superclass_of=None)

    one = known.notes([of(np.r_[near, disputed, plain])] * 2, 1)
    assert one == [
        f"{what}; without it accuracy is 1.0000 (A) and 1.0000 (B), B − A +0.00 points."
        for what in (
            "1 test image is an exact or near duplicate of a training image (Barz and Denzler, 2020)",
            "1 label is disputed: fewer than three of five people confirm it (Northcutt et al., 2021)",
        )
    ]
    all_near = known.notes([of(np.flatnonzero(published.duplicate == 2)[:5])] * 2, 1)
    assert all_near[0].endswith("(Barz and Denzler, 2020); these are all there are.")
    assert known.repeats([of(plain)] * 2, 1)["what"].tolist() == ["all images"]
