"""What a short retraining takes and gives on this machine: the waits of whoever presses the button, and what is
learned.

Works on copies of the parents. The test split is looked at once the settings stand: nothing here may choose them.
"""

import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import pandas as pd

from cifarcore.config import RetrainConfig
from cifarcore.data.cifar100 import Dataset
from cifarcore.errors import CifarcoreError
from cifarcore.experiments.bench_app import filter_changes
from cifarcore.experiments.bench_browser import TIMEOUT_MS, chromium, opened, server
from cifarcore.experiments.retrain_aims import aims_table, learn_as_before
from cifarcore.retraining import folders, jobs, setup
from cifarcore.retraining.folders import retrained_path, weights_path
from cifarcore.runs.run import load_run

SEEDS = (0, 1, 2)
# model B, as the sidebar shows it, is the new run
_COMPARED = """() => {
    const box = document.querySelector('.st-key-B');
    return `${box?.innerText} ${box?.querySelector('input')?.value}`.includes('retrained/');
}"""
KEYS = ("ArrowLeft",) * 7


def retrain_tables(
    root: Path, cnn: Path, resnet: Path, load_dataset: Callable[[str], Dataset], seconds: float = 60.0
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Waits in seconds, rows of what, mean, least, most; and what was learned beside the aims (`aims_table`), over
    retraining SEEDS, with columns run and budget: of budgets of `seconds` and of a third of them.

    `cnn` and `resnet` are run files with their weights beside them, `root` is the folder of streamlit_app.py,
    `load_dataset` gives the data set of a name. Raises CifarcoreError where a retraining fails, or without a browser.
    """
    waits, aims = [], []
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        for parent in (cnn, resnet):
            for path in (parent, weights_path(parent)):
                shutil.copy(path, folder / path.name)
        waits += _button(root, folder)
        for parent in (folder / cnn.name, folder / resnet.name):
            dataset = load_dataset(str(load_run(parent).meta["config"]["dataset"]))
            for budget in (seconds, seconds / 3):
                rows, table = _learning(parent, folder, budget, dataset)
                waits += rows
                aims.append(table)
    return pd.DataFrame(waits), pd.concat(aims, ignore_index=True)


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


def _learning(parent: Path, folder: Path, seconds: float, dataset: Dataset) -> tuple[list[dict], pd.DataFrame]:
    times, after = [], []
    for seed in SEEDS:
        waits, job = _timed_job(RetrainConfig(seconds=seconds, seed=seed), parent, folder)
        after.append(load_run(retrained_path(job.folder)))
        times.append(waits | {"share of what was learned": after[-1].meta["retraining"]["weight"]})
    focus = setup.read_setup(job.folder).focus
    previous = [learn_as_before(parent, dataset, seconds, seed) for seed in SEEDS]
    aims = aims_table(load_run(parent), after, previous, focus, seconds)
    aims.insert(0, "run", parent.stem)
    aims.insert(1, "budget", f"{seconds:.0f} s")
    return _rows(f"{parent.stem}, {seconds:.0f} s", pd.DataFrame(times)), aims


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
