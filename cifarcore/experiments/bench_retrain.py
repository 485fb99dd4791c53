"""What a short retraining takes and gives on this machine: the waits of whoever presses the button, and what is
learned.

Works on copies of the parents. The test split is looked at once the settings stand: nothing here may choose them.
"""

import shutil
import tempfile
import time
from pathlib import Path
from statistics import median

import pandas as pd

from cifarcore.config import RetrainConfig
from cifarcore.errors import CifarcoreError
from cifarcore.evidence import metrics
from cifarcore.experiments.bench_app import filter_changes
from cifarcore.experiments.bench_browser import TIMEOUT_MS, chromium, opened, server
from cifarcore.retraining import folders, jobs, setup
from cifarcore.retraining.folders import retrained_path, weights_path
from cifarcore.runs.run import load_run

SEEDS = (0, 1, 2)
#: change of the focus classes' mean F1 that a minute is to give; a third of it, half
AIMS = {"cnn": 0.03, "resnet18": 0.02}
#: what a minute of the default of before gave the bundled parents on the same machine, mean of the seeds (RESULTS.md)
BEFORE = {"cnn-quick-0": {"focus F1": 0.444, "accuracy": 0.668}}
# model B, as the sidebar shows it, is the new run
_COMPARED = """() => {
    const box = document.querySelector('.st-key-B');
    return `${box?.innerText} ${box?.querySelector('input')?.value}`.includes('retrained/');
}"""
KEYS = ("ArrowLeft",) * 7


def retrain_table(root: Path, cnn: Path, resnet: Path, seconds: float = 60.0) -> pd.DataFrame:
    """Rows of what, value, unit: waits in seconds, and F1 and accuracy of the parent, after its retraining and after
    the recipe of before, with the change that was aimed at: means over three retraining seeds, of budgets of `seconds`
    and of a third of them.

    `cnn` and `resnet` are run files with their weights beside them, `root` is the folder of streamlit_app.py.
    Raises CifarcoreError where a retraining fails, or without a browser.
    """
    rows = []
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        for parent in (cnn, resnet):
            for path in (parent, weights_path(parent)):
                shutil.copy(path, folder / path.name)
        rows += _button(root, folder)
        for parent in (cnn, resnet):
            for budget in (seconds, seconds / 3):
                rows += _learning(folder / parent.name, folder, budget)
    return pd.DataFrame(rows)


def _button(root: Path, folder: Path) -> list[dict]:
    """In the browser: from the button to the first progress, and a filter change before and while the job learns."""
    figures = {}
    with chromium() as browser, server(root / "streamlit_app.py", {"CIFARCORE_RUNS": str(folder)}) as (url, _):
        page, _ = opened(browser, url)
        figures["filter change, idle"] = median(filter_changes(page, KEYS))
        page.locator(".st-key-retrain button").click()
        button = page.locator(".st-key-retrain-start button")
        button.wait_for(timeout=TIMEOUT_MS)
        page.get_by_text("measured here").wait_for(timeout=TIMEOUT_MS)
        began = time.monotonic()
        button.click()
        side = page.locator("[data-testid=stSidebar]")
        side.get_by_text("Starting").wait_for(timeout=TIMEOUT_MS)
        figures["button to the job shown"] = time.monotonic() - began
        side.get_by_text("step ").wait_for(timeout=TIMEOUT_MS)
        figures["button to the first steps shown"] = time.monotonic() - began
        figures["filter change, while it learns"] = median(filter_changes(page, KEYS))
        page.locator(".st-key-retrain-stop button").click()
        page.wait_for_function(_COMPARED)
    for job in folders.jobs(folder):
        folders.delete(folder, job.name)
    return [{"what": what, "mean": seconds, "unit": "s"} for what, seconds in figures.items()]


def _learning(parent: Path, folder: Path, seconds: float) -> list[dict]:
    before, outcomes = load_run(parent), []
    for seed in SEEDS:
        times, job = _timed_job(RetrainConfig(seconds=seconds, seed=seed), parent, folder)
        after = load_run(retrained_path(job.folder))
        focus = list(setup.read_setup(job.folder).focus)
        figures: dict[str, float] = {"share of what was learned": after.meta["retraining"]["weight"]}
        for name, figure in (("focus F1", lambda run: metrics.class_table(run)["f1"][focus].mean()),
                             ("accuracy", metrics.accuracy)):  # fmt: skip
            figures |= {f"{name}, parent": figure(before), name: figure(after)}
            figures[f"{name}, change"] = figures[name] - figures[f"{name}, parent"]
        outcomes.append(times | figures)
    rows = _rows(f"{parent.stem}, {seconds:.0f} s", pd.DataFrame(outcomes))
    aim = AIMS.get(before.meta.get("model"), 0.0) * (1.0 if seconds >= 60 else 0.5)
    rows += [{"what": f"{parent.stem}, {seconds:.0f} s: focus F1, change aimed at", "mean": aim}]
    if seconds == 60 and (old := BEFORE.get(parent.stem)):
        rows += [
            {"what": f"{parent.stem}, 60 s: {name}, recipe of before", "mean": value} for name, value in old.items()
        ]
    return rows


def _timed_job(config: RetrainConfig, parent: Path, folder: Path) -> tuple[dict[str, float], jobs.Job]:
    """Seconds from the start of a job to its first progress, its first step and its run file, by its own clock."""
    began = time.time()
    job = setup.start(config, parent, folder)
    while job.state == "running":
        time.sleep(0.2)
        job = jobs.read_job(job.folder)
    if job.state != "finished":
        raise CifarcoreError(f"{job.name}: {job.state}: {job.message}")
    lines = job.progress.lines
    first = next(line["at"] for line in lines if line["phase"] == "learning")
    steps = next(line["at"] for line in lines if line.get("step", 0) > 0)
    times = {"start to first progress": lines[0]["at"], "start to learning": first, "start to first steps": steps}
    times["start to the run file"] = retrained_path(job.folder).stat().st_mtime
    return {what: at - began for what, at in times.items()}, job


def _rows(where: str, outcomes: pd.DataFrame) -> list[dict]:
    return [
        {
            "what": f"{where}: {what}",
            "mean": values.mean(),
            "least": values.min(),
            "most": values.max(),
            "unit": "s" if what.startswith("start") else "",
        }
        for what, values in outcomes.items()
    ]
