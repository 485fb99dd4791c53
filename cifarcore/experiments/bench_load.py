"""How time and memory of the app grow: with images and classes, with run files in the folder, and with sessions at
once.

Made-up run files, a real server and headless Chromium. Memory is the server process's resident set, as psutil has it.
"""

import asyncio
import itertools
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import psutil

from cifarcore.app.catalog import find_runs
from cifarcore.errors import CifarcoreError
from cifarcore.experiments.bench_app import PAGES, filter_changes
from cifarcore.experiments.bench_browser import (
    ANSWERED,
    CALM,
    CHROMIUM_FLAGS,
    TIMEOUT_MS,
    TRIES,
    WATCH,
    chromium,
    chromium_path,
    opened,
    server,
    timed,
)
from cifarcore.runs.run import Run, save_run

SIZES = ((1_000, 10), (10_000, 100), (50_000, 100), (50_000, 1_000))
FILES = 200
VISITED = tuple(title for title in PAGES if title != "Replication")  #: made-up runs replicate no report
PAUSE_SECONDS = 5.0


def size_table(root: Path, sizes: tuple[tuple[int, int], ...] = SIZES) -> pd.DataFrame:
    """A row for each (images, classes): two made runs opened, every page visited twice, the filter changed.

    Seconds from a visit to a page that stands still; `open` is from an idle server to the overview, with everything
    that is computed once. MiB: the files on disk, and the server's memory before the visit, at its highest and at the
    end.
    """
    rows = []
    for n_images, n_classes in sizes:
        with _made_folder() as folder:
            for seed, model in enumerate(("first", "second")):
                save_run(made_run(n_images, n_classes, model, seed), folder / f"{model}.npz")
            files = sum(path.stat().st_size for path in folder.iterdir())
            with chromium() as browser, _measured(root, folder) as (url, memory):
                idle = memory.now()
                began = time.monotonic()
                page, _ = opened(browser, url)
                page.wait_for_function(CALM, polling="raf", timeout=TIMEOUT_MS)
                row = {"images": n_images, "classes": n_classes, "open s": time.monotonic() - began}
                for visit in ("first", "again"):
                    seconds = {title: timed(page, _click(page, title)) for title in VISITED}
                    slowest = max(seconds, key=seconds.get)
                    row |= {f"{visit} visit s": seconds[slowest], f"slowest {visit}": slowest}
                row["filter s"] = float(np.median(filter_changes(page)))
                row |= {"files MiB": files >> 20, "idle MiB": idle, "most MiB": memory.most, "end MiB": memory.now()}
        rows.append(row)
    return pd.DataFrame(rows)


def files_table(n_files: int = FILES, n_images: int = 10_000, n_classes: int = 100) -> pd.DataFrame:
    """Seconds of listing `n_files` run files, from their headers alone: the first time, and again."""
    import streamlit as st

    with _made_folder() as folder:
        path = save_run(made_run(n_images, n_classes, "first", 0), folder / "run-0.npz")
        for number in range(1, n_files):
            os.link(path, folder / f"run-{number}.npz")
        rows = []
        st.cache_resource.clear()
        for when in ("first", "again"):
            began = time.monotonic()
            n_groups = len(find_runs(folder).groups)
            rows.append(
                {"what": f"picker of {n_groups} run files, {when}", "value": time.monotonic() - began, "unit": "s"}
            )
    return pd.DataFrame(rows)


def sessions_table(
    root: Path, runs: Path, sessions: int = 20, minutes: float = 2.0, pause: float = PAUSE_SECONDS
) -> pd.DataFrame:
    """`sessions` browser contexts at once, each acting `pause` seconds after its last answer, for `minutes`.

    Seconds of the answers to a filter change and to a page switch (median and 95%), failures, the memory of each
    session after the first, and what the server's memory grew by over the second half of the time.
    """
    path = chromium_path()
    # a thread of its own, since whoever calls this may have an event loop already
    with _measured(root, runs) as (url, memory), ThreadPoolExecutor(1) as beside:
        measured = beside.submit(lambda: asyncio.run(_sessions(path, url, sessions, minutes, pause, memory))).result()
    answers = pd.DataFrame(measured.answers, columns=["what", "seconds"])
    rows = [
        {"what": f"{what}, {name}", "value": values.quantile(share), "unit": "s"}
        for what, values in answers.groupby("what", sort=False).seconds
        for name, share in (("median", 0.5), ("95%", 0.95))
    ]
    further = max(sessions - 1, 1)
    rows += [
        {"what": "answers", "value": len(answers), "unit": ""},
        {"what": "failures", "value": measured.failures, "unit": ""},
        {"what": "memory with one session", "value": measured.alone, "unit": "MiB"},
        {
            "what": f"each of {further} further sessions",
            "value": (measured.together - measured.alone) / further,
            "unit": "MiB",
        },
        {"what": "growth over the second half", "value": measured.end - measured.half, "unit": "MiB"},
    ]
    return pd.DataFrame(rows)


