"""The short retraining in the sidebar and its page, over made run files; the real job is driven in tests/browser."""

import json
import os
from dataclasses import replace

import numpy as np
import pytest
from made import made_run
from sklearn.metrics import accuracy_score, f1_score
from streamlit.testing.v1 import AppTest

from cifarcore import CifarcoreError, jobs, retraining, speeds
from cifarcore.app.retrain_tables import change_table
from cifarcore.config import RetrainConfig
from cifarcore.runs import read_header, save_run

TIMEOUT = 120


@pytest.fixture
def folder(tmp_path, monkeypatch, own_place):
    """The runs of one model with weights, of another without, and no pictures."""
    runs = tmp_path / "checkpoints"
    runs.mkdir()
    monkeypatch.setattr(speeds, "start_measuring", lambda *arguments: None)
    for model in ("cnn", "resnet18"):
        save_run(made_run(model=model, preset="quick"), runs / f"{model}-quick-0.npz")
    (runs / "cnn-quick-0.pt").write_bytes(b"weights")
    return runs


def retrained(folder, name="minute", parent="cnn-quick-0", accuracy=0.7):
    """A run as a retraining leaves it, with the job's folder."""
    job = retraining.create(RetrainConfig(focus="hardest:3"), folder / "cnn-quick-0.npz", folder, name)
    run = made_run(model="cnn", preset="quick-retrained", accuracy=accuracy)
    own = {
        "settings": RetrainConfig(focus="hardest:3").to_dict(),
        "focus": run.class_names[:3].tolist(),
        "passes": 0.7,
        "images": 31500,
        "steps": 492,
        "stopped": False,
    }
    save_run(
        replace(run, meta=run.meta | {"parent": {"name": parent, "digest": "x"}, "retraining": own}),
        retraining.run_path(job),
    )
    retraining.run_path(job).with_suffix(".pt").write_bytes(b"weights")
    jobs.write_json(job / "result.json", {"state": "finished", "message": "done"})
    return job


def whole_app(root):
    from pathlib import Path

    from cifarcore.app import layout, retrain, retrained, sidebar

    view = sidebar.choose(Path(root))
    retrain.sidebar(Path(root))
    layout.page_frame(retrained.page, view)


def run(folder, opened=True, **state):
    app = AppTest.from_function(whole_app, kwargs={"root": str(folder.parent)}, default_timeout=TIMEOUT)
    for key, value in {"retrain-open": opened, **state}.items():
        app.session_state[key] = value
    app.run()
    assert not app.exception, app.exception
    return app


def text(element) -> str:
    return "\n".join(
        str(each.value)
        for kind in ("title", "subheader", "markdown", "caption", "warning", "info", "error", "code")
        for each in element.get(kind)
    )


def labels(app) -> list[str]:
    return [button.label for button in app.button]


def test_the_change_is_that_of_scikit_learn():
    before, after = made_run(n_images=2000, accuracy=0.5), made_run(n_images=2000, accuracy=0.6)
    focus = (2, 5)
    table = change_table(before, after, focus).set_index("measure")
    of_focus = np.isin(before.labels, focus)
    for row, chosen in (
        ("Accuracy", slice(None)),
        ("Accuracy on images of the focus classes", of_focus),
        ("Accuracy on images of the other classes", ~of_focus),
    ):
        for column, one in (("before", before), ("after", after)):
            assert table.loc[row, column] == pytest.approx(accuracy_score(one.labels[chosen], one.predictions[chosen]))
    for row, classes in (
        ("Macro-F1", range(10)),
        ("Mean F1 of the focus classes", focus),
        ("Mean F1 of the other classes", set(range(10)) - set(focus)),
    ):
        for column, one in (("before", before), ("after", after)):
            f1 = f1_score(one.labels, one.predictions, average=None)
            assert table.loc[row, column] == pytest.approx(f1[list(classes)].mean())
        assert table.loc[row, "low"] < table.loc[row, "difference"] < table.loc[row, "high"]
    assert table.loc["Accuracy", "sure"] and table.loc["Accuracy", "p"] < 0.05
    same = change_table(before, before, focus)
    assert not same["sure"].any() and (same["difference"] == 0).all()
    assert len(change_table(before, after, ())) == 2


def test_the_page_shows_what_changed_and_which_pictures(folder):
    retrained(folder)
    app = run(folder, A="cnn-quick", B="retrained/minute")
    said = text(app.main)
    assert (
        "Retrained: minute" in said
        and "never chosen on the test images" in said
        and "31,500 images (0.7 passes)" in said
    )
    before, after = made_run(model="cnn", preset="quick"), made_run(model="cnn", preset="quick-retrained", accuracy=0.7)
    for title, count in (
        ("Fixed", (~before.correct & after.correct).sum()),
        ("Broken", (before.correct & ~after.correct).sum()),
    ):
        assert any(title in line and f"**{count:,}**" in line for line in said.splitlines())
    assert "No clear change" not in said


