"""A job's folder and the lock of a machine: kills, full disks, damaged files, two at once. Real processes, no torch."""

import errno
import json
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest
from processes import wait_until

from cifarcore.errors import CifarcoreError
from cifarcore.retraining import folders, jobs, processes, progress
from cifarcore.retraining.jobs import Busy, DiskFull, read_job, working
from cifarcore.retraining.progress import read_progress

# a job that counts until it is told to stop
COUNTING = """
import sys, time
from pathlib import Path
from cifarcore.retraining import jobs
folder = Path(sys.argv[1])
with jobs.working(folder) as record:
    for step in range(10_000):
        record("learning", learned=step / 100, step=step, loss=1.0)
        if jobs.stop_asked(folder):
            record.end("stopped", f"at step {step}")
            break
        time.sleep(0.01)
"""


@pytest.fixture(autouse=True)
def own_lock(own_place, monkeypatch):
    monkeypatch.setattr(processes, "NICE", 0)  # a raised one could not be lowered again


def new_folder(place: Path, name: str = "job") -> Path:
    (place / name).mkdir(parents=True)
    (place / name / progress.SETUP).write_text("{}")
    return place / name


def start(folder: Path, before: str = "") -> subprocess.Popen:
    """A counting job in a process of its own, which runs the line `before` first."""
    code = COUNTING.replace("folder =", f"{before}\nfolder =")
    return subprocess.Popen(
        [sys.executable, "-c", code, str(folder)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def test_a_job_runs_stops_and_says_how_it_ended(tmp_path):
    folder = new_folder(tmp_path)
    assert read_job(folder).state == "killed" and "never began" in read_job(folder).message
    process = start(folder)
    wait_until(lambda: len(read_progress(folder).lines) > 3)
    job = read_job(folder)
    assert job.state == "running" and not job.stopping and not job.can_go_on
    jobs.stop(folder)
    assert process.wait(60) == 0
    job = read_job(folder)
    assert job.state == "stopped" and job.message.startswith("at step") and job.progress.corrupt == 0
    assert job.progress.lines[0]["phase"] == "starting" and job.progress.last["phase"] == "learning"
    with pytest.raises(CifarcoreError, match="has ended"), working(folder):
        pass


def test_a_stop_that_is_asked_before_the_job_holds_its_lock_is_heard(tmp_path):
    folder = new_folder(tmp_path)
    process = start(
        folder, "print('begun', flush=True)\nwhile not Path(sys.argv[1], 'stop').exists(): time.sleep(0.01)"
    )
    assert process.stdout.readline() == "begun\n"
    jobs.stop(folder)
    assert process.wait(60) == 0 and read_job(folder).message == "at step 0"


def test_a_stop_that_was_asked_of_an_earlier_process_is_forgotten(tmp_path):
    folder = new_folder(tmp_path)
    jobs.stop(folder)
    os.utime(folder / progress.STOP, (time.time() - 60,) * 2)
    process = start(folder)
    wait_until(lambda: len(read_progress(folder).lines) > 3)
    assert read_job(folder).state == "running" and not jobs.stop_asked(folder)
    jobs.stop(folder)
    assert process.wait(60) == 0


def test_a_killed_job_says_so_frees_the_lock_and_can_go_on(tmp_path):
    folder = new_folder(tmp_path)
    process = start(folder)
    wait_until(lambda: read_progress(folder).last["phase"] == "learning")
    process.send_signal(signal.SIGKILL)
    process.wait()
    job = read_job(folder)
    assert job.state == "killed" and job.can_go_on
    steps = len(job.progress.lines)
    with working(folder) as record:  # at once: a dead holder keeps nothing
        assert read_job(folder).state == "running"
        record.end("finished", "went on")
    job = read_job(folder)
    assert job.state == "finished" and len(job.progress.lines) == steps + 1


def test_a_discarded_job_ends_at_once_and_leaves_nothing(tmp_path):
    folder = new_folder(tmp_path / folders.FOLDER)
    process = start(folder)
    try:
        wait_until(lambda: read_job(folder).state == "running" and read_job(folder).progress.learning)
        folders.discard(tmp_path, "job")
        assert process.wait(10) == -signal.SIGKILL and list((tmp_path / folders.FOLDER).glob("job*")) == []
        jobs.refuse_if_busy()  # the lock is free again
        with pytest.raises(CifarcoreError, match="no such retraining"):
            folders.discard(tmp_path, "job")
    finally:
        process.kill()
        process.communicate()


def test_a_second_job_is_refused_and_told_who_runs(tmp_path):
    first, second = new_folder(tmp_path, "first"), new_folder(tmp_path, "second")
    process = start(first)
    wait_until(lambda: read_job(first).state == "running")
    try:
        for attempt in (lambda: working(second).__enter__(), jobs.refuse_if_busy):
            with pytest.raises(Busy) as refused:
                attempt()
            assert (
                "first" in str(refused.value)
                and f"process {process.pid}" in str(refused.value)
                and "\n" not in str(refused.value)
            )
        assert sorted(path.name for path in second.iterdir()) == [progress.SETUP]
    finally:
        process.kill()
        process.wait()
    jobs.refuse_if_busy()


def test_whoever_is_refused_finds_the_job_running_though_its_start_is_slow(tmp_path):
    """The lock is held for two seconds before the holder is written down, as on a disk that is busy."""
    folder = new_folder(tmp_path)
    process = start(folder, "write = jobs.write_json; jobs.write_json = lambda *a: (time.sleep(2), write(*a))")
    try:
        wait_until(lambda: (folder / "ballast").exists())
        with pytest.raises(Busy, match=folder.name):
            jobs.refuse_if_busy()
        assert read_job(folder).state == "running"
    finally:
        process.kill()
        process.wait()


def test_a_job_that_ended_while_another_process_waited_for_it_is_not_done_again(tmp_path):
    folder = new_folder(tmp_path)
    with ThreadPoolExecutor(1) as pool:
        with working(folder) as record:
            waiting = pool.submit(lambda: working(folder).__enter__())
            time.sleep(0.3)
            record.end("finished", "")
        with pytest.raises(CifarcoreError, match="has ended"):
            waiting.result()
    assert read_job(folder).state == "finished"


def test_of_many_that_start_at_once_one_works(tmp_path):
    folders = [new_folder(tmp_path, f"job{number}") for number in range(4)]
    processes = [start(folder) for folder in folders]
    ended = [process for process in processes if process.poll() is None]
    wait_until(lambda: sum(process.poll() is None for process in processes) <= 1)
    alive = [folder for folder, process in zip(folders, processes, strict=True) if process.poll() is None]
    assert ended and len(alive) == 1 and read_job(alive[0]).state == "running"
    assert [read_job(folder).state for folder in folders].count("running") == 1
    jobs.stop(alive[0])
    said = [process.communicate(timeout=600)[1] for process in processes]
    assert sum("Busy" in text for text in said) == 3


def test_of_two_that_go_on_with_one_job_the_second_is_refused_and_changes_nothing(tmp_path):
    folder = new_folder(tmp_path)
    first = start(folder)
    second = None
    try:
        wait_until(lambda: len(read_progress(folder).lines) > 3)
        before = (folder / progress.PROCESS).read_bytes()
        second = start(folder)
        said = second.communicate(timeout=600)[1]
        assert second.returncode and "Busy" in said and f"process {first.pid}" in said
        assert (folder / progress.PROCESS).read_bytes() == before and read_job(folder).state == "running"
        assert sum(line["phase"] == "starting" for line in read_progress(folder).lines) == 1
        jobs.stop(folder)
        assert first.wait(60) == 0 and read_job(folder).state == "stopped"
    finally:
        for process in filter(None, (first, second)):
            process.kill()
            process.communicate()


def test_an_old_lock_file_holds_nobody_up(tmp_path):
    with working(new_folder(tmp_path)) as record:
        record.end("finished", "")
    for path in (tmp_path / "cache").rglob("retraining-*"):
        path.write_text("left over")
    (tmp_path / "cache" / "cifarcore" / f"retraining-{processes.machine()}.lock").touch()
    jobs.refuse_if_busy()


def test_a_process_id_that_now_is_anothers_is_not_the_job(tmp_path):
    folder = new_folder(tmp_path)
    mine = processes.identity(os.getpid())
    progress.write_json(folder / progress.PROCESS, mine)
    assert read_job(folder).state == "running"
    earlier = {key: mine[key] - 100 for key in ("process_started", "since_boot")}
    progress.write_json(folder / progress.PROCESS, mine | earlier)
    assert read_job(folder).state == "killed"
    for damaged in (
        {},
        {"pid": "1"},
        {"pid": -1, "process_started": 0},
        {"pid": 2**70, "process_started": 0},
        {"pid": os.getpid()},
    ):
        progress.write_json(folder / progress.PROCESS, damaged)
        assert read_job(folder).state == "killed"


def test_discarding_a_job_spares_the_process_that_has_its_id_by_now(tmp_path):
    folder = new_folder(tmp_path / folders.FOLDER)
    other = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    try:
        who = processes.identity(other.pid)
        gone = who | {key: who[key] - 100 for key in ("process_started", "since_boot")} | {"token": "a"}
        for record in (progress.PROCESS, progress.STARTED):
            progress.write_json(folder / record, gone)
        assert read_job(folder).state == "killed"
        folders.discard(tmp_path, "job")
        assert not folder.exists() and other.poll() is None and processes.is_alive(who)
    finally:
        other.kill()
        other.wait()


def test_a_dead_child_that_nobody_has_waited_for_is_dead():
    process = subprocess.Popen([sys.executable, "-c", "pass"])
    who = processes.identity(process.pid)
    wait_until(lambda: psutil.Process(process.pid).status() == psutil.STATUS_ZOMBIE)
    assert not processes.is_alive(who)
    process.wait()


def test_unreadable_lines_are_counted_and_a_half_written_one_waits(tmp_path):
    folder = new_folder(tmp_path)
    good = {"phase": "learning", "learned": 1.0, "loss": 2.0}
    lines = [
        json.dumps(good),
        "{",
        "[]",
        "null",
        '"text"',
        '{"phase": "unknown"}',
        '{"phase": "learning", "loss": []}',
        "\x00\xff",
        json.dumps(good | {"loss": float("nan")}),
    ]
    (folder / "progress.jsonl").write_text("\n".join(lines) + '\n{"phase": "lear', encoding="utf-8")
    progress = read_progress(folder)
    assert progress.corrupt == 7 and len(progress.lines) == 2
    assert progress.lines[0] == good and "loss" not in progress.lines[1]
    (folder / "progress.jsonl").write_bytes(os.urandom(1000))
    assert read_progress(folder).last == {"phase": "starting"}


def test_the_line_that_a_kill_cut_short_does_not_spoil_the_next(tmp_path):
    folder = new_folder(tmp_path)
    (folder / "progress.jsonl").write_text('{"phase": "learning", "learned": 1.0}\n{"phase": "learn')
    with working(folder) as record:
        record("learning", learned=2.0, loss=float("inf"))
        record.end("finished", "")
    progress = read_progress(folder)
    assert progress.corrupt == 1
    assert [line["phase"] for line in progress.lines] == ["learning", "starting", "learning"]
    assert "loss" not in progress.last


def test_what_was_done_again_after_a_kill_stands_in_the_curve_once():
    lines = [{"phase": "learning", "learned": float(at), "loss": float(at)} for at in (1, 2, 3, 4, 2, 3)]
    series = progress.Progress((*lines[:4], {"phase": "starting"}, *lines[4:])).series("loss")
    assert [line["learned"] for line in series] == [1, 2, 3]


def test_a_failure_is_written_down_in_one_line(tmp_path):
    folder = new_folder(tmp_path)
    with pytest.raises(ZeroDivisionError), working(folder):
        1 / 0  # noqa: B018
    job = read_job(folder)
    assert job.state == "failed" and "ZeroDivisionError" in job.message and job.can_go_on
    with pytest.raises(CifarcoreError, match="no permission"), working(folder):
        raise CifarcoreError("no permission\nto do so")
    assert read_job(folder).message == "no permission to do so"


def test_a_full_disk_is_said_in_one_line(tmp_path):
    folder = new_folder(tmp_path)
    with pytest.raises(DiskFull, match="the disk is full; make room"), working(folder):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert read_job(folder).state == "failed"


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 1 MiB, where this user may mount one."""
    place = tmp_path / "small"
    place.mkdir()
    mounted = (
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(place)], capture_output=True)
        if os.name == "posix" and os.geteuid() == 0
        else None
    )
    if mounted is None or mounted.returncode:
        pytest.skip("no tmpfs can be mounted here: run as root where mounting is allowed")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def fill(place: Path) -> Path:
    with (place / "filler").open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(1024))
        except OSError:
            pass
    return place / "filler"


def test_a_job_lives_through_a_full_disk_and_says_how_it_ended(small_disk):
    folder = new_folder(small_disk)
    with working(folder) as record:
        record("learning", learned=1.0)
        filler = fill(small_disk)
        for step in range(2000):
            record("learning", learned=2.0, step=step)  # some lines are lost, no exception
        record.end("finished", "in spite of it")
    assert read_job(folder).message == "in spite of it"
    filler.unlink()
    assert read_progress(folder).lines[1]["learned"] == 1.0


def test_what_was_reserved_is_there_when_the_disk_is_full(small_disk):
    folder = new_folder(small_disk)
    with working(folder) as record:
        record.reserve(400_000)
        fill(small_disk)
        with pytest.raises(OSError, match="No space"):
            (folder / "early").write_bytes(bytes(300_000))
        (folder / "early").unlink()
        record.release()
        (folder / "result").write_bytes(bytes(300_000))
        record.end("finished", "")
    with pytest.raises(DiskFull), working(new_folder(small_disk, "second")) as record:
        record.reserve(4 << 20)