def made_run(n_images: int, n_classes: int, model: str, seed: int) -> Run:
    """Scores as a trained network of some skill might give them, with maps and superclasses; the same images for
    all.
    """
    images, noise = np.random.default_rng([n_images, n_classes]), np.random.default_rng([n_images, n_classes, seed])
    labels = images.permutation(np.arange(n_images) % n_classes).astype(np.int16)
    ids, difficulty = np.arange(n_images, dtype=np.uint64), images.standard_normal(n_images)
    logits = noise.standard_normal((n_images, n_classes), dtype=np.float32).astype(np.float16)
    logits[np.arange(n_images), labels] += (np.log(n_classes) + seed * 0.3 - 1.5 * difficulty).astype(np.float16)
    angle = 2 * np.pi * labels / n_classes
    centers = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    groups = -(-n_classes // 5)
    return Run(
        class_names=np.array([f"class {index:05d}" for index in range(n_classes)]),
        sample_ids=ids,
        labels=labels,
        logits=logits,
        meta={"model": model, "seed": 0, "dataset": {"name": "made-up images"}},
        superclass_names=np.array([f"group {index:05d}" for index in range(groups)]),
        superclass_of=(np.arange(n_classes) // 5).astype(np.int16),
        tsne=(centers + 0.1 * noise.standard_normal((n_images, 2))).astype(np.float32),
        umap=(centers + 0.2 * noise.standard_normal((n_images, 2))).astype(np.float32),
    )


class _Memory:
    """The resident memory of a process and its children, MiB, looked at ten times a second."""

    def __init__(self, process: psutil.Process):
        self.process, self.most, self._ended = process, 0.0, threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def now(self) -> float:
        family = [self.process, *self.process.children(recursive=True)]
        mebibytes = sum(each.memory_info().rss for each in family) / 2**20
        self.most = max(self.most, mebibytes)
        return mebibytes

    def end(self) -> None:
        self._ended.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._ended.wait(0.1):
            try:
                self.now()
            except psutil.Error:
                return


@contextmanager
def _made_folder() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="cifarcore-bench-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _measured(root: Path, runs: Path) -> Iterator[tuple[str, _Memory]]:
    """The app over `runs`, and the memory of its server."""
    before = {process.pid for process in psutil.Process().children(recursive=True)}
    with server(root / "streamlit_app.py", {"CIFARCORE_RUNS": str(runs)}) as (url, _):
        port = int(url.rpartition(":")[2])
        process = next(
            each
            for each in psutil.Process().children()
            if each.pid not in before and f"{port}" in " ".join(each.cmdline())
        )
        memory = _Memory(process)
        try:
            yield url, memory
        finally:
            memory.end()


def _click(page, title: str):
    return lambda: page.locator("[data-testid=stSidebarNav] a", has_text=title).click()


@dataclass
class _Sessions:
    """What the sessions found: answers (what, seconds), failures, and the server's memory in MiB at four moments."""

    answers: list[tuple[str, float]] = field(default_factory=list)
    failures: int = 0
    alone: float = 0.0
    together: float = 0.0
    half: float = 0.0
    end: float = 0.0


async def _sessions(path: str, url: str, sessions: int, minutes: float, pause: float, memory: _Memory) -> _Sessions:
    from playwright.async_api import async_playwright

    sessions_seen = _Sessions()
    async with async_playwright() as engine:
        browser = await engine.chromium.launch(executable_path=path, args=list(CHROMIUM_FLAGS))
        pages = []
        for _ in range(sessions):
            context = await browser.new_context(viewport={"width": 1280, "height": 1000})
            page = await context.new_page()
            page.set_default_timeout(TIMEOUT_MS)
            await page.goto(url)
            for title in VISITED:
                await _answer(page, page.locator("[data-testid=stSidebarNav] a", has_text=title).click)
            pages.append(page)
            if len(pages) == 1:
                sessions_seen.alone = memory.now()
        sessions_seen.together = memory.now()
        began = time.monotonic()
        acting = [_act(page, index, began + 60 * minutes, pause, sessions_seen) for index, page in enumerate(pages)]
        await asyncio.gather(*acting, _at_half_time(30 * minutes, sessions_seen, memory))
        sessions_seen.end = memory.now()
        await browser.close()
    return sessions_seen


async def _act(page, index: int, end: float, pause: float, seen: _Sessions) -> None:
    """One user: half of the actions change the filter, half the page."""
    rng = np.random.default_rng(index)
    keys = itertools.cycle(("ArrowLeft", "ArrowRight"))  # by chance the slider would stand at its end and not answer
    await asyncio.sleep(pause * rng.random())
    while time.monotonic() < end:
        if rng.random() < 0.5:
            what, act = (
                "page switch",
                page.locator("[data-testid=stSidebarNav] a", has_text=str(rng.choice(VISITED))).click,
            )
        else:
            slider = page.locator(".st-key-hardest input[type=range], .st-key-hardest [role=slider]").first
            what, act = "filter change", partial(slider.press, next(keys))
        try:
            seen.answers.append((what, await _answer(page, act)))
            seen.failures += await page.locator("[data-testid=stException]").count()
        except Exception as error:  # whatever playwright raises: a session that does not answer
            print(f"session {index}, {what}: {str(error)[:200]}")
            seen.failures += 1
        await asyncio.sleep(pause)


async def _answer(page, act: Callable[[], Awaitable]) -> float:
    """As bench_browser.timed, but looking ten times a second: at every frame, twenty waiting pages keep a core busy."""
    await page.wait_for_function(CALM, polling=100, timeout=TIMEOUT_MS)
    began = time.monotonic()
    for _ in range(TRIES):
        await page.evaluate(WATCH)
        await act()
        answered = await page.wait_for_function(ANSWERED, polling=100, timeout=TIMEOUT_MS)
        if await answered.json_value() == "ran":
            break
    else:
        raise CifarcoreError(f"the app did not answer {TRIES} clicks")
    await page.evaluate("window.benchCalm = 0")
    held = await page.wait_for_function(CALM, polling=100, timeout=TIMEOUT_MS)
    elapsed = time.monotonic() - began
    return elapsed - await held.json_value() / 1000


async def _at_half_time(seconds: float, seen: _Sessions, memory: _Memory) -> None:
    await asyncio.sleep(seconds)
    seen.half = memory.now()