def test_what_the_class_filter_acts_on_is_said(folder):
    retrained(folder)
    assert "The filter leaves" not in text(run(folder, A="cnn-quick", B="retrained/minute").main)
    said = text(run(folder, A="cnn-quick", B="retrained/minute", hardest=3).main)
    assert "The filter leaves 3 of 10 classes: the pictures below are" in said


def test_a_change_within_noise_is_said(folder):
    retrained(folder, accuracy=0.602)
    assert "No clear change" in text(run(folder, A="cnn-quick", B="retrained/minute").main)


def test_another_model_than_the_parent_is_told_and_mended_by_a_button(folder):
    retrained(folder)
    app = run(folder, A="resnet18-quick", B="retrained/minute")
    assert "not the parent" in text(app.main)
    next(button for button in app.button if button.label == "Compare with the parent").click().run()
    assert app.session_state["A"] == "cnn-quick" and "not the parent" not in text(app.main)


def test_without_a_retrained_run_the_page_says_how_to_get_one(folder):
    assert "«Short retraining» in the sidebar starts one" in text(run(folder).main)
    retrained(folder)
    app = run(folder)
    next(button for button in app.button if button.label == "minute").click().run()
    assert app.session_state["B"] == "retrained/minute" and "Retrained: minute" in text(app.main)


def test_renamed_and_deleted_from_the_page(folder):
    retrained(folder)
    app = run(folder, A="cnn-quick", B="retrained/minute")
    app.text_input(key="retrained-name-minute").set_value("../away").run()
    next(button for button in app.button if button.label == "Rename").click().run()
    assert "use up to 80 letters" in text(app.main)
    app.text_input(key="retrained-name-minute").set_value("hour").run()
    next(button for button in app.button if button.label == "Rename").click().run()
    assert app.session_state["B"] == "retrained/hour" and sorted(
        path.name for path in (folder / "retrained").iterdir()
    ) == ["hour", "hour.npz", "hour.pt"]
    next(button for button in app.button if button.label == "Delete").click().run()
    assert "Delete it" in labels(app) and (folder / "retrained" / "hour.npz").exists()  # it asks first


def test_the_settings_start_with_the_defaults_of_the_command(folder, monkeypatch):
    asked = []
    monkeypatch.setattr(retraining, "start", lambda *arguments: asked.append(arguments))
    app = run(folder)
    assert app.selectbox(key="retrain-parent").options == ["cnn-quick-0"]
    app.slider(key="retrain-hardest-9").set_value(4).run()
    app.button(key="retrain-start").click().run()
    config, parent, place = asked[0]
    assert (
        config == replace(RetrainConfig(focus="hardest:4"), learning_rate=config.learning_rate)
        and parent == folder / "cnn-quick-0.npz"
        and place == folder
    )
    assert "chosen by F1 on the validation split, never on the test images" in text(app.sidebar)


def test_settings_outlive_a_job_and_wait_for_a_measurement(folder, monkeypatch):
    (folder / "resnet18-quick-0.pt").write_bytes(b"weights")
    app = run(folder)
    app.selectbox(key="retrain-parent").set_value(folder / "resnet18-quick-0.npz").run()
    app.number_input(key="retrain-seconds").set_value(300).run()
    job = jobs.Job(folder / "retrained" / "one", "running")
    monkeypatch.setattr(retraining, "jobs", lambda _: [job])
    app.run()
    assert "Start" not in labels(app)
    monkeypatch.setattr(retraining, "jobs", lambda _: [])
    app.run()
    assert app.selectbox(key="retrain-parent").value == folder / "resnet18-quick-0.npz"
    assert app.number_input(key="retrain-seconds").value == 300 and not app.button(key="retrain-start").disabled
    monkeypatch.setattr(speeds, "measuring", lambda _: (True, ""))
    app.run()
    assert app.button(key="retrain-start").disabled


def test_a_parent_that_is_gone_is_said(folder):
    retrained(folder, parent="gone")
    app = run(folder, A="resnet18-quick", B="retrained/minute")
    assert "No run of that name is in this folder now" in text(app.main) and "Compare with the parent" not in labels(
        app
    )


def test_each_setting_reaches_the_job(folder, monkeypatch):
    asked = []
    monkeypatch.setattr(retraining, "start", lambda *arguments: asked.append(arguments[0]))
    app = run(folder)
    app.selectbox(key="retrain-focus").set_value("chosen classes").run()
    assert "choose at least one class" in text(app.sidebar) and "Start" not in labels(app)
    next(box for box in app.multiselect if box.label == "Classes").set_value(["seal", "otter"]).run()
    app.selectbox(key="retrain-unit").set_value("passes").run()
    app.number_input(key="retrain-epochs").set_value(2.5).run()
    app.selectbox(key="retrain-layers").set_value("Last block").run()
    app.pills(key="retrain-augmentation").set_value(["CutMix", "MixUp", "RandAugment"]).run()
    app.number_input(key="retrain-rate-last_block").set_value(0.5).run()
    app.button(key="retrain-start").click().run()
    expected = RetrainConfig(
        focus="classes:seal,otter",
        epochs=2.5,
        train_layers="last_block",
        learning_rate=0.5,
        crop_padding=0,
        flip=False,
        mix="both",
        policy="randaugment",
    )
    assert asked == [expected]
    app.selectbox(key="retrain-layers").set_value("Head only").run()
    assert "Augmentation" not in [pills.label for pills in app.get("pills")] and not [
        each for each in app.get("button_group") if each.label == "Augmentation"
    ]


