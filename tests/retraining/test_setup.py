"""Setting up, starting, renaming and deleting retrainings; the real job in its own process, killed at random
moments.
"""

import json
import os
import random
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import psutil
import pytest
from made import made_run, trained_run
from processes import invoke, wait_until
from sklearn.metrics import f1_score

from cifarcore.config import RetrainConfig
from cifarcore.errors import CifarcoreError
from cifarcore.retraining import folders, jobs, processes, progress, setup, speeds
from cifarcore.retraining.folders import delete, free_name, job_folder, rename, retrained_path
from cifarcore.retraining.jobs import Busy, DiskFull, read_job
from cifarcore.retraining.progress import read_json
from cifarcore.retraining.setup import choose_focus, create, go_on, read_setup
from cifarcore.runs.run import load_run, read_header, save_run

HEAD = RetrainConfig(focus="hardest:3", train_layers="head", seconds=1)
pytestmark = pytest.mark.usefixtures("own_place")


@pytest.fixture
def made(tmp_path):
    """A folder with a made-up run and bytes in the place of its weights: enough for all but the learning."""
    folder = tmp_path / "runs"
    folder.mkdir()
    save_run(made_run(model="cnn", accuracy=0.5), folder / "cnn-made-0.npz")
    (folder / "cnn-made-0.pt").write_bytes(b"weights")
    return folder


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    return trained_run(tmp_path_factory.mktemp("trained")).parent


def copied(trained: Path, place: Path) -> Path:
    place.mkdir()
    for suffix in (".npz", ".pt"):
        (place / f"cnn-tiny-0{suffix}").write_bytes((trained / f"cnn-tiny-0{suffix}").read_bytes())
    return place


def wait_for_end(job: jobs.Job) -> jobs.Job:
    wait_until(lambda: read_job(job.folder).state != "running")
    return read_job(job.folder)


def test_the_hardest_classes_are_those_of_the_validation_split():
    run = made_run(n_images=2000)
    f1 = f1_score(run.val_labels, run.val_logits.argmax(axis=1), average=None, labels=range(run.n_classes))
    assert list(choose_focus(run, RetrainConfig(focus="hardest:4"))) == np.argsort(f1, kind="stable")[:4].tolist()
    # the test split has no say: with all its images right or wrong the choice is the same
    blind = replace(run, logits=np.zeros_like(run.logits))
    assert choose_focus(blind, RetrainConfig(focus="hardest:4")) == choose_focus(run, RetrainConfig(focus="hardest:4"))
    # a class without validation images has no F1, whether it is predicted or not
    kept = run.val_labels != 3
    assert (run.val_logits[kept].argmax(axis=1) == 3).any()
    without = replace(
        run, **{name: getattr(run, name)[kept] for name in ("val_sample_ids", "val_labels", "val_logits")}
    )
    assert 3 not in choose_focus(without, RetrainConfig(focus="hardest:9"))


def test_hardest_is_refused_without_a_validation_split_and_chosen_classes_are_not():
    run = made_run(val=False)
    with pytest.raises(
        CifarcoreError, match="has no validation split, and the hardest classes are never chosen on the test images"
    ):
        choose_focus(run, RetrainConfig(focus="hardest:3"))
    names = run.class_names.tolist()
    assert choose_focus(run, RetrainConfig(focus=f"classes:{names[4]},{names[1]},{names[4]}")) == (4, 1)
    assert choose_focus(run, RetrainConfig(focus="all")) == ()
    for focus in ("classes:no such", f"classes:{','.join(names)}", "hardest:10"):
        with pytest.raises(CifarcoreError):
            choose_focus(made_run(), RetrainConfig(focus=focus))


