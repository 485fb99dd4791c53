"""The short retraining in the sidebar, over made run files; the real job is driven in tests/browser."""

import json
import os
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from made import made_run
from pages import text
from processes import ROOT
from retrainings import labels, run, with_weights

from cifarcore.config import RetrainConfig
from cifarcore.data.known_images import known_images
from cifarcore.errors import CifarcoreError
from cifarcore.retraining import folders, jobs, processes, progress, setup, speeds
from cifarcore.runs.run import read_header, save_run

LACKS_IMAGES = setup.lacks_images  #: as it is, which the fixture replaces


@pytest.fixture
def folder(folder, monkeypatch):
    return with_weights(folder, monkeypatch)


def test_the_settings_start_with_the_defaults_of_the_command(folder, monkeypatch):
    asked = []
    monkeypatch.setattr(setup, "start", lambda *arguments: asked.append(arguments))
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
    assert "chosen by F1 on the validation split, never on the test images" in text(app)


def test_settings_outlive_a_job_and_wait_for_a_measurement(folder, monkeypatch):
    (folder / "resnet18-quick-0.pt").write_bytes(b"weights")
    app = run(folder)
    app.selectbox(key="retrain-parent").set_value(folder / "resnet18-quick-0.npz").run()
    app.number_input(key="retrain-seconds").set_value(300).run()
    job = jobs.Job(folder / "retrained" / "one", "running")
    monkeypatch.setattr(folders, "jobs", lambda _: [job])
    app.run()
    assert "Start" not in labels(app)
    monkeypatch.setattr(folders, "jobs", lambda _: [])
    app.run()
    assert app.selectbox(key="retrain-parent").value == folder / "resnet18-quick-0.npz"
    assert app.number_input(key="retrain-seconds").value == 300 and not app.button(key="retrain-start").disabled
    monkeypatch.setattr(speeds, "measuring", lambda _: (True, ""))
    asked = []
    monkeypatch.setattr(speeds, "watch", lambda _: asked.append("watch"))
    monkeypatch.setattr(speeds, "stop_measuring", lambda _: asked.append("stop"))
    app.run()
    assert app.button(key="retrain-start").disabled and set(asked) == {"watch"}
    app.button(key="retrain-measure-stop").click().run()
    assert asked.count("stop") == 1


