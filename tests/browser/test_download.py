"""The download of CIFAR-100 in a real browser, from two hosts that are played on this machine: how far it is, why it
failed, from the second host, and the pictures.
"""

import re

import numpy as np
import pytest
from driving import ROOT, press, serve, settle
from hosts import Host, make_parquet, make_small, serving

from cifarcore.data import cifar100 as data
from cifarcore.runs.run import Run, save_run

# what every process of the app runs first: the small data set stands for CIFAR-100, the two hosts are here
_STAND_IN = """
import sys
from pytest import MonkeyPatch
import hosts
from cifarcore.data import cifar100, known_images

patch = MonkeyPatch()
small = hosts.make_small(patch)
known_images.known_images = cifar100.known_images
if sys.orig_argv[-2:] == ["cifarcore", "data"]:
    splits = {{split: hosts.make_parquet(small[f"x_{{split}}"], small[f"y_{{split}}"]) for split in ("test", "train")}}
    hosts.make_archive(small, patch)
    hosts.as_toronto({toronto!r}, patch)
    hosts.as_hugging_face({face!r}, splits, patch)
"""


@pytest.fixture
def small(monkeypatch):
    return make_small(monkeypatch)


@pytest.fixture
def opened(small, chromium, tmp_path):
    """A page of the app without pictures, over two models of the small data set's test images, and both hosts."""
    runs, empty = tmp_path / "runs", tmp_path / "data"
    runs.mkdir()
    chance = np.random.default_rng(0)
    labels, ids = small["y_test"].astype(np.int64), data.sample_ids(small["x_test"])
    for model in ("cnn", "resnet18"):
        logits = chance.normal(size=(100, 100)) + 2 * np.eye(100)[labels]
        run = Run.from_predictions(
            logits, labels, class_names=data.CLASS_NAMES, sample_ids=ids, kind="logits", model=model
        )
        save_run(run, runs / f"{model}-made-0.npz")
    contents = {split: make_parquet(small[f"x_{split}"], small[f"y_{split}"]) for split in ("test", "train")}
    toronto, face = Host({}, status=503), Host(contents, status=503, piece=1 << 17, pause=0.6)
    with serving(toronto) as first, serving(face) as second:
        stand_in = tmp_path / "stand_in"
        stand_in.mkdir()
        code = _STAND_IN.format(toronto=first, face=second)
        (stand_in / "sitecustomize.py").write_text(code, encoding="utf-8")
        paths = ":".join(map(str, (stand_in, ROOT, ROOT / "tests")))
        with serve(runs, tmp_path / "server.log", CIFARCORE_DATA=str(empty), PYTHONPATH=paths) as app:
            context = chromium.new_context(viewport={"width": 1280, "height": 1000})
            page = context.new_page()
            page.set_default_timeout(180_000)
            page.goto(f"{app.url}/?split=neither")
            settle(page)
            yield page, (first, second), toronto, face
            context.close()


def test_both_hosts_fail_then_the_second_sends_the_pictures(opened):
    page, hosts, toronto, face = opened
    button = page.get_by_role("button", name="Download CIFAR-100")
    failed = page.get_by_text("The download failed")
    assert page.locator(".st-key-split-tiles img").count() == 0 and not failed.count()

    press(button, lambda: failed.count() or page.get_by_role("progressbar").count())
    failed.wait_for()
    settle(page)
    said = failed.inner_text()
    ports = [re.escape(each.rsplit(":", 1)[1]) for each in hosts]
    assert re.search(r"{}: answers 503.*{}: answers 503".format(*ports), said), said
    assert toronto.asked >= 1 and face.asked >= 1 and button.is_visible()

    face.status = 200
    bar = page.get_by_text(re.compile(r"from .*{1} \(.*{0}: answers 503.*\): \d+% of \d+ MB".format(*ports)))
    press(button, lambda: bar.count() or page.get_by_role("progressbar").count())
    bar.wait_for()
    assert failed.count() == 0
    assert 0 < int(re.search(r"(\d+)% of", bar.inner_text())[1]) <= 100

    button.wait_for(state="detached")
    bar.wait_for(state="detached")
    pictures = page.locator(".st-key-split-tiles img")
    pictures.first.wait_for()
    settle(page)
    assert pictures.first.evaluate("image => image.decode().then(() => image.naturalWidth)") == 32
    assert page.get_by_text("not on this machine").count() == 0 and failed.count() == 0
