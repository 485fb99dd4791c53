"""How smoothly the explorer's maps pan and zoom, and what the page sends: frame times in headless Chromium, no GPU.

python -m cifarcore.experiments.bench_explorer [IMAGES]
"""

import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from cifarcore.experiments.bench_browser import TIMEOUT_MS, chromium, opened, server, timed
from cifarcore.runs.run import Run, save_run

ROOT = Path(__file__).resolve().parents[2]
N_CLASSES = 100
#: frames between two moments, by requestAnimationFrame, and the milliseconds that each took to draw
_RECORD = """() => {
    window.benchFrames = [];
    let before = performance.now();
    const next = (now) => {
        window.benchFrames.push(now - before);
        before = now;
        if (!window.benchDone) requestAnimationFrame(next);
    };
    window.benchDone = false;
    requestAnimationFrame(next);
}"""
_STOP = "() => { window.benchDone = true; return window.benchFrames.slice(2); }"


def made_pair(folder: Path, n_images: int) -> None:
    """Two run files of `n_images` generated images in a hundred clusters, into `folder`."""
    rng = np.random.default_rng(0)
    labels = rng.integers(N_CLASSES, size=n_images)
    ids = rng.integers(2**63, size=n_images, dtype=np.uint64)
    centres = rng.normal(size=(N_CLASSES, 2)) * 20
    for model, accuracy in (("first", 0.6), ("second", 0.75)):
        wrong = rng.random(n_images) > accuracy
        predicted = np.where(wrong, rng.integers(N_CLASSES, size=n_images), labels)
        logits = rng.normal(size=(n_images, N_CLASSES)).astype(np.float32)
        logits[np.arange(n_images), predicted] += 8
        names = [f"class {k}" for k in range(N_CLASSES)]
        run = Run.from_predictions(logits, labels, class_names=names, sample_ids=ids, kind="logits", model=model)
        places = (centres[labels] + rng.normal(size=(n_images, 2)) * 2).astype(np.float32)
        save_run(replace(run, tsne=places), folder / f"{model}-0.npz")


def frame_table(n_images: int) -> pd.DataFrame:
    """Median and 95th percentile of the milliseconds between two frames of a pan and of a zoom, and the MB sent."""
    with tempfile.TemporaryDirectory() as name, chromium() as browser:
        made_pair(Path(name), n_images)
        with server(ROOT / "streamlit_app.py", {"CIFARCORE_RUNS": name}) as (url, _):
            page, received = opened(browser, url)
            before = received["bytes"]
            timed(page, lambda: page.locator("[data-testid=stSidebarNav] a", has_text="Explorer").click())
            page.wait_for_selector("canvas.maps", timeout=TIMEOUT_MS)
            page.wait_for_timeout(1000)
            sent = (received["bytes"] - before) / 1e6
            rows = [_frames(page, what, act) for what, act in (("pan", _pan), ("zoom", _zoom))]
    return pd.DataFrame(rows).assign(images=n_images, sent_mb=round(sent, 2))


def _frames(page, what: str, act) -> dict:
    page.evaluate(_RECORD)
    act(page)
    frames = np.array(page.evaluate(_STOP))
    return {
        "what": what,
        "frames": len(frames),
        "median_ms": round(float(np.median(frames)), 1),
        "p95_ms": round(float(np.quantile(frames, 0.95)), 1),
    }


def _middle(page) -> tuple[float, float]:
    box = page.locator("canvas.maps").bounding_box()
    return box["x"] + box["width"] / 4, box["y"] + box["height"] / 2


def _pan(page) -> None:
    x, y = _middle(page)
    page.get_by_role("button", name="Move", exact=True).click()
    page.mouse.move(x, y)
    page.mouse.down()
    for step in range(120):
        page.mouse.move(x + 100 * np.sin(step / 10), y + 100 * np.cos(step / 10))
    page.mouse.up()


def _zoom(page) -> None:
    page.mouse.move(*_middle(page))
    for step in range(120):
        page.mouse.wheel(0, -60 if step < 60 else 60)


if __name__ == "__main__":
    print(frame_table(int(sys.argv[1]) if len(sys.argv) > 1 else 50_000).to_string(index=False))