def test_each_setting_reaches_the_job(folder, monkeypatch):
    asked = []
    monkeypatch.setattr(setup, "start", lambda *arguments: asked.append(arguments[0]))
    app = run(folder)
    app.selectbox(key="retrain-focus").set_value("chosen classes").run()
    assert "choose at least one class" in text(app) and "Start" not in labels(app)
    next(box for box in app.multiselect if box.label == "Classes").set_value(["seal", "otter"]).run()
    app.selectbox(key="retrain-unit").set_value("epochs").run()
    app.number_input(key="retrain-epochs").set_value(2.5).run()
    app.selectbox(key="retrain-layers").set_value("Last two blocks").run()
    app.pills(key="retrain-augmentation").set_value(["CutMix", "MixUp", "RandAugment"]).run()
    app.number_input(key="retrain-rate-last_two_blocks").set_value(0.5).run()
    app.button(key="retrain-start").click().run()
    expected = RetrainConfig(
        focus="classes:seal,otter",
        epochs=2.5,
        train_layers="last_two_blocks",
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


def test_duplicates_are_left_out_where_that_is_chosen_and_only_of_cifar_100(folder, monkeypatch):
    asked = []
    monkeypatch.setattr(setup, "start", lambda *arguments: asked.append(arguments[0]))
    made = made_run(model="cnn", preset="quick")
    for config in ({"dataset": "synthetic"}, None):
        save_run(replace(made, meta=made.meta | {"config": config}), folder / "cnn-quick-0.npz")
        assert "retrain-duplicates" not in [box.key for box in run(folder).checkbox]
    save_run(made, folder / "cnn-quick-0.npz")
    app = run(folder)
    app.button(key="retrain-start").click().run()
    assert "will be left out" not in text(app)
    app.checkbox(key="retrain-duplicates").check().run()
    assert f"{len(known_images().twins):,} training images will be left out" in text(app)
    app.button(key="retrain-start").click().run()
    assert [config.leave_out_duplicates for config in asked] == [False, True]


def test_the_classes_of_marked_images_become_the_focus(folder, monkeypatch):
    asked = []
    monkeypatch.setattr(setup, "start", lambda *arguments: asked.append(arguments[0]))
    marks = {"1-3": "seal", "2-4": "otter", "3-3": "seal", "4-9": "no class of this run"}
    app = run(folder, **{"marked-images": marks})
    app.selectbox(key="retrain-focus").set_value("classes of the marked images").run()
    said = text(app)
    assert "3 marked images" in said and "seal 2, otter 1" in said and "Chosen by test images" in said
    app.button(key="retrain-start").click().run()
    assert [config.focus for config in asked] == ["classes:seal,otter"]
    app.button(key="retrain-unmark").click().run()
    assert app.selectbox(key="retrain-focus").value == "hardest classes"
    assert "classes of the marked images" not in app.selectbox(key="retrain-focus").options


def test_hardest_is_refused_with_the_reason_where_nothing_was_held_out(folder):
    save_run(made_run(model="cnn", preset="quick", val=False), folder / "cnn-quick-0.npz")
    app = run(folder)
    assert "has no validation split" in text(app) and "Start" not in labels(app)
    app.selectbox(key="retrain-focus").set_value("all classes").run()
    assert "Start" in labels(app)


def test_a_refusal_is_shown(folder, monkeypatch):
    def busy(*arguments):
        raise jobs.Busy("one retraining at a time, and theirs (process 7) is running")

    monkeypatch.setattr(setup, "start", busy)
    app = run(folder)
    app.button(key="retrain-start").click().run()
    assert "process 7" in text(app)


def test_what_to_expect_is_told_and_where_the_budget_cannot_hold(folder):
    (folder / "retrained").mkdir()
    header = read_header(folder / "cnn-quick-0.npz")
    speeds.save_speed(folder, header.meta, RetrainConfig(), {"learning": 1000.0, "scoring": 500.0})
    said = text(run(folder))
    assert (
        "1,000 images/s measured here" in said
        and "1.2 epochs" in said
        and "Takes about **2 min**:" in said
        and "longer than the budget" not in said
    )
    assert "each focus image 0.39 times on average" in said
    speeds.save_speed(folder, header.meta, RetrainConfig(), {"learning": 1000.0, "scoring": 1.0})
    said = text(run(folder))
    assert (
        "longer than the budget of 60 s" in said
        and "8 min of scoring at the end" in said
        and "Takes about **8 h**" in said
    )


def test_the_gain_to_expect_is_told_as_it_was_measured(folder):
    said = text(run(folder))
    assert "no gain in the focus classes' F1 was significant" in said and "page Retrained tests each result" in said
    measured = (ROOT / "cifarcore" / "experiments" / "RESULTS.md").read_text(encoding="utf-8")
    assert "No single change of F1 is significant." in measured, "what is told has to follow what was measured"


def test_a_budget_too_short_names_the_shortest_that_is_not(folder):
    """At 100 images/s a minute, less a second to score, is 5,900 of 50,000 images, 30% of them of 3 of 10 classes."""
    (folder / "retrained").mkdir()
    header = read_header(folder / "cnn-quick-0.npz")
    speeds.save_speed(folder, header.meta, RetrainConfig(), {"learning": 100.0, "scoring": 500.0})
    app = run(folder)
    app.slider(key="retrain-hardest-9").set_value(3).run()
    assert "only 12% of the images of the focus would be seen. Each is seen once in **505 s**." in text(app)
    app.button(key="retrain-shortest").click().run()
    assert app.number_input(key="retrain-seconds").value == 505 and "Too short" not in text(app)
    app.selectbox(key="retrain-unit").set_value("epochs").run()
    app.number_input(key="retrain-epochs").set_value(0.2).run()
    app.button(key="retrain-shortest").click().run()
    assert app.number_input(key="retrain-epochs").value == pytest.approx(1.0) and "Too short" not in text(app)


def test_a_running_job_is_followed(folder):
    job = setup.create(RetrainConfig(focus="hardest:3"), folder / "cnn-quick-0.npz", folder, "minute")
    progress.write_json(job / progress.PROCESS, processes.identity(os.getpid()))
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
            "val_focus_images": 50,
            "passes": 0.1,
        }
        for at in range(3)
    ]
    (job / "progress.jsonl").write_text("\n".join(map(json.dumps, lines)) + "\nrubbish\n")
    app = run(folder)
    said = text(app.main)
    assert (
        "Step 20" in said
        and "focus classes 20.0% → 20.0%, other classes 53.3% → 53.3%, on 500 validation images, which" in said
        and "1 unreadable lines" in said
    )
    assert app.sidebar.get("progress")[0].proto.text == "**minute** · Learning · step 20"
    assert "Start" not in labels(app) and not jobs.stop_asked(job)
    app.button(key="retrain-stop").click().run()
    assert jobs.stop_asked(job) and app.button(key="retrain-stop").disabled
    # it ends: its run is chosen as B against its parent as A
    (job / progress.PROCESS).unlink()
    progress.write_json(job / "result.json", {"state": "stopped", "message": "kept"})
    save_run(
        replace(made_run(model="cnn", accuracy=0.7), meta=made_run().meta | {"parent": {"name": "cnn-quick-0"}}),
        folders.retrained_path(job),
    )
    app.run()
    assert app.session_state["B"] == "retrained/minute" and app.session_state["A"] == "cnn-quick"


def test_a_running_job_can_be_discarded(folder):
    job = setup.create(RetrainConfig(focus="hardest:3"), folder / "cnn-quick-0.npz", folder, "minute")
    header = read_header(folder / "cnn-quick-0.npz")
    speeds.save_speed(folder, header.meta, RetrainConfig(), {"learning": 1000.0, "scoring": 500.0})
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    try:
        progress.write_json(job / progress.PROCESS, processes.identity(process.pid))
        app = run(folder)
        app.button(key="retrain-discard-dialog").click().run()
        assert not processes.is_alive(processes.identity(os.getpid()) | {"pid": process.pid})
        assert process.wait(10) and not job.exists() and "retrain-opened" not in app.session_state
        assert "**minute** was discarded; no run was written." in [toast.value for toast in app.toast]
    finally:
        process.kill()


