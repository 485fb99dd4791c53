"""Many files, large files and several sessions at once, in short; `cifarcore bench app --size` and `--sessions` at
length.
"""

import numpy as np
import pytest
from processes import ROOT

from cifarcore.errors import CifarcoreError
from cifarcore.evidence import metrics
from cifarcore.experiments import bench_browser, bench_load
from cifarcore.runs.run import load_run, save_run


def test_the_benchmarks_runs_are_of_the_same_images_and_of_some_skill(tmp_path):
    a, b = (bench_load.made_run(2000, 50, model, seed) for seed, model in enumerate(("first", "second")))
    assert np.array_equal(a.sample_ids, b.sample_ids) and np.array_equal(a.labels, b.labels)
    assert 0.3 < metrics.accuracy(a) < metrics.accuracy(b) < 0.95
    assert load_run(save_run(a, tmp_path / "a.npz")).n_classes == 50


def test_many_files_are_listed_from_their_headers():
    table = bench_load.files_table(n_files=50, n_images=500, n_classes=10)
    assert table["what"].tolist() == ["picker of 50 run files, first", "picker of 50 run files, again"]


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    for seed, model in enumerate(("first", "second")):
        save_run(bench_load.made_run(1000, 20, model, seed), folder / f"{model}.npz")
    return folder


def soak(runs, sessions, minutes) -> dict[str, float]:
    try:
        bench_browser.chromium_path()
    except CifarcoreError as error:
        pytest.skip(str(error))
    table = bench_load.sessions_table(ROOT, runs, sessions, minutes)
    return table.set_index("what")["value"].to_dict()


LOSES_A_CLICK = """<div data-testid=stApp data-test-script-state=notRunning><button>Go</button></div><script>
    let clicks = 0;
    const app = document.querySelector('div');
    document.querySelector('button').onclick = () => {
        if (++clicks < 2) return;
        app.dataset.testScriptState = 'running';
        setTimeout(() => { app.dataset.testScriptState = 'notRunning'; }, 300);
    };
</script>"""


@pytest.mark.browser
def test_a_click_that_the_page_loses_is_made_again_and_its_wait_counts(chromium, monkeypatch):
    monkeypatch.setattr(bench_browser, "ANSWERED", bench_browser.ANSWERED.replace(f"{bench_browser.LOST_MS}", "500"))
    page = chromium.new_page()
    page.set_content(LOSES_A_CLICK)
    assert 0.8 < bench_browser.timed(page, page.get_by_text("Go").click) < 5
    assert page.evaluate("clicks") == 2
    page.close()


@pytest.mark.browser
def test_sessions_at_once_fail_nowhere_and_take_little_memory(runs):
    found = soak(runs, sessions=3, minutes=0.2)
    assert found["failures"] == 0 and found["answers"] >= 3
    assert found["each of 2 further sessions"] < 50


@pytest.mark.slow
@pytest.mark.browser
def test_an_hours_soak_leaks_nothing(runs):
    found = soak(runs, sessions=20, minutes=60)
    assert found["failures"] == 0 and found["growth over the second half"] < 50
