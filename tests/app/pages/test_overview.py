"""The overview over made run files: its numbers are those of the runs, and what is missing is named."""

from dataclasses import replace

import numpy as np
import pytest
from made import made_run
from pages import run, text, two_models, write

from cifarcore.app import catalog
from cifarcore.app.pages import overview
from cifarcore.evidence import comparison, groups
from cifarcore.reports.result import first_two
from cifarcore.runs.run import Run, save_run


def test_missing_arrays_name_the_command_that_adds_them(folder):
    write(folder, *two_models(history=False, superclasses=False))
    assert "cifarcore evaluate" in text(run(folder, "overview", **{"learning-curves-open": True}))
    assert "superclass" in text(run(folder, "overview"))


def test_the_seeds_that_the_outcomes_are_counted_by_are_said_once(folder):
    write(folder, *two_models(seeds=(0, 1)))
    said = text(run(folder, "overview"))
    assert said.count("(seed 0 of each)") == 1 and "newly wrong" not in said  # the bar has the one legend


def test_overview_shows_the_numbers_of_the_runs(folder):
    runs = two_models(seeds=(0, 1, 2))
    write(folder, *runs)
    table = run(folder, "overview", **{"metrics-open": True}).dataframe[0].value.set_index("Metric")
    accuracy = [np.mean(run.logits.argmax(1) == run.labels) for run in runs]
    a, b = np.array(accuracy[:3]), np.array(accuracy[3:])
    assert table.loc["Accuracy", "A"] == f"{a.mean():.4f} ± {a.std(ddof=1):.4f}"
    assert table.loc["Accuracy", "B"] == f"{b.mean():.4f} ± {b.std(ddof=1):.4f}"
    assert table.loc["Accuracy", "B − A"] == f"{b.mean() - a.mean():+.4f}"


def test_files_that_change_names_change_sides_in_the_verdict(folder):
    for one, name in zip(two_models(), ("old", "new"), strict=True):
        nameless = {key: value for key, value in one.meta.items() if key not in ("model", "preset", "seed")}
        save_run(replace(one, meta=nameless | {"imported": {"file": name}}), folder / f"{name}.npz")
    assert run(folder, "overview", {"A": "new", "B": "old"}).title[0].value.startswith("new beats old")
    (folder / "old.npz").rename(folder / "it.npz")
    (folder / "new.npz").rename(folder / "old.npz")
    (folder / "it.npz").rename(folder / "new.npz")
    app = run(folder, "overview", {"A": "old", "B": "new"})
    assert app.title[0].value.startswith("old beats new")
    assert "new \\(B\\) correctly classifies 50.00%" in text(app)


def _nobodys(**options):
    """Runs of three models that name no test set."""
    runs = [*two_models(**options), made_run(model="vit", accuracy=0.65, **options)]
    return [replace(one, meta={key: value for key, value in one.meta.items() if key != "dataset"}) for one in runs]


def test_a_third_model_of_half_the_images_is_left_out_of_the_ranking(folder):
    *both, third = _nobodys(maps=False, neighbors=False, val=False)
    other = np.where(np.arange(third.n_images) < 250, third.sample_ids + np.uint64(1), third.sample_ids)
    write(folder, *both, replace(third, sample_ids=other))
    app = run(folder, "overview", {"ranking-open": "true", "all-pairs": "true"})
    assert "lists those that can be compared" in text(app)
    assert "Left out, because their images or classes differ or two of their seeds are one run: 1." in text(app)


def _classes_turned(run):
    """The same run, its classes in another order, and a fingerprint of these."""
    options = {"class_names": run.class_names[::-1], "sample_ids": run.sample_ids, "model": run.meta["model"]}
    return Run.from_predictions(run.logits[:, ::-1], run.n_classes - 1 - run.labels, **options)


def test_models_whose_classes_are_in_another_order_are_ranked_as_the_report_ranks_them(folder):
    plain = dict.fromkeys(("maps", "neighbors", "val", "history", "superclasses"), False)
    runs = [*two_models(**plain), made_run(model="vit", accuracy=0.65, **plain)]
    files = {one.group: one for one in (*runs[:2], _classes_turned(runs[2]))}
    moved = replace(runs[0], sample_ids=runs[0].sample_ids + np.uint64(1))
    files["pictures-of-others"] = replace(_classes_turned(moved), meta=_classes_turned(moved).meta | {"model": "moved"})
    for name, one in files.items():
        save_run(one, folder / f"{name}.npz")
    ranked = [each["model"] for each in first_two([*files.values()]).to_dict()["models"]["ranked"]]
    assert ranked == ["resnet18-made", "vit", "cnn-made"]
    for first in ("resnet18-made", "vit"):
        app = run(folder, "overview", {"A": first, "ranking-open": "true"})
        box = next(each for each in app.expander if each.label == "All 3 models ranked")
        assert box.dataframe[0].value["Model"].tolist() == ranked, first
        assert "two of their seeds are one run: 1." in text(app) and "lists those that can" not in text(app)


def test_a_copy_in_another_order_is_no_second_seed_in_the_ranking(folder):
    *both, third = _nobodys(maps=False, neighbors=False, val=False)
    order = np.random.default_rng(0).permutation(third.n_images)
    arrays = {name: getattr(third, name)[order] for name in ("sample_ids", "labels", "logits")}
    write(folder, *both, third, replace(third, **arrays, meta=third.meta | {"seed": 1}))
    app = run(folder, "overview", {"ranking-open": "true"})
    assert "lists those that can be compared" in text(app)
    assert "two of their seeds are one run: 1." in text(app)


@pytest.mark.parametrize("without", ["A", "AB"])
def test_a_run_without_validation_split_has_no_learning_curve_and_says_so(folder, without):
    for letter, one in zip("AB", two_models(), strict=True):
        if letter in without:
            unknown = one.history | {"val_accuracy": np.full_like(one.history["val_accuracy"], np.nan)}
            one = replace(one, history=unknown, val_sample_ids=None, val_labels=None, val_logits=None)
        write(folder, one)
    said = text(run(folder, "overview", **{"learning-curves-open": True}))
    assert ("These runs have no validation accuracy" in said) == (without == "AB")
    assert ("cnn\\-made has no validation accuracy" in said) == (without == "A")


def test_what_is_read_ahead_is_neither_read_nor_compared_again(folder, monkeypatch):
    write(folder, *two_models(seeds=(0, 1)), made_run(model="vit", accuracy=0.66))
    overview.read_ahead(folder.parent)
    for module, name in ((catalog, "load_run"), (comparison, "on_shared_images"), (groups, "pairs_of")):
        monkeypatch.setattr(module, name, lambda *_: pytest.fail("again"))
    page = run(folder, "overview")
    assert "beats" in page.title[0].value and "All 3 models" in text(page)
