"""The page of a retraining: what it changed, on which pictures, and what is done with it."""

import shutil
from dataclasses import replace

import numpy as np
import pytest
from made import made_run
from pages import text
from retrainings import labels, retrained, run, with_weights
from sklearn.metrics import accuracy_score, f1_score

from cifarcore.app.pages import retrained as retrained_page
from cifarcore.app.parts import retraining_seeds
from cifarcore.files import version
from cifarcore.retraining import folders, repeats
from cifarcore.runs.run import load_run, save_run


@pytest.fixture
def folder(folder, monkeypatch):
    return with_weights(folder, monkeypatch)


def test_the_page_shows_what_changed_and_which_pictures(folder):
    retrained(folder)
    app = run(folder, A="cnn-quick", B="retrained/minute")
    said = text(app.main)
    assert (
        "Retrained: minute" in said
        and "never chosen on the test images" in said
        and "31,500 images (0.7 epochs)" in said
    )
    before, after = made_run(model="cnn", preset="quick"), made_run(model="cnn", preset="quick-retrained", accuracy=0.7)
    for title, count in (
        ("Newly right", (~before.correct & after.correct).sum()),
        ("Newly wrong", (before.correct & ~after.correct).sum()),
    ):
        assert any(title in line and f"**{count:,}**" in line for line in said.splitlines())
    title = app.title[0].value
    assert "retrained/minute raises mean F1 of the focus classes by" in title and " and raises accuracy by" in title


def test_before_and_after_are_those_of_scikit_learn(folder):
    retrained(folder)
    app = run(folder, A="cnn-quick", B="retrained/minute")
    table, said = app.dataframe[0].value.set_index("Measure"), text(app.main)
    one, other = made_run(model="cnn", preset="quick"), made_run(model="cnn", preset="quick-retrained", accuracy=0.7)
    f1 = [f1_score(each.labels, each.predictions, average=None)[:3].mean() for each in (one, other)]
    accuracy = [accuracy_score(each.labels, each.predictions) for each in (one, other)]
    for measure, (before, after) in (("Mean F1 of the focus classes", f1), ("Accuracy", accuracy)):
        row = table.loc[measure]
        assert (row["Before (A)"], row["After (B)"]) == (f"{before:.4f}", f"{after:.4f}")
        change = f"{after - before:+.4f}".replace("-", "−")
        assert row["B − A"] == change and f"{measure}: {before:.4f} before, {after:.4f} after ({change}," in said


def test_what_was_left_out_is_said(folder):
    path = folders.retrained_path(retrained(folder))
    assert "Left out" not in text(run(folder, A="cnn-quick", B="retrained/minute").main)
    made = load_run(path)
    record = made.meta["retraining"]
    record = record | {"settings": record["settings"] | {"leave_out_duplicates": True}, "left_out": 1234}
    save_run(replace(made, meta=made.meta | {"retraining": record}), path)
    said = text(run(folder, A="cnn-quick", B="retrained/minute").main)
    assert "Left out of what it learned: 1,234 training images" in said


def test_what_the_class_filter_acts_on_is_said(folder):
    retrained(folder)
    assert "The filter keeps" not in text(run(folder, A="cnn-quick", B="retrained/minute").main)
    said = text(run(folder, A="cnn-quick", B="retrained/minute", hardest=3).main)
    assert "The filter keeps 3 of 10 classes: " in said and " the pictures below are of these classes only" in said


def test_other_seeds_are_shown_with_their_mean_and_more_can_be_asked_for(folder, monkeypatch):
    asked = []
    monkeypatch.setattr(repeats, "start", lambda *arguments: asked.append(arguments))
    retrained(folder)
    app = run(folder, A="cnn-quick", B="retrained/minute")
    assert "One seed cannot distinguish a real gain from chance" in text(app.main)
    for seed in (1, 2):
        retrained(folder, f"minute-seed{seed}", seed=seed, accuracy=0.7 + seed / 100)
    retrained(folder, "other", seed=3, seconds=20.0)  # another retraining, no seed of this one
    app = run(folder, A="cnn-quick", B="retrained/minute")
    assert "The mean of 3 seeds raises mean F1 of the focus classes by" in text(app.main)
    table = app.dataframe[0].value
    assert table["Run"].tolist()[:3] == ["minute", "minute-seed1", "minute-seed2"] and "±" in table.iloc[3, 2]
    assert "images that all runs share" not in text(app.main)
    app.button(key="retrained-repeat").click().run()
    assert asked == [(folder, "minute", (3, 4))]


def test_it_is_said_that_another_seed_holds_only_a_part_of_the_images(folder):
    retrained(folder)
    path = folders.retrained_path(retrained(folder, "minute-seed1", seed=1))
    save_run(load_run(path).take(np.arange(100)), path)
    said = text(run(folder, A="cnn-quick", B="retrained/minute").main)
    assert "Only the 100 images that all runs share are compared; up to 400 of a run are left out" in said.replace(
        "\\", ""
    )


def test_files_that_are_deleted_while_the_page_is_drawn_leave_the_rest_of_it(folder, monkeypatch):
    """Of the parent and of another seed; Windows may refuse to read them, and tidy programs take them away."""
    retrained(folder)
    other = folder / "retrained" / "minute-seed1.npz"
    retrained(folder, "minute-seed1", seed=1)
    run(folder, A="cnn-quick", B="retrained/minute")

    def gone(path):
        if path in (other, folder / "cnn-quick-0.npz"):
            raise FileNotFoundError(2, "No such file or directory", str(path))
        return version(path)

    monkeypatch.setattr(retraining_seeds, "version", gone)
    monkeypatch.setattr(retrained_page, "version", gone)
    said = text(run(folder, A="cnn-quick", B="retrained/minute").main)
    assert "No such file or directory" in said and "has changed since the retraining" in said
    assert "Keep this run" in said