def test_a_repeat_is_counted_and_does_not_take_the_place_of_what_is_compared(folder):
    job = setup.create(RetrainConfig(focus="hardest:3", seed=1), folder / "cnn-quick-0.npz", folder, "minute-seed1")
    me = processes.identity(os.getpid())
    progress.write_json(job / progress.PROCESS, me)
    state = {"of": "minute", "names": ["minute-seed1"], "begun": 1, "total": 2}
    progress.write_json(folder / "retrained" / "repeats.json", state | me)
    app = run(folder, opened=False)
    assert [bar.proto.text for bar in app.sidebar.get("progress")] == ["**minute\\-seed1** · 1 of 2 repeats · Starting"]
    (job / progress.PROCESS).unlink()
    progress.write_json(job / progress.RESULT, {"state": "finished", "message": "kept"})
    save_run(made_run(model="cnn", accuracy=0.7), folders.retrained_path(job))
    app.run()
    assert app.session_state["B"] != "retrained/minute-seed1"
    progress.write_json(folder / "retrained" / "repeats.json", state)
    app.run()
    assert "**minute**: repeated with 2 seeds." in [toast.value for toast in app.toast]
    assert app.session_state["B"] != "retrained/minute-seed1"


def test_a_job_before_its_first_step_is_followed_though_its_time_left_is_not_known(folder):
    """As a budget in epochs begins: no loss, no speed and no time left, which are no numbers yet."""
    config = RetrainConfig(focus="hardest:3", epochs=1.0)
    job = setup.create(config, folder / "cnn-quick-0.npz", folder, "minute")
    progress.write_json(job / progress.PROCESS, processes.identity(os.getpid()))
    record = jobs.Recorder(job, lambda line: None)
    unknown = {"loss": np.nan, "images_per_second": np.nan, "left": np.nan}
    looked = {"val_accuracy": 0.5, "val_focus_accuracy": 0.2, "val_images": 500}
    record("learning", learned=0.0, step=0, fraction=0.0, passes=0.0, **unknown, **looked)
    app = run(folder)
    said = text(app)
    assert "Step 0" in said and "unreadable" not in said
    assert [bar.proto.text for bar in app.sidebar.get("progress")] == ["**minute** · Learning · step 0"]
    record("learning", learned=1.0, step=10, fraction=0.25, passes=0.25, loss=3.0, images_per_second=100, left=90.0)
    app.run()
    assert not app.exception
    assert [bar.proto.text[-4:] for bar in app.sidebar.get("progress")] == ["left"]


def test_a_dead_job_is_told_with_its_log_and_can_be_gone_on_with_or_discarded(folder, monkeypatch):
    job = setup.create(RetrainConfig(focus="hardest:3"), folder / "cnn-quick-0.npz", folder, "minute")
    where = '  File "/home/someone/place/worker.py", line 7'
    (job / progress.LOG).write_text("\n".join([*(f"line {number}" for number in range(30)), where]))
    progress.write_json(job / progress.PROCESS, {"pid": 2**22 + 1, "process_started": 1.0})
    assert "**minute** was killed" in text(run(folder, opened=False).sidebar)
    app = run(folder)
    assert "line 29" in text(app.main) and "line 3\n" not in text(app.main)
    assert 'File "worker.py", line 7' in text(app.main) and "someone" not in text(app)  # nobody need know where it is

    def refused(folder):
        raise CifarcoreError("the weights changed since")

    monkeypatch.setattr(setup, "go_on", refused)
    app.button(key="retrain-again-minute").click().run()
    assert "the weights changed since" in text(app)
    app.button(key="retrain-discard-minute").click().run()
    assert not job.exists() and "was killed" not in text(app)


def test_without_weights_the_sidebar_says_which_command_writes_them(folder):
    (folder / "cnn-quick-0.pt").unlink()
    assert "`cifarcore train`" in text(run(folder))


def test_where_the_images_are_not_there_their_download_is_offered_instead_of_a_start(folder, monkeypatch):
    monkeypatch.setattr(setup, "lacks_images", LACKS_IMAGES)
    measured = []
    monkeypatch.setattr(speeds, "start_measuring", lambda *arguments: measured.append(arguments))
    app = run(folder)
    assert "Start" not in labels(app) and app.button(key="retrain-download").label == "Download CIFAR-100"
    assert measured == []  # it would download them silently
    (folder / "cnn-quick-0.features.npz").write_bytes(b"")
    app.selectbox(key="retrain-layers").set_value("Head only").run()
    assert "Start" in labels(app)  # of features that are kept no image is needed


def test_the_button_opens_the_dialog_which_stays_until_it_is_closed(folder):
    app = run(folder, opened=False)
    assert "retrain-opened" not in app.session_state
    app.button(key="retrain").click().run()
    assert app.session_state["retrain-opened"]
    app.run()
    assert app.session_state["retrain-opened"]