@pytest.mark.parametrize(
    "values",
    [
        {"focus": "hardest:0"},
        {"focus": "hardest:-1"},
        {"focus": "hardest:9999999"},
        {"focus": "classes:"},
        {"focus": "other"},
        {"seconds": 0.5},
        {"seconds": float("nan")},
        {"epochs": -1.0},
        {"epochs": float("inf")},
        {"focus_share": 0.0},
        {"focus_share": 1.0},
        {"learning_rate": -0.1},
        {"train_layers": "none"},
        {"threads": -1},
        {"batch_size": 1},
        {"mix": "other"},
        {"crop_padding": 99},
    ],
)
def test_settings_out_of_range_are_refused_in_one_line(values):
    with pytest.raises(CifarcoreError) as error:
        RetrainConfig(**values)
    assert "\n" not in str(error.value)


def test_config_survives_json_and_refuses_what_is_none():
    config = RetrainConfig(focus="classes:a,b", epochs=2.0, mix="both")
    assert RetrainConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config
    for values in ({"seconds": "60"}, {"flip": 1}, {"threads": 1.5}, {"unknown": 1}, {"focus": None}):
        with pytest.raises(CifarcoreError):
            RetrainConfig.from_dict(values)


@pytest.mark.parametrize(
    "name", ["", ".", "..", "../out", "a/b", "a\\b", "/etc", "-x", "a.b", "a b", "é", "x" * 81, "a\n", "a\0b", "--data"]
)
def test_no_name_leads_out_of_the_folder(made, name):
    with pytest.raises(CifarcoreError, match="use up to 80 letters"):
        job_folder(made, name)
    if name:
        with pytest.raises(CifarcoreError):
            create(HEAD, made / "cnn-made-0.npz", made, name)
    for work in (lambda: delete(made, name), lambda: rename(made, name, "new"), lambda: rename(made, "old", name)):
        with pytest.raises(CifarcoreError):
            work()
    assert sorted(path.name for path in made.rglob("*")) == ["cnn-made-0.npz", "cnn-made-0.pt"]


def test_setting_up_keeps_what_was_asked(made):
    config = replace(HEAD, focus="classes:beaver")
    folder = create(config, made / "cnn-made-0.npz", made)
    setup = read_setup(folder)
    assert folder == made / "retrained" / "cnn-made-0-1classes"
    assert setup.config == config and setup.parent.resolve() == (made / "cnn-made-0.npz").resolve()
    assert setup.parent_digest == load_run(made / "cnn-made-0.npz").digest and setup.focus_names == ("beaver",)
    assert free_name(made, made / "cnn-made-0.npz", config) == "cnn-made-0-1classes-2"
    with pytest.raises(CifarcoreError, match="taken"):
        create(config, made / "cnn-made-0.npz", made, folder.name)
    assert [job.state for job in folders.jobs(made)] == ["killed"]


def test_the_command_leaves_nothing_behind_where_another_runs(made, tmp_path, monkeypatch):
    monkeypatch.setattr(processes, "NICE", 0)  # a raised one could not be lowered again
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / progress.SETUP).write_text("{}")
    command = [
        "retrain",
        "--run",
        str(made / "cnn-made-0.npz"),
        "--focus",
        "all",
        "--folder",
        str(made),
        "--name",
        "mine",
    ]
    with jobs.working(tmp_path / "other") as record:
        for look in (jobs.refuse_if_busy, lambda: None):  # the other began before the look, and after it
            monkeypatch.setattr(jobs, "refuse_if_busy", look)
            with pytest.raises(Busy):
                invoke(*command)
            assert folders.jobs(made) == []
        record.end("finished", "")


@pytest.mark.parametrize("again", [False, True], ids=["new", "gone on with"])
def test_a_job_whose_process_has_not_begun_its_work_is_starting(made, monkeypatch, again):
    folder = create(HEAD, made / "cnn-made-0.npz", made)
    if again:
        progress.write_json(folder / progress.PROCESS, {"pid": 1, "process_started": 0.0})
    sleeping = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    monkeypatch.setattr(setup, "spawn", lambda *_: sleeping)
    monkeypatch.setattr(setup, "START_TIMEOUT_SECONDS", 2.0)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(go_on, folder)
        wait_until(lambda: read_job(folder).state == "starting")
        assert not read_job(folder).can_go_on
        with pytest.raises(CifarcoreError, match="still running"):
            delete(made, folder.name)
        with pytest.raises(CifarcoreError, match="did not begin"):
            waiting.result()
    assert read_job(folder).state == "killed"