def test_without_its_settings_a_run_is_not_repeated(folder):
    shutil.rmtree(retrained(folder))
    app = run(folder, A="cnn-quick", B="retrained/minute")
    assert "cannot be repeated here" in text(app.main)
    assert not any(button.key == "retrained-repeat" for button in app.button)


def test_a_name_that_is_taken_is_refused(folder):
    retrained(folder)
    retrained(folder, "hour")
    app = run(folder, A="cnn-quick", B="retrained/minute")
    app.text_input(key="retrained-name-minute").set_value("hour").run()
    app.button(key="retrained-keep").click().run()
    assert "that name is taken; choose another" in text(app.main) and app.session_state["B"] == "retrained/minute"


def test_a_change_within_noise_is_said(folder):
    retrained(folder, accuracy=0.602)
    app = run(folder, A="cnn-quick", B="retrained/minute")
    assert app.title[0].value.startswith(
        "No significant difference in mean F1 of the focus classes or accuracy between"
    )
    assert text(app.main).count("; not significant)") == 2


def test_the_pair_from_before_is_a_click_away(folder):
    retrained(folder)
    app = run(folder, A="resnet18-quick", B="cnn-quick")
    next(button for button in app.button if button.label == "minute").click().run()
    assert app.session_state["B"] == "retrained/minute" and app.session_state["A"] == "cnn-quick"
    app.button(key="retrained-back").click().run()
    assert (app.session_state["A"], app.session_state["B"]) == ("resnet18-quick", "cnn-quick")


def test_each_focus_class_is_drawn_before_and_after(folder):
    retrained(folder)
    app = run(folder, A="cnn-quick", B="retrained/minute")
    (chart,) = app.get("vega_lite_chart")
    assert "F1 of each class" in chart.proto.spec
    names = [name.replace("_", " ") for name in made_run().class_names[:3].tolist()]
    assert all(f'"{name}"' in chart.proto.spec for name in names), chart.proto.spec


def test_another_model_than_the_parent_is_told_and_mended_by_a_button(folder):
    retrained(folder)
    app = run(folder, A="resnet18-quick", B="retrained/minute")
    assert "not the parent" in text(app.main)
    next(button for button in app.button if button.label == "Compare with the parent").click().run()
    assert app.session_state["A"] == "cnn-quick" and "not the parent" not in text(app.main)


def test_without_a_retrained_run_the_page_says_how_to_get_one(folder):
    assert "“Short retraining” in the sidebar starts one" in text(run(folder).main)
    retrained(folder)
    app = run(folder)
    next(button for button in app.button if button.label == "minute").click().run()
    assert app.session_state["B"] == "retrained/minute" and "Retrained: minute" in text(app.main)


def test_renamed_and_deleted_from_the_page(folder):
    retrained(folder)
    app = run(folder, A="cnn-quick", B="retrained/minute")
    app.text_input(key="retrained-name-minute").set_value("../away").run()
    app.button(key="retrained-keep").click().run()
    assert "use up to 80 letters" in text(app.main)
    app.text_input(key="retrained-name-minute").set_value("hour").run()
    app.button(key="retrained-keep").click().run()
    assert app.session_state["B"] == "retrained/hour" and sorted(
        path.name for path in (folder / "retrained").iterdir()
    ) == ["hour", "hour.npz", "hour.pt"]
    next(button for button in app.button if button.label == "Delete").click().run()
    assert "Delete it" in labels(app) and (folder / "retrained" / "hour.npz").exists()  # it asks first


def test_a_run_that_took_the_place_of_the_one_shown_is_not_kept_in_its_name(folder):
    """Another tab discarded the run and began anew: the new one got the name that was given to the old."""
    retrained(folder)
    app = run(folder, A="cnn-quick", B="retrained/minute")
    app.text_input(key="retrained-name-minute").set_value("hour").run()
    path = folder / "retrained" / "minute.npz"
    save_run(replace(load_run(path), logits=made_run(accuracy=0.9).logits), path)
    app.button(key="retrained-keep").click().run()
    assert "has changed since it was shown; reload and look again" in text(app)
    assert not (folder / "retrained" / "hour.npz").exists() and not app.exception


def test_a_parent_that_is_gone_is_said(folder):
    retrained(folder, parent="gone")
    app = run(folder, A="resnet18-quick", B="retrained/minute")
    assert "No run of that name is in this folder now" in text(app.main) and "Compare with the parent" not in labels(
        app
    )


def test_the_list_of_retrained_runs_looks_for_no_parent_before_one_is_chosen(folder, monkeypatch):
    """Among hundreds each was looked for in all run files: the page took the square of their number."""
    path = folders.retrained_path(retrained(folder))
    for number in range(3):
        shutil.copy(path, path.with_name(f"other{number}.npz"))
    looked = []
    found = retrained_page.retraining.choice_of
    monkeypatch.setattr(retrained_page.retraining, "choice_of", lambda *of: looked.append(of) or found(*of))
    app = run(folder, A="cnn-quick", B="cnn-quick")
    assert len([button for button in app.button if (button.key or "").startswith("retrained-")]) == 4 and not looked
    app.button(key="retrained-minute").click().run()
    assert not app.exception and len(looked) >= 1 and "Retrained: minute" in text(app.main)
