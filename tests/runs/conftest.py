"""A run, its arrays to be broken one at a time, and the one line with which a broken file is refused."""

from dataclasses import replace

import numpy as np
import pytest
from made import made_run, with_metadata
from run_files import refusal_of

from cifarcore.runs.run import save_run


@pytest.fixture(scope="module")
def run():
    return replace(with_metadata(made_run(n_images=60)), clusters=np.arange(60, dtype=np.int16) % 3)


@pytest.fixture
def arrays(run, tmp_path):
    """The arrays of a valid file, to be broken one at a time."""
    with np.load(save_run(run, tmp_path / "whole.npz"), allow_pickle=False) as archive:
        return {name: archive[name] for name in archive.files}


@pytest.fixture
def refused(tmp_path):
    """Writes arrays or bytes as a file and returns the one line with which it is refused."""

    def check(content, header_too=True):
        path = tmp_path / "broken.npz"
        if isinstance(content, bytes):
            path.write_bytes(content)
        else:
            np.savez(path, **content)
        return refusal_of(path, header_too)

    return check