@pytest.mark.parametrize("other", [["--seconds", "600"], ["--name", "another"], ["--measure"]])
def test_going_on_takes_no_other_settings(made, other):
    folder = create(HEAD, made / "cnn-made-0.npz", made, "one")
    with pytest.raises(CifarcoreError, match="leave out the others|with --run"):
        invoke("retrain", "--resume", "one", "--folder", str(made), *other)
    assert not (folder / progress.PROCESS).exists()


def test_the_command_works_in_the_folder_that_the_app_reads(made, tmp_path, monkeypatch):
    monkeypatch.setenv("CIFARCORE_RUNS", str(made))
    monkeypatch.chdir(tmp_path)
    create(HEAD, made / "cnn-made-0.npz", made, "one")
    monkeypatch.setattr(jobs, "working", lambda job, _: pytest.fail(f"begins in {job}"))
    for command in (["--resume", "one"], ["--run", str(made / "cnn-made-0.npz"), "--focus", "all"]):
        with pytest.raises(pytest.fail.Exception, match=f"begins in {made}/retrained/"):
            invoke("retrain", *command)
    assert not (tmp_path / "checkpoints").exists()


def test_each_of_many_that_set_up_at_once_gets_a_name(made, monkeypatch):
    names = iter(["both", "both", "other"])  # what two see as free when they look at the same moment
    monkeypatch.setattr(setup, "free_name", lambda *_: next(names))
    made_folders = [create(HEAD, made / "cnn-made-0.npz", made) for _ in range(2)]
    assert [folder.name for folder in made_folders] == ["both", "other"]
    assert [job.folder for job in folders.jobs(made)] == made_folders[::-1]


def test_duplicates_are_left_out_of_cifar_100_alone(made):
    config = replace(HEAD, leave_out_duplicates=True)
    folder = create(config, made / "cnn-made-0.npz", made)
    assert read_setup(folder).config == config
    other = made_run(model="cnn", accuracy=0.5)
    save_run(replace(other, meta=other.meta | {"config": {"dataset": "synthetic"}}), made / "cnn-made-0.npz")
    with pytest.raises(CifarcoreError, match="was not trained on CIFAR-100.*leave out --leave-out-duplicates"):
        create(config, made / "cnn-made-0.npz", made)


@pytest.mark.parametrize("moment", ["write_json", "Path.rename"])
def test_a_kill_while_a_job_is_set_up_takes_no_name(made, moment):
    """Without its setup nobody is shown the job, and so nobody could free its name."""
    killed = "lambda *_: os.kill(os.getpid(), signal.SIGKILL)"
    code = f"""
import os, signal, sys
from pathlib import Path
from cifarcore.config import RetrainConfig
from cifarcore.retraining import setup
setup.{moment} = {killed}
setup.create(RetrainConfig(focus="hardest:3"), sys.argv[1], Path(sys.argv[1]).parent, "mine")
"""
    run = subprocess.run([sys.executable, "-c", code, str(made / "cnn-made-0.npz")], timeout=300)
    assert run.returncode == -signal.SIGKILL and folders.jobs(made) == []
    folder = create(HEAD, made / "cnn-made-0.npz", made, "mine")
    assert [job.folder for job in folders.jobs(made)] == [folder] and list(folder.parent.iterdir()) == [folder]


def test_a_parent_without_weights_or_a_disk_without_room_is_refused(made, monkeypatch):
    parent = made / "cnn-made-0.npz"
    monkeypatch.setattr(setup.shutil, "disk_usage", lambda path: SimpleNamespace(free=1 << 20))
    with pytest.raises(DiskFull, match="1 MiB free and a retraining needs 64"):
        create(HEAD, parent, made)
    monkeypatch.undo()
    (made / "cnn-made-0.pt").unlink()
    with pytest.raises(CifarcoreError, match="put its weights beside it"):
        create(HEAD, parent, made)
    assert setup.parents(made) == [] and not list(made.glob("retrained/*"))


