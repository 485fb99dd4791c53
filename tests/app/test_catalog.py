"""Which run files the app finds, which two it compares before anybody chose, and that both are of the same images."""

from dataclasses import replace

import numpy as np
import pytest
from made import classes_only, made_run

from cifarcore import Run
from cifarcore.app.catalog import find_runs, load_sides
from cifarcore.app.parts.retraining import choice_of
from cifarcore.data.ids import fingerprint
from cifarcore.errors import CifarcoreError
from cifarcore.runs.alignment import align
from cifarcore.runs.layout import RunFileError
from cifarcore.runs.run import load_run, save_run


def write(folder, *runs):
    for run in runs:
        save_run(run, folder / f"{run.group}-{run.meta['seed']}.npz")


def sides(folder, a="cnn-made", b="resnet18-made"):
    catalog = find_runs(folder)
    return load_sides(catalog.groups[a], catalog.groups[b], (a, b))


def test_runs_are_grouped_by_model_and_preset_in_the_order_of_their_seeds(tmp_path):
    write(tmp_path, *(made_run(seed=seed) for seed in (2, 0, 1)), made_run(model="resnet18"))
    catalog = find_runs(tmp_path)
    assert {name: [header.seed for header in headers] for name, headers in catalog.groups.items()} == {
        "cnn-made": [0, 1, 2],
        "resnet18-made": [0],
    }
    assert catalog.seeds("cnn-made") == ("all seeds", "seed 0", "seed 1", "seed 2")
    assert catalog.seeds("resnet18-made") == ("seed 0",)
    assert [header.seed for header in catalog.chosen("cnn-made", "seed 2")] == [2]


def test_retrained_and_imported_runs_stand_for_themselves(tmp_path):
    write(tmp_path, made_run())
    save_run(made_run(seed=0), tmp_path / "retrained" / "again.npz")
    save_run(made_run(seed=0), tmp_path / "imported" / "theirs.npz")
    assert list(find_runs(tmp_path).groups) == ["cnn-made", "retrained/again", "imported/theirs"]


def test_seeds_of_an_imported_model_are_one_group(tmp_path):
    for seed in (0, 1):
        save_run(made_run(seed=seed, model="vit b/16", preset=""), tmp_path / "imported" / f"vit-b-16-{seed}.npz")
    save_run(made_run(seed=0), tmp_path / "imported" / "cnn-made-0.npz")
    catalog = find_runs(tmp_path)
    assert {name: len(headers) for name, headers in catalog.groups.items()} == {
        "imported/cnn-made": 1,
        "imported/vit b/16": 2,
    }


def test_a_second_file_of_one_seed_is_not_mixed_into_the_mean(tmp_path):
    write(tmp_path, made_run())
    save_run(made_run(), tmp_path / "copy.npz")
    assert {name: len(headers) for name, headers in find_runs(tmp_path).groups.items()} == {
        "cnn-made": 1,
        "copy": 1,
    }


def test_no_name_of_a_file_makes_it_a_seed_of_a_model(tmp_path):
    """Someone's file named as a model, and a model and preset that read like another's, stand apart and are found."""
    write(tmp_path, *(made_run(seed=seed) for seed in (0, 1)))
    nameless = replace(made_run(seed=5), meta={"seed": 5})
    save_run(nameless, tmp_path / "cnn-made.npz")
    save_run(made_run(seed=3, model="cnn-made", preset=""), tmp_path / "another.npz")
    taken = made_run(seed=4)
    save_run(replace(taken, meta=taken.meta | {"imported": {}}), tmp_path / "theirs.npz")
    for seed in (0, 1):
        save_run(made_run(seed=seed, model="vit", preset=""), tmp_path / "imported" / f"vit-{seed}.npz")
    save_run(replace(nameless, meta={"seed": 7}), tmp_path / "imported" / "vit.npz")
    save_run(made_run(seed=8, model="retrained/again", preset=""), tmp_path / "slash.npz")
    save_run(made_run(seed=9), tmp_path / "retrained" / "again.npz")
    catalog = find_runs(tmp_path)
    assert {name: [header.seed for header in headers] for name, headers in catalog.groups.items()} == {
        "cnn-made (another)": [3],
        "cnn-made": [0, 1],
        "cnn-made.npz": [5],
        "retrained/again": [8],
        "cnn-made (theirs)": [4],
        "retrained/again.npz": [9],
        "imported/vit": [0, 1],
        "imported/vit.npz": [7],
    }
    assert set(catalog.defaults()) == {"cnn-made", "cnn-made (another)"} and not catalog.alone
    assert choice_of(tmp_path, "again")["B"] == "retrained/again.npz"


