"""Places in which faults are real: a small disk, a folder of another user, and no data and no lock but the test's
own.
"""

import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest
from places import mount


@pytest.fixture(autouse=True)
def own_place(own_place):
    """Every test here has one."""


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 2 MiB."""
    place = tmp_path / "small"
    place.mkdir()
    mount(place, "2m")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


@pytest.fixture
def open_folder():
    """A folder that every user may enter (pytest's own are private)."""
    place = Path(tempfile.mkdtemp(prefix="cifarcore-hostile-"))
    place.chmod(0o755)
    yield place
    shutil.rmtree(place)