@pytest.mark.parametrize(
    "damage",
    [
        "",
        "{}",
        "[]",
        '{"config": 1}',
        '{"config": {}, "parent": "x", "parent_digest": "", "weights_digest": "", "focus": [-1], "focus_names": ["a"]}',
    ],
)
def test_a_damaged_setup_is_said(made, damage):
    folder = create(HEAD, made / "cnn-made-0.npz", made)
    (folder / progress.SETUP).write_text(damage)
    with pytest.raises(CifarcoreError, match="damaged"):
        read_setup(folder)
    assert len(folders.jobs(made)) == 1
    delete(made, folder.name)


def test_rename_and_delete_take_all_that_belongs_to_a_run_and_nothing_else(made):
    folder = create(HEAD, made / "cnn-made-0.npz", made, "old")
    save_run(made_run(), retrained_path(folder))
    folder.with_name("old.pt").write_bytes(b"weights")
    other = create(HEAD, made / "cnn-made-0.npz", made, "old-2")
    rename(made, "old", "new")
    assert sorted(path.name for path in folder.parent.iterdir()) == ["new", "new.npz", "new.pt", "old-2"]
    assert read_setup(folder.with_name("new")).parent.exists()
    for taken in ("old-2", "new"):
        with pytest.raises(CifarcoreError, match="taken"):
            rename(made, "new", taken)
    delete(made, "new")
    assert [path.name for path in folder.parent.iterdir()] == ["old-2"] and (made / "cnn-made-0.npz").exists()
    with pytest.raises(CifarcoreError, match="no such retraining"):
        delete(made, "new")
    progress.write_json(other / progress.PROCESS, processes.identity(os.getpid()))
    for work in (lambda: delete(made, "old-2"), lambda: rename(made, "old-2", "new")):
        with pytest.raises(CifarcoreError, match="still running"):
            work()


def test_the_command_is_a_list_and_never_goes_through_a_shell(made, monkeypatch):
    seen = []

    class Process:
        pid, returncode = 1, 2

        def __init__(self, command, **options):
            seen.append((command, options))

        def poll(self):
            return 2

    monkeypatch.setattr(processes.subprocess, "Popen", Process)
    hostile = made / "x; touch HACKED $(touch HACKED).npz"
    hostile.write_bytes((made / "cnn-made-0.npz").read_bytes())
    hostile.with_suffix(".pt").write_bytes(b"weights")
    with pytest.raises(CifarcoreError, match="ended with status 2"):
        setup.start(HEAD, hostile, made)
    command, options = seen[0]
    assert command[1:5] == ["-m", "cifarcore", "retrain", "--resume"] and all(isinstance(part, str) for part in command)
    assert not options.get("shell") and options["start_new_session"]
    assert command[5].replace("-", "").isalnum()
    assert list(made.glob("retrained/*")) == []  # what never began leaves nothing


