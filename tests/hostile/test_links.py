"""A folder of runs that came from someone else holds links: nothing outside it is read, written or deleted by them."""

import os

import pytest
from made import made_run
from pages import run as page
from pages import two_models, write
from places import contents

from cifarcore.app.catalog import find_runs
from cifarcore.config import ImportConfig, RetrainConfig
from cifarcore.errors import CifarcoreError
from cifarcore.reports.summary import SUMMARY
from cifarcore.retraining import folders, jobs, progress, setup, speeds
from cifarcore.runs import importing
from cifarcore.runs.run import save_run


@pytest.fixture
def outside(tmp_path):
    place = tmp_path / "outside"
    place.mkdir()
    for name in ("log.txt", "progress.jsonl", "ballast", "measuring.txt", "speeds.json", "private.txt"):
        (place / name).write_text("precious\n")
    save_run(made_run(n_images=20), place / "somebody.npz")
    (place / "somebody.pictures.zip").write_bytes(b"PK")
    (place / "somebody.pt").write_bytes(b"weights")
    return place


@pytest.fixture
def job(folder):
    save_run(made_run(n_images=20, model="cnn", preset="quick"), folder / "cnn-quick-0.npz")
    (folder / "cnn-quick-0.pt").write_bytes(b"weights")
    return setup.create(RetrainConfig(focus="all", seconds=5.0), folder / "cnn-quick-0.npz", folder, "gift")


@pytest.mark.parametrize("name", [
    progress.LOG, progress.PROGRESS, progress.BALLAST, progress.STOP, progress.PROCESS, progress.STARTED,
    progress.RESULT, folders.STATE,
])  # fmt: skip
def test_a_link_in_a_jobs_folder_stops_all_work_on_it(folder, job, outside, name):
    (job / name).symlink_to(outside / ("log.txt" if name != progress.STOP else "made-by-stop"))
    before = contents(outside)
    for work in (jobs.read_job, jobs.stop, setup.go_on, lambda folder: jobs.working(folder).__enter__()):
        with pytest.raises(CifarcoreError, match=f"{name}: is no file of the job's own, such as a link; remove it"):
            work(job)
    assert folders.jobs(folder) == [] and jobs.Job(job, "failed").log_tail == ""
    assert jobs.Job(job, "failed").progress.lines == ()
    assert contents(outside) == before


def test_a_pipe_in_a_jobs_folder_is_not_waited_for(folder, job):
    os.mkfifo(job / progress.LOG)
    assert folders.jobs(folder) == [] and progress.read_text(job / progress.LOG) == ""


def test_no_pattern_in_a_jobs_settings_walks_the_disk(job):
    kept = progress.read_json(job / progress.SETUP)
    progress.write_json(job / progress.SETUP, kept | {"weights_digest": "../../**/x"})
    with pytest.raises(CifarcoreError, match="weights_digest is no digest"):
        setup.read_setup(job)


@pytest.mark.parametrize("place", ["retrained", "imported"])
def test_a_place_that_is_a_link_is_left_alone_and_said(folder, outside, place):
    write(folder, *two_models())
    (folder / place).symlink_to(outside)
    before = contents(outside)
    catalog = find_runs(folder)
    assert set(catalog.groups) == {"cnn-made", "resnet18-made"} and list(catalog.refused) == [f"{place}/"]
    for work in (
        (
            lambda: importing.import_file(
                folder / "cnn-made-0.npz", importing.imported_path(folder, "x"), ImportConfig()
            ),
            lambda: importing.delete(folder, "somebody"),
        )
        if place == "imported"
        else (
            lambda: speeds.start_measuring(RetrainConfig(), folder / "cnn-made-0.npz", folder),
            lambda: speeds.save_speed(folder, {}, RetrainConfig(), {"learning": 1.0}),
            lambda: folders.delete(folder, "somebody"),
        )
    ):
        with pytest.raises(CifarcoreError, match=f"{place}: is a link out of its folder"):
            work()
    assert speeds.measuring(folder) == (False, "") and speeds.speed_of(folder, {}, RetrainConfig()) == {}
    assert setup.parents(folder) == [] and contents(outside) == before
    sidebar = page(folder, "overview").sidebar
    assert any(f"**{place}/**" in each.value for each in sidebar.markdown)


def test_links_among_imported_and_retrained_runs_are_not_read(folder, outside):
    write(folder, *two_models())
    for place in ("retrained", "imported"):
        (folder / place).mkdir()
        (folder / place / "link.npz").symlink_to(outside / "somebody.npz")
        (folder / place / "link.pt").symlink_to(outside / "somebody.pt")
    assert list(find_runs(folder).refused) == ["retrained/link.npz", "imported/link.npz"]
    assert setup.parents(folder) == []


def test_a_link_at_the_top_is_followed_and_said(folder, outside):
    write(folder, *two_models())
    (folder / "theirs.npz").symlink_to(outside / "somebody.npz")
    assert find_runs(folder).linked == ("theirs.npz",)
    assert any("run files elsewhere (1)" in each.value for each in page(folder, "overview").sidebar.caption)


def test_a_summary_that_is_a_link_is_not_offered(folder, outside):
    write(folder, *two_models())
    (folder / SUMMARY).symlink_to(outside / "private.txt")
    app = page(folder, "overview")
    assert not [each for each in app.get("download_button") if "Summary" in each.proto.label]
    (folder / SUMMARY).unlink()
    (folder / SUMMARY).write_text("fine")
    assert [each for each in page(folder, "overview").get("download_button") if "Summary" in each.proto.label]
