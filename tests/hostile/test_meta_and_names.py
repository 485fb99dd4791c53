"""Numbers that nobody computes with, names that mean something else, others' processes, files that changed."""

import json
from dataclasses import replace

import numpy as np
import psutil
import pytest
from made import made_run
from pages import run as page
from pages import two_models, write

from cifarcore.app.parts.retraining import choice_of, parent_of
from cifarcore.config import RetrainConfig
from cifarcore.errors import CifarcoreError
from cifarcore.files import is_plain, plain_name, seen, version
from cifarcore.retraining import folders, jobs, processes, progress, setup, speeds
from cifarcore.runs import importing
from cifarcore.runs.run import load_run, save_run

HUGE = 10**300
RECORD = {"focus": [], "settings": {}, "images": HUGE, "passes": -HUGE}
META = (
    {"training_data": {"images": 10**4000}},
    {"training_data": {"images": 10**400}, "config": {"validation_size": 10**400, "epochs": [HUGE]}},
    {"retraining": RECORD, "parent": {"name": "cnn", "digest": HUGE}},
    {"maps": {"tsne": {"trustworthiness": 1e308}}, "dataset": {"name": HUGE, "fingerprint": HUGE}},
    {"train_seconds": -1e308, "study": {"x": [[HUGE]]}, "parameters": 2**62},
)


@pytest.mark.parametrize("meta", META)
def test_huge_numbers_in_meta_break_no_page(folder, meta):
    for model in ("cnn", "resnet18"):
        run = made_run(model=model)
        path = save_run(
            replace(run, meta=run.meta | meta), folder / ("retrained" if model == "resnet18" else "") / f"{model}.npz"
        )
        path.with_suffix(".pt").write_bytes(b"weights")
    for name in ("overview", "explorer", "retrained", "findings"):
        page(folder, name, query={"B": "retrained/resnet18"})


def test_numbers_out_of_range_are_read_as_text(tmp_path):
    run = made_run(n_images=20)
    path = save_run(run, tmp_path / "run.npz")
    arrays = dict(np.load(path))
    text = json.dumps(run.meta | {"more": {"a": [10**30, 1, 0.5, True], "b": "x"}}).replace("0.5", "1e999")
    np.savez(path, **arrays | {"meta": np.array(text)})
    assert load_run(path).meta["more"] == {"a": ["a huge number", 1, "inf", True], "b": "x"}
    np.savez(path, **arrays | {"meta": np.array(text.replace(str(10**30), "9" * 5000))})
    with pytest.raises(CifarcoreError, match="'meta' is not JSON"):  # Python itself reads no such number
        load_run(path)


def test_numbers_of_jobs_and_speeds_are_bounded(folder):
    write(folder, *two_models())
    (folder / "retrained" / "job").mkdir(parents=True)
    line = {"phase": "learning", "learned": 1, "left": 1e300, "val_images": 1e308, "step": -1e308, "loss": 0.5}
    (folder / "retrained" / "job" / progress.PROGRESS).write_text(json.dumps(line) + "\n")
    assert progress.read_progress(folder / "retrained" / "job").last == {"phase": "learning", "learned": 1, "loss": 0.5}
    key = speeds._speed_key({}, RetrainConfig())
    for number in (10**400, -1, 0, "x", True, None, [1]):
        (folder / "retrained" / "speeds.json").write_text(json.dumps({key: {"learning": number, "scoring": 5}}))
        assert set(speeds.speed_of(folder, {}, RetrainConfig())) <= {"scoring", "learning"}


def test_what_a_job_says_of_its_end_is_text(folder):
    """JSON may escape half of a pair of surrogates, which no page can be sent with."""
    job = folder / "retrained" / "job"
    job.mkdir(parents=True)
    (job / progress.SETUP).write_text("{}")
    (job / progress.RESULT).write_text('{"state": "failed", "message": "a\\ud800\\u001b[2J\\nb"}')
    message = jobs.read_job(job).message
    assert message.encode() and message.isprintable() and message.startswith("a")


