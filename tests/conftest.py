"""What all tests share. Their helpers are imported by name: `from made import made_run`."""

import os
import shutil
import sys

import pytest

from cifarcore.experiments.bench_browser import CHROMIUM_FLAGS

# One thread each: the tests run side by side with others, and a single thread repeats its sums to the last bit.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("NUMBA_NUM_THREADS", "1")
# A GPU's sums are not repeated to the last bit; CUDA_VISIBLE_DEVICES=0 has the tests use one all the same.
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")

CHROMIUM = next(
    (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None
)


@pytest.fixture(autouse=True)
def own_main(monkeypatch):
    """Streamlit's AppTest puts its script in the place of `__main__`, from which a spawned process would start."""
    monkeypatch.setitem(sys.modules, "__main__", sys.modules["__main__"])


@pytest.fixture(autouse=True)
def read_here(request):
    """Files are read by the test's own process, in which bounds can be set: another for each file takes a second. Tests
    that are marked `apart` read them as users do.
    """
    from cifarcore.runs import formats

    with pytest.MonkeyPatch.context() as patch:  # of its own: a test may undo its
        if "apart" not in request.keywords:
            patch.setattr(formats, "_read_apart", formats.read_here)
        yield


@pytest.fixture
def own_place(tmp_path, monkeypatch):
    """No runs, no pictures, no speeds and no lock but the test's own."""
    monkeypatch.delenv("CIFARCORE_RUNS", raising=False)
    monkeypatch.setenv("CIFARCORE_DATA", str(tmp_path / "no-data"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def folder(tmp_path, own_place):
    """An empty folder of runs; no pictures."""
    runs = tmp_path / "checkpoints"
    runs.mkdir()
    return runs


def watched(new_context):
    """Contexts whose pages know when they were answered last, which `settle` asks."""
    from browser.driving import WATCH

    def opened(**options):
        context = new_context(**options)
        context.add_init_script(WATCH)
        return context

    return opened


@pytest.fixture(scope="session")
def chromium():
    """The one browser of a test run: playwright's engine can be started only once in a process."""
    if CHROMIUM is None:
        pytest.skip("no Chromium on this machine: install the package chromium")
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is missing: pip install -e '.[test]'")
    with playwright.sync_playwright() as engine:
        browser = engine.chromium.launch(executable_path=CHROMIUM, args=list(CHROMIUM_FLAGS))
        browser.new_context = watched(browser.new_context)
        yield browser
        browser.close()