def test_a_seed_that_is_there_twice_is_said(tmp_path):
    write(tmp_path, made_run())
    save_run(made_run(), tmp_path / "copy.npz")
    assert find_runs(tmp_path).alone == {
        "copy.npz": "seed 0 of cnn-made is in cnn-made-0.npz already; it is listed as a model of its own"
    }


def test_a_run_saved_again_under_another_seed_is_no_second_seed(tmp_path):
    first = made_run(seed=3)
    save_run(first, tmp_path / "cnn-made-3.npz")
    save_run(replace(first, meta=first.meta | {"seed": 4, "epochs": 1}), tmp_path / "cnn-made-4.npz")
    catalog = find_runs(tmp_path)
    assert catalog.alone == {
        "cnn-made-4.npz": "the same scores are in cnn-made-3.npz already; it is listed as a model of its own"
    }
    assert {name: [each.seed for each in of] for name, of in catalog.groups.items()} == {
        "cnn-made": [3], "cnn-made-4": [4],
    }  # fmt: skip
    turned = first.take(np.arange(first.n_images)[::-1])  # rows in another order are found when they are read
    save_run(replace(turned, meta=first.meta | {"seed": 5}), tmp_path / "cnn-made-5.npz")
    catalog = find_runs(tmp_path)
    assert [each.seed for each in catalog.groups["cnn-made"]] == [3, 5]
    with pytest.raises(CifarcoreError, match="cnn-made-3 and cnn-made-5 are one and the same run, not two seeds"):
        load_sides(catalog.groups["cnn-made"], catalog.groups["cnn-made-4"], ("a", "b"))
    classes = [replace(classes_only(first), meta=classes_only(first).meta | {"seed": seed}) for seed in (0, 1)]
    write(tmp_path, *classes)  # may agree by chance; what is compared is asked then
    assert len(find_runs(tmp_path).groups["cnn-classes"]) == 2


def test_files_that_are_no_run_files_are_listed_with_one_line(tmp_path):
    write(tmp_path, made_run())
    (tmp_path / "broken.npz").write_bytes(b"no zip")
    np.savez(tmp_path / "other.npz", x=np.zeros(3))
    np.savez(tmp_path / "cnn-made-0.features.npz", x=np.zeros(3))
    catalog = find_runs(tmp_path)
    assert list(catalog.groups) == ["cnn-made"]
    assert set(catalog.refused) == {"broken.npz", "other.npz"}
    assert all(reason and "\n" not in reason and str(tmp_path) not in reason for reason in catalog.refused.values())


@pytest.mark.parametrize(
    ("groups", "expected"),
    [
        ([("resnet18", "quick"), ("cnn", "quick")], ("cnn-quick", "resnet18-quick")),
        (
            [("resnet18", "quick"), ("cnn", "quick"), ("cnn", "best"), ("resnet18", "best")],
            ("cnn-best", "resnet18-best"),
        ),
        ([("cnn", "quick"), ("cnn", "report")], ("cnn-report", "cnn-quick")),
        ([("vit", "own"), ("mlp", "own")], ("mlp-own", "vit-own")),
        ([("cnn", "quick")], ("cnn-quick", "cnn-quick")),
    ],
)
def test_defaults(tmp_path, groups, expected):
    write(tmp_path, *(made_run(3, 30, model=model, preset=preset) for model, preset in groups))
    assert find_runs(tmp_path).defaults() == expected


def other_images(run, name, **changes):
    """The same predictions, of other pictures."""
    ids = run.sample_ids + np.uint64(1)
    meta = run.meta | {"dataset": {"name": name, "fingerprint": fingerprint(ids, run.labels)}}
    return replace(run, sample_ids=ids, meta=meta, **changes)


def without_names(run):
    """As a file of the five required arrays says nothing of its test set."""
    return replace(run, meta={key: value for key, value in run.meta.items() if key != "dataset"})


def test_no_default_pair_shares_no_image(tmp_path):
    cnn, resnet, vit = (made_run(3, 30, model=model) for model in ("cnn", "resnet18", "vit"))
    for number, (runs, expected) in enumerate(
        (
            ([cnn, other_images(resnet, "birds"), other_images(vit, "birds")], ("resnet18-made", "vit-made")),
            ([cnn, other_images(resnet, "birds")], ("cnn-made", "cnn-made")),
            ([without_names(cnn), without_names(other_images(resnet, ""))], ("cnn-made", "cnn-made")),
            ([without_names(run) for run in (cnn, other_images(resnet, ""), vit)], ("cnn-made", "vit-made")),
            ([cnn, resnet.take(np.arange(20))], ("cnn-made", "resnet18-made")),
            ([cnn, made_run(4, 30, model="resnet18")], ("cnn-made", "cnn-made")),
        )
    ):
        folder = tmp_path / str(number)
        folder.mkdir()
        write(folder, *runs)
        assert find_runs(folder).defaults() == expected, number


