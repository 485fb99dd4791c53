"""Every page over made run files: it runs without an exception, and says what is missing where something is."""

import re
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from made import made_run, of_cifar100
from pages import PAGES, TIMEOUT, run, text, two_models, write
from streamlit.testing.v1 import AppTest

from cifarcore.app import main
from cifarcore.runs.run import save_run


def test_the_app_itself_runs(folder, monkeypatch):
    write(folder, *two_models())
    monkeypatch.setenv("CIFARCORE_RUNS", str(folder))
    app = AppTest.from_file(str(Path(__file__).parents[2] / "streamlit_app.py"), default_timeout=TIMEOUT).run()
    assert not app.exception and "cnn-made" in app.selectbox(key="A").options


@pytest.mark.parametrize("variable", ["CIFARCORE_RUNS", "CIFARCORE_DATA"])
def test_a_folder_below_no_ones_home_is_said(folder, monkeypatch, variable):
    write(folder, *two_models())
    monkeypatch.setenv("CIFARCORE_RUNS", str(folder))
    monkeypatch.setenv(variable, "~nosuch/runs")
    app = AppTest.from_file(str(Path(__file__).parents[2] / "streamlit_app.py"), default_timeout=TIMEOUT).run()
    assert not app.exception and "there is no such user's home folder" in app.error[0].value


@pytest.mark.parametrize("page", PAGES)
def test_each_page_over_three_seeds(folder, page):
    write(folder, *two_models(seeds=(0, 1, 2)))
    run(folder, page)


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize(
    "options",
    [
        {"maps": False, "neighbors": False, "history": False, "val": False},
        {"superclasses": False},
    ],
    ids=["nothing optional", "no superclasses"],
)
def test_each_page_over_partial_runs(folder, page, options):
    write(folder, *two_models(**options))
    run(folder, page)


@pytest.mark.parametrize("page", PAGES)
def test_no_run_files(folder, page):
    assert "cifarcore train" in text(run(folder, page))


@pytest.mark.parametrize("page", PAGES)
def test_one_model_alone(folder, page):
    write(folder, made_run())
    assert "same run" in text(run(folder, page))


def test_the_place_of_the_pictures_says_how_to_get_them(folder):
    write(folder, *two_models())
    assert "--images FOLDER" in text(run(folder, "classes")) and "cifarcore data" not in text(run(folder, "classes"))
    write(folder, *map(of_cifar100, two_models(n_classes=100)))
    assert "cifarcore data" in text(run(folder, "classes"))


def test_small_data_without_superclasses_shows_what_it_has(folder):
    def imported(run):
        return replace(run, meta={"imported": {}, "seed": 0, "scores": "logits"})

    options = {"n_classes": 3, "n_images": 60, "superclasses": False, "neighbors": False, "history": False}
    (folder / "imported").mkdir()
    for name, one in zip("ab", two_models(**options), strict=True):
        save_run(imported(one), folder / "imported" / f"{name}.npz")
    query = {"A": "imported/a", "B": "imported/nope"}
    app = run(folder, "overview", query, **{"metrics-open": True})
    metrics = app.dataframe[0].value["Metric"].tolist()
    assert "Accuracy" in metrics and not {"Top-5 accuracy", "Superclass accuracy"} & set(metrics)
    written = re.sub(r"\(classes\?\S*\)", "", text(app)).replace("seeds and", "")  # without the links' addresses
    assert "seed" not in written and "imported/nope was not found; showing" in text(app)
    shown = text(run(folder, "findings", query))
    assert "Nothing to replicate on these images" in shown and "report" not in shown and "claim" not in shown
    assert "imported predictions do not hold" in text(run(folder, "disagreements", group="train-test duplicates"))


@pytest.mark.parametrize("page", PAGES)
def test_names_that_are_alike_once_shortened_stay_apart(folder, page):
    long = np.array([f"{'a name longer than any chart ' * 4}{letter}" for letter in "abcdefghij"])
    write(
        folder, *(replace(one, class_names=long, superclass_names=np.array([long[0], long[1]])) for one in two_models())
    )
    app = run(folder, page, {"level": "classes"} if page == "confusion" else None)
    if page == "classes":
        assert len(set(app.selectbox(key="class").options)) == 10


@pytest.mark.parametrize(
    ("page", "query"),
    [
        ("classes", {"order": ""}),
        ("confusion", {"show": "", "level": "", "truesuper": "fish", "predictedsuper": "fish"}),
        ("disagreements", {"group": ""}),
        ("explorer", {"map": "", "list": ""}),
        ("roc", {"apart": "", "pairs": "", "flips": ""}),
    ],
)
def test_an_address_that_leaves_a_choice_empty_means_the_first(folder, page, query):
    write(folder, *two_models())
    assert text(run(folder, page, query)) == text(run(folder, page, {key: query[key] for key in query if query[key]}))


@pytest.mark.parametrize("page", ["overview", "explorer", "retrained", "findings"])
def test_a_file_that_says_nothing_under_its_headings_is_shown(folder, page):
    for one in two_models():
        nothing = dict.fromkeys(("config", "dataset", "versions", "maps", "parent", "retraining", "training_data"))
        write(folder, replace(one, meta=one.meta | nothing))
    run(folder, page)


def test_what_old_sessions_left_is_collected_in_a_pause(monkeypatch):
    """A collection holds up every script, and a reader who goes from page to page began the session a moment ago."""
    clock, collected = SimpleNamespace(now=100.0), []

    def sleep(seconds):
        clock.now += seconds
        if clock.now < 108:  # a script each time
            main._ran = clock.now

    monkeypatch.setattr(main, "_ran", 99.9)
    monkeypatch.setattr(main, "time", SimpleNamespace(monotonic=lambda: clock.now, sleep=sleep))
    monkeypatch.setattr(main, "gc", SimpleNamespace(collect=lambda: collected.append(clock.now)))
    main._collect_in_a_pause()
    assert collected == [pytest.approx(108 + main._PAUSE_SECONDS, abs=0.3)]


def test_it_is_collected_though_there_is_no_pause(monkeypatch):
    clock, collected = SimpleNamespace(now=100.0), []

    def sleep(seconds):
        clock.now = main._ran = clock.now + seconds

    monkeypatch.setattr(main, "_ran", 100.0)
    monkeypatch.setattr(main, "time", SimpleNamespace(monotonic=lambda: clock.now, sleep=sleep))
    monkeypatch.setattr(main, "gc", SimpleNamespace(collect=lambda: collected.append(clock.now)))
    main._collect_in_a_pause()
    assert collected == [pytest.approx(100 + main._MOST_SECONDS, abs=0.3)]
