"""The README's picture: small, as wide as is said, and taken by the command that the guide names."""

import subprocess
import sys

import pytest
from driving import ROOT
from PIL import Image

from cifarcore.app.catalog import find_runs
from cifarcore.experiments.app_picture import PICTURE, WIDTH


def test_the_picture_is_small_and_as_wide_as_a_screen():
    assert PICTURE.stat().st_size < 300_000
    with Image.open(PICTURE) as picture:
        assert picture.width == WIDTH


def test_the_command_takes_it(chromium, tmp_path):
    if len(find_runs(ROOT / "checkpoints").groups) < 2:
        pytest.skip("the picture is of the bundled runs: run in a clone of the repository")
    path = tmp_path / "app.png"
    subprocess.run([sys.executable, "-m", "cifarcore.experiments.app_picture", str(path)], cwd=ROOT, check=True)
    with Image.open(path) as picture, Image.open(PICTURE) as committed:
        assert picture.size == committed.size and len(picture.getcolors(256)) > 30  # a page, not a blank screen