def test_expectation_comes_from_what_was_measured_here(made):
    header = read_header(made / "cnn-made-0.npz")
    config = RetrainConfig(seconds=60)
    assert speeds.expect(header, config, made) is None
    (made / "retrained").mkdir()
    speeds.save_speed(made, header.meta, config, {"learning": 1000.0, "scoring": 250.0})
    expected = speeds.expect(header, config, made)
    assert expected.images_per_second == 1000 and expected.learning == pytest.approx(58) and expected.scoring == 2.0
    assert expected.passes == pytest.approx(58 * 1000 / 50_000) and expected.caching == pytest.approx(28_500 / 250)
    speeds.save_speed(made, header.meta, config, {"learning": 1000.0, "scoring": 250.0, "rescoring": 1000.0})
    assert speeds.expect(header, config, made).scoring == 0.5
    assert not speeds.expect(header, config, made).busy
    of_block = {"learning": 1000.0, "scoring": 250.0, "rescoring": 1000.0, "caching": 500.0, "share": 0.4}
    speeds.save_speed(made, header.meta, config, of_block)  # other work had the rest of the processor
    assert speeds.expect(header, config, made).caching == pytest.approx(28_500 / 500)
    assert speeds.expect(header, config, made).busy
    kept = folders.block_cache(made / "retrained", folders.file_digest(made / "cnn-made-0.pt"), "data")
    kept.parent.mkdir()
    kept.write_bytes(b"")
    assert speeds.expect(header, config, made).caching == 0
    short = speeds.expect(header, replace(config, seconds=1.0), made)
    assert short.learning == pytest.approx(0.5) and short.total == pytest.approx(1.0)
    assert speeds.expect(header, replace(config, epochs=2.0), made).learning == pytest.approx(100)
    assert speeds.expect(header, replace(config, seconds=600.0), made).learning == pytest.approx(140)  # 10 x 14,000
    assert speeds.expect(header, replace(config, train_layers="head"), made) is None
    (made / "retrained" / "speeds.json").write_text('{"a": 1')
    assert speeds.expect(header, config, made) is None


def test_the_images_are_missed_only_where_they_are_needed_and_cifar100s(made, tmp_path, monkeypatch):
    header = read_header(made / "cnn-made-0.npz")
    assert setup.lacks_images(header, RetrainConfig(), made) and setup.lacks_images(header, HEAD, made)
    (made / "cnn-made-0.features.npz").write_bytes(b"")
    assert setup.lacks_images(header, RetrainConfig(), made) and not setup.lacks_images(header, HEAD, made)
    drawn = replace(header, meta=header.meta | {"config": header.meta["config"] | {"dataset": "synthetic"}})
    assert not setup.lacks_images(drawn, RetrainConfig(), made)
    monkeypatch.setenv("CIFARCORE_DATA", str(tmp_path / "data"))
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "cifar100.npz").write_bytes(b"")
    assert not setup.lacks_images(header, RetrainConfig(), made)


def test_a_retraining_from_start_to_end_in_its_own_process(trained, tmp_path):
    runs = copied(trained, tmp_path / "runs")
    job = setup.start(replace(HEAD, seconds=2), runs / "cnn-tiny-0.npz", runs)
    assert job.state == "running"
    process = psutil.Process(read_json(job.folder / progress.PROCESS)["pid"])
    assert os.getsid(process.pid) != os.getsid(0) and process.nice() >= processes.NICE
    with pytest.raises(Busy, match=job.name):
        setup.start(HEAD, runs / "cnn-tiny-0.npz", runs)
    assert [found.name for found in folders.jobs(runs)] == [job.name]
    job = wait_for_end(job)
    assert job.state == "finished", job.log_tail
    parent, run = load_run(runs / "cnn-tiny-0.npz"), load_run(retrained_path(job.folder))
    assert run.meta["parent"]["digest"] == parent.digest and run.meta["parent"]["name"] == "cnn-tiny-0"
    assert np.array_equal(run.sample_ids, parent.sample_ids) and np.array_equal(
        run.val_sample_ids, parent.val_sample_ids
    )
    assert run.meta["retraining"]["settings"] == replace(HEAD, seconds=2).to_dict() and run.meta["train_seconds"] >= 2
    assert run.meta["retraining"]["focus"] == [parent.class_names[index] for index in choose_focus(parent, HEAD)]
    assert runs / "retrained" / f"{job.name}.npz" in setup.parents(runs)