def test_rows_of_both_sides_are_the_same_images_whatever_their_order(tmp_path):
    a, b = made_run(), made_run(model="resnet18")
    shuffled = b.take(np.random.default_rng(0).permutation(b.n_images))
    write(tmp_path, a, shuffled, made_run(seed=1))
    left, right, only = sides(tmp_path)
    assert only == (0, 0, 0)
    assert len(left.runs) == 2
    for run in (*left.runs, *right.runs):
        np.testing.assert_array_equal(run.sample_ids, a.sample_ids)
        np.testing.assert_array_equal(run.labels, a.labels)
    np.testing.assert_array_equal(right.first.logits, b.logits)


def test_a_partial_overlap_leaves_the_shared_images_and_is_counted(tmp_path):
    a, b, second = made_run(), made_run(model="resnet18"), made_run(seed=1)
    write(tmp_path, a.take(np.arange(0, 400)), second.take(np.arange(50, 500)), b.take(np.arange(100, 500)))
    left, right, only = sides(tmp_path)
    assert only == (100, 100, 0)
    for run in (*left.runs, *right.runs):
        np.testing.assert_array_equal(run.sample_ids, a.sample_ids[100:400])
    assert left.first.digest != load_run(tmp_path / "cnn-made-0.npz").digest


def test_other_classes_are_refused(tmp_path):
    b = made_run(model="resnet18")
    write(tmp_path, made_run(), replace(b, class_names=np.array([f"thing {i}" for i in range(10)])))
    with pytest.raises(RunFileError, match="different classes"):
        sides(tmp_path)


def test_wrong_in_counts_the_seeds(tmp_path):
    runs = [made_run(seed=seed) for seed in (0, 1, 2)]
    write(tmp_path, *runs, made_run(model="resnet18"))
    left, _, _ = sides(tmp_path)
    expected = sum((run.logits.argmax(1) != run.labels).astype(int) for run in runs)
    np.testing.assert_array_equal(left.wrong_in, expected)
    assert left.seeds == "mean of seeds 0, 1, 2"


def other(model, n_classes=10, n_images=200):
    """A run on other images, as it is imported."""
    made = made_run(n_classes, n_images, model=model)
    return Run.from_predictions(
        made.logits, made.labels, class_names=[f"thing {c}" for c in range(n_classes)],
        sample_ids=np.arange(n_images) + 1, model=model, meta={"dataset": {"name": "tiny", "fingerprint": "f" * 32}},
    )  # fmt: skip


def written(folder, *runs):
    for run in runs:
        save_run(run, folder / f"{run.group}-0.npz")
    return find_runs(folder)


@pytest.mark.parametrize("n_images", [200, 300])
def test_the_default_pair_shares_images(tmp_path, n_images):
    catalog = written(tmp_path, made_run(10, 200), other("resnet18", n_images=n_images), made_run(10, 200, model="vit"))
    assert catalog.defaults() == ("cnn-made", "vit-made")
    a, b = (made_run(10, 200, model=model) for model in ("cnn", "vit"))
    assert len(align(a, b).a.labels) == 200


def test_models_of_other_classes_are_no_pair(tmp_path):
    catalog = written(tmp_path, made_run(10, 200), other("resnet18", 20), other("vit", 20))
    assert catalog.defaults() == ("resnet18", "vit")  # nothing fits the CNN
    catalog = written(tmp_path, made_run(10, 200, model="vit2"))
    assert catalog.defaults() == ("cnn-made", "vit2-made")


def test_a_part_of_a_test_set_is_one_that_shares_images(tmp_path):
    part = made_run(10, 200, model="resnet18").take(np.arange(50))
    part = Run.from_predictions(
        part.logits, part.labels, class_names=part.class_names, sample_ids=part.sample_ids, model="resnet18",
        meta={"dataset": {"name": "made-up images", "fingerprint": "e" * 32}},
    )  # fmt: skip
    assert written(tmp_path, made_run(10, 200), part).defaults() == ("cnn-made", "resnet18")


def test_a_link_to_nothing_is_refused_without_the_servers_folders(tmp_path):
    (tmp_path / "gone.npz").symlink_to(tmp_path / "nowhere.npz")
    assert find_runs(tmp_path).refused == {"gone.npz": "No such file or directory"}