def test_a_process_that_starts_with_every_system_is_nobodys_job():
    first = psutil.Process(1).create_time()
    since = first - psutil.boot_time()
    if since > 59:
        pytest.skip("process 1 of this machine did not start with it: run outside a container")
    assert not processes.is_alive({"pid": 1, "since_boot": since})
    assert not processes.is_alive({"pid": 1, "since_boot": since, "process_started": first - 500})
    assert processes.is_alive({"pid": 1, "since_boot": since, "process_started": first})


@pytest.mark.parametrize("name", ["con", "NUL", "Com1", "lpt9", "aux", "prn"])
def test_names_of_windows_devices_are_no_files(name):
    assert not is_plain(name) and is_plain(plain_name(name)) and is_plain(f"{name}x") and is_plain(f"{name}-0")


@pytest.mark.parametrize("name", ["features", "Features"])
def test_no_retraining_is_called_as_the_folder_of_features(folder, name):
    write(folder, *two_models())
    (folder / "cnn-made-0.pt").write_bytes(b"weights")
    for work in (
        lambda: setup.create(RetrainConfig(focus="all"), folder / "cnn-made-0.npz", folder, name),
        lambda: folders.rename(folder, "other", name),
        lambda: folders.delete(folder, name),
    ):
        with pytest.raises(CifarcoreError, match="features are kept in a folder of this name"):
            work()


def test_only_the_file_that_was_shown_is_deleted(folder):
    for path, delete in (
        (folder / "imported" / "theirs.npz", importing.delete),
        (folder / "retrained" / "theirs.npz", folders.delete),
    ):
        save_run(made_run(n_images=20), path)
        shown = seen(path)
        save_run(made_run(n_images=20, seed=1), path)  # renamed, and another put in its place, in another tab
        with pytest.raises(CifarcoreError, match="theirs: has changed since it was shown"):
            delete(folder, "theirs", shown)
        assert path.exists() and load_run(path).meta["seed"] == 1
        delete(folder, "theirs", seen(path))
        assert not path.exists()


def test_a_file_replaced_within_a_tick_of_the_clock_is_another(tmp_path, monkeypatch):
    import os

    path = save_run(made_run(n_images=20), tmp_path / "run.npz")
    before = version(path)
    size = path.stat().st_size
    path.with_suffix(".new").write_bytes(bytes(size))
    os.utime(path.with_suffix(".new"), ns=(before.mtime_ns, before.mtime_ns))
    os.replace(path.with_suffix(".new"), path)
    after = version(path)
    assert (after.size, after.mtime_ns) == (before.size, before.mtime_ns) and after != before


def test_the_parent_is_the_very_file_before_one_of_its_name(folder):
    parent = save_run(made_run(model="cnn"), folder / "cnn.npz")
    save_run(made_run(model="vit"), folder / "imported" / "cnn.npz")
    for digest, expected in ((load_run(folder / "imported" / "cnn.npz").digest, "imported/cnn"), ("", "cnn-made")):
        run = made_run(model="cnn", seed=1)
        told = {"parent": {"name": "cnn", "digest": digest or load_run(parent).digest}, "retraining": {"focus": []}}
        save_run(replace(run, meta=run.meta | told), folder / "retrained" / "again.npz")
        assert choice_of(folder, "again")["A"] == expected
    save_run(made_run(model="cnn", accuracy=0.1), parent)  # as `project` does
    assert choice_of(folder, "again")["A"] == "cnn-made"
    parent.unlink()
    assert "A" not in choice_of(folder, "again")


def test_a_parent_that_was_renamed_is_known_by_its_file(folder):
    """Another run that took its former name counted as the parent."""
    parent = save_run(made_run(model="cnn"), folder / "cnn.npz")
    told = {"parent": {"name": "cnn", "digest": load_run(parent).digest}, "retraining": {"focus": []}}
    run = made_run(model="cnn", seed=1)
    again = save_run(replace(run, meta=run.meta | told), folder / "retrained" / "again.npz")
    parent.rename(folder / "mine.npz")
    assert parent_of(folder, load_run(again))[1].name == "mine"
    save_run(made_run(model="vit"), parent)
    assert parent_of(folder, load_run(again))[1].name == "mine"
    (folder / "mine.npz").unlink()
    assert parent_of(folder, load_run(again))[1].name == "cnn"
