"""What the app finds, how it brings two sides to the same images, and that names from files stay text."""

from dataclasses import replace

import numpy as np
import pytest
from made import made_run
from sklearn.metrics import f1_score

from cifarcore.app import state
from cifarcore.runs import RunFileError, save_run


def write(folder, *runs):
    for run in runs:
        save_run(run, folder / f"{run.group}-{run.meta['seed']}.npz")


def sides(folder, a="cnn-made", b="resnet18-made"):
    catalog = state.find_runs(folder)
    return state.load_sides(catalog.groups[a], catalog.groups[b], (a, b))


def test_runs_are_grouped_by_model_and_preset_in_the_order_of_their_seeds(tmp_path):
    write(tmp_path, *(made_run(seed=seed) for seed in (2, 0, 1)), made_run(model="resnet18"))
    catalog = state.find_runs(tmp_path)
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
    assert list(state.find_runs(tmp_path).groups) == ["cnn-made", "retrained/again", "imported/theirs"]


def test_seeds_of_an_imported_model_are_one_group(tmp_path):
    for seed in (0, 1):
        save_run(made_run(seed=seed, model="vit b/16", preset=""), tmp_path / "imported" / f"vit-b-16-{seed}.npz")
    save_run(made_run(seed=0), tmp_path / "imported" / "cnn-made-0.npz")
    catalog = state.find_runs(tmp_path)
    assert {name: len(headers) for name, headers in catalog.groups.items()} == {
        "imported/cnn-made": 1,
        "imported/vit b/16": 2,
    }


def test_a_second_file_of_one_seed_is_not_mixed_into_the_mean(tmp_path):
    write(tmp_path, made_run())
    save_run(made_run(), tmp_path / "copy.npz")
    assert {name: len(headers) for name, headers in state.find_runs(tmp_path).groups.items()} == {
        "cnn-made": 1,
        "copy": 1,
    }


def test_files_that_are_no_run_files_are_listed_with_one_line(tmp_path):
    write(tmp_path, made_run())
    (tmp_path / "broken.npz").write_bytes(b"no zip")
    np.savez(tmp_path / "other.npz", x=np.zeros(3))
    np.savez(tmp_path / "cnn-made-0.features.npz", x=np.zeros(3))
    catalog = state.find_runs(tmp_path)
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
    assert state.find_runs(tmp_path).defaults() == expected


def test_the_folder_can_be_named(tmp_path, monkeypatch):
    monkeypatch.delenv("CIFARCORE_RUNS", raising=False)
    assert state.runs_dir(tmp_path) == tmp_path / "checkpoints"
    monkeypatch.setenv("CIFARCORE_RUNS", str(tmp_path / "other"))
    assert state.runs_dir(tmp_path) == tmp_path / "other"


def test_rows_of_both_sides_are_the_same_images_whatever_their_order(tmp_path):
    a, b = made_run(), made_run(model="resnet18")
    shuffled = b.take(np.random.default_rng(0).permutation(b.n_images))
    write(tmp_path, a, shuffled, made_run(seed=1))
    left, right, only = sides(tmp_path)
    assert only == (0, 0)
    assert len(left.runs) == 2
    for run in (*left.runs, *right.runs):
        np.testing.assert_array_equal(run.sample_ids, a.sample_ids)
        np.testing.assert_array_equal(run.labels, a.labels)
    np.testing.assert_array_equal(right.first.logits, b.logits)


def test_a_partial_overlap_leaves_the_shared_images_and_is_counted(tmp_path):
    a, b, second = made_run(), made_run(model="resnet18"), made_run(seed=1)
    write(tmp_path, a.take(np.arange(0, 400)), second.take(np.arange(50, 500)), b.take(np.arange(100, 500)))
    left, right, only = sides(tmp_path)
    assert only == (100, 100)
    for run in (*left.runs, *right.runs):
        np.testing.assert_array_equal(run.sample_ids, a.sample_ids[100:400])
    assert left.first.digest != state.load_run(tmp_path / "cnn-made-0.npz").digest


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


@pytest.mark.parametrize("hardness", state.HARDNESS)
def test_hardest_first_follows_the_mean_over_seeds(tmp_path, hardness):
    runs = {model: [made_run(model=model, seed=seed) for seed in (0, 1)] for model in ("cnn", "resnet18")}
    write(tmp_path, *runs["cnn"], *runs["resnet18"])
    left, right, _ = sides(tmp_path)
    f1 = {
        side: np.mean(
            [f1_score(run.labels, run.predictions, average=None, labels=range(10)) for run in runs[model]], axis=0
        )
        for side, model in (("A", "cnn"), ("B", "resnet18"))
    }
    value = f1.get(hardness, (f1["A"] + f1["B"]) / 2)
    order = state.hardest_first(left, right, hardness, "f1")
    assert sorted(order) == list(range(10))
    assert (np.diff(value[order]) >= -1e-9).all()


def test_memo_computes_once_for_equal_content_and_again_for_other_content():
    calls.clear()
    first, same, other = made_run(), made_run(), made_run(seed=1)
    assert state.memo(counted, first, 1) is state.memo(counted, same, 1)
    state.memo(counted, other, 1)
    state.memo(counted, (first, other), 1)
    state.memo(counted, first, 2)
    assert len(calls) == 4


calls: list = []


def counted(run, number):
    calls.append((run, number))
    return object()


HOSTILE = [
    "<script>alert(1)</script>",
    "[click](javascript:alert(1))",
    "**bold** _it_ `code` $x$ :red[no] # head | cell ~gone~",
    "two\nlines\r\tand\x00more\x1b[31m",
    "\u202eright to left",
    "x" * 10_000,
    "![](http://example.org/a.png)",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_names_stay_text(text):
    line = state.plain(text)
    assert line.isprintable() and len(line) <= 80
    shown = state.escape(text)
    for special in "*_`$:[]()<>#|~!":
        assert shown.count(special) == shown.count(f"\\{special}")