@pytest.mark.skipif(os.name == "nt", reason="the launcher is a shell's: run on Linux or macOS")
def test_a_job_behind_a_launcher_is_recognised(trained, tmp_path, monkeypatch):
    """Python of a virtual environment may start another process, whose id is not that of the one started."""
    launcher = tmp_path / "python"
    launcher.write_text(f'#!/bin/sh\n"{sys.executable}" "$@"\nexit $?\n')
    launcher.chmod(0o755)
    monkeypatch.setattr(processes.sys, "executable", str(launcher))
    runs = copied(trained, tmp_path / "runs")
    job = setup.start(replace(HEAD, seconds=1), runs / "cnn-tiny-0.npz", runs)
    started, process = (read_json(job.folder / name) for name in (progress.STARTED, progress.PROCESS))
    assert started["pid"] != process["pid"] and read_job(job.folder).state == "running"
    assert wait_for_end(job).state == "finished"


def test_a_budget_in_epochs_is_used_up_in_its_own_process(trained, tmp_path):
    """The way of the app's button: what the command prints of each line of progress is in the job's log."""
    runs = copied(trained, tmp_path / "runs")
    job = wait_for_end(setup.start(replace(HEAD, epochs=0.5), runs / "cnn-tiny-0.npz", runs))
    assert job.state == "finished", job.log_tail
    learning = [line for line in (job.folder / progress.LOG).read_text().splitlines() if line.startswith("learning")]
    assert "learning 0%" in learning[0] and "s left" not in learning[0], "not known before the first step"
    assert "learning 100%" in learning[-1] and "s left" in learning[-1]


def kill_at_random(trained, runs: Path, seed: int) -> None:
    """Start a job, kill it at a random moment, see that nothing is half there, go on, see that it ends as it should."""
    rng = random.Random(seed)
    parent = runs / "cnn-tiny-0.npz"
    before = parent.read_bytes()
    config = RetrainConfig(focus="hardest:3", seconds=2, train_layers=rng.choice(["all", "head"]), threads=1)
    job = setup.start(config, parent, runs)
    phase = rng.choice(["starting", "learning", "evaluating", "writing"])
    wait_until(
        lambda: (
            read_job(job.folder).progress.last["phase"] in (phase, "writing") or read_job(job.folder).state != "running"
        )
    )
    time.sleep(rng.random())
    pid = read_json(job.folder / progress.PROCESS)["pid"]
    try:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    except (ProcessLookupError, ChildProcessError):
        pass
    job = read_job(job.folder)
    assert job.state in ("killed", "finished")
    if retrained_path(job.folder).exists():
        load_run(retrained_path(job.folder))
    assert parent.read_bytes() == before
    if job.state == "killed":
        job = wait_for_end(go_on(job.folder))
    assert job.state == "finished", job.log_tail
    assert load_run(retrained_path(job.folder)).n_images == 1000
    assert not list((runs / "retrained").rglob("*.tmp"))


@pytest.mark.parametrize("seed", range(2))
def test_killed_at_random_and_gone_on(trained, tmp_path, seed):
    kill_at_random(trained, copied(trained, tmp_path / "runs"), seed)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2, 20))
def test_killed_at_random_and_gone_on_many_times(trained, tmp_path, seed):
    kill_at_random(trained, copied(trained, tmp_path / "runs"), seed)


@pytest.mark.parametrize(("given", "used"), [(None, "passive"), ("active", "active")])
def test_threads_of_a_job_do_not_spin_while_they_wait_unless_they_are_told_to(tmp_path, monkeypatch, given, used):
    monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
    if given:
        monkeypatch.setenv("OMP_WAIT_POLICY", given)
    (tmp_path / "asked.py").write_text("import os; print(os.environ['OMP_WAIT_POLICY'], os.environ['MORE'])")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with (tmp_path / "log").open("wb") as log:
        assert processes.detached(["asked"], log, MORE="told").wait(60) == 0
    assert (tmp_path / "log").read_text().split() == [used, "told"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no named pipes here: run on Linux or macOS")
def test_a_pipe_in_place_of_weights_has_no_digest(tmp_path):
    """It would be read for ever."""
    os.mkfifo(tmp_path / "model.pt")
    with pytest.raises(CifarcoreError, match="is no file, but a folder, a pipe or a device"):
        folders.file_digest(tmp_path / "model.pt")