def test_hardest_is_refused_with_the_reason_where_nothing_was_held_out(folder):
    save_run(made_run(model="cnn", preset="quick", val=False), folder / "cnn-quick-0.npz")
    app = run(folder)
    assert "has no validation split" in text(app.sidebar) and "Start" not in labels(app)
    app.selectbox(key="retrain-focus").set_value("all classes").run()
    assert "Start" in labels(app)


def test_a_refusal_is_shown(folder, monkeypatch):
    def busy(*arguments):
        raise jobs.Busy("one retraining at a time, and theirs (process 7) is running")

    monkeypatch.setattr(retraining, "start", busy)
    app = run(folder)
    app.button(key="retrain-start").click().run()
    assert "process 7" in text(app.sidebar)


def test_what_to_expect_is_told_and_where_the_budget_cannot_hold(folder):
    (folder / "retrained").mkdir()
    header = read_header(folder / "cnn-quick-0.npz")
    speeds.save_speed(folder, header.meta, RetrainConfig(), {"learning": 1000.0, "scoring": 500.0})
    said = text(run(folder).sidebar)
    assert (
        "**1,000 images/s** measured here" in said and "**1.2 passes**" in said and "longer than the budget" not in said
    )
    speeds.save_speed(folder, header.meta, RetrainConfig(), {"learning": 1000.0, "scoring": 1.0})
    assert "longer than the budget: about 9 min in all" in text(run(folder).sidebar)


def test_a_running_job_is_followed(folder):
    job = retraining.create(RetrainConfig(focus="hardest:3"), folder / "cnn-quick-0.npz", folder, "minute")
    jobs.write_json(job / jobs.PROCESS, jobs.identity(os.getpid()))
    lines = [{"phase": "starting", "at": 1.0}] + [
        {
            "phase": "learning",
            "at": 1.0,
            "learned": float(at),
            "step": 10 * at,
            "fraction": at / 60,
            "loss": 3.0,
            "val_accuracy": 0.5,
            "val_focus_accuracy": 0.2,
            "val_images": 500,
            "passes": 0.1,
        }
        for at in range(3)
    ]
    (job / "progress.jsonl").write_text("\n".join(map(json.dumps, lines)) + "\nrubbish\n")
    app = run(folder)
    said = text(app.sidebar)
    assert (
        "Step 20" in said
        and "500 validation images, which are never trained on" in said
        and "1 unreadable lines" in said
    )
    assert "Start" not in labels(app) and not jobs.stop_asked(job)
    app.button(key="retrain-stop").click().run()
    assert jobs.stop_asked(job) and app.button(key="retrain-stop").disabled
    # it ends: its run is chosen as B against its parent as A
    (job / jobs.PROCESS).unlink()
    jobs.write_json(job / "result.json", {"state": "stopped", "message": "kept"})
    save_run(
        replace(made_run(model="cnn", accuracy=0.7), meta=made_run().meta | {"parent": {"name": "cnn-quick-0"}}),
        retraining.run_path(job),
    )
    app.run()
    assert app.session_state["B"] == "retrained/minute" and app.session_state["A"] == "cnn-quick"


def test_a_dead_job_is_told_with_its_log_and_can_be_gone_on_with_or_discarded(folder, monkeypatch):
    job = retraining.create(RetrainConfig(focus="hardest:3"), folder / "cnn-quick-0.npz", folder, "minute")
    (job / jobs.LOG).write_text("\n".join(f"line {number}" for number in range(30)))
    jobs.write_json(job / jobs.PROCESS, {"pid": 2**22 + 1, "process_started": 1.0})
    app = run(folder, opened=False)
    assert "was killed" in text(app.sidebar) and "line 29" in text(app.sidebar) and "line 3\n" not in text(app.sidebar)

    def refused(folder):
        raise CifarcoreError("the weights changed since")

    monkeypatch.setattr(retraining, "go_on", refused)
    app.button(key="retrain-again-minute").click().run()
    assert "the weights changed since" in text(app.sidebar)
    app.button(key="retrain-discard-minute").click().run()
    assert not job.exists() and "was killed" not in text(app.sidebar)


def test_without_weights_the_sidebar_says_which_command_writes_them(folder):
    (folder / "cnn-quick-0.pt").unlink()
    assert "`cifarcore train`" in text(run(folder).sidebar)
