"""A pipe under the name of any file that is read is refused: whoever opens it would wait for ever."""

import os

import pytest

from cifarcore.data.packs import PACK, Pack, is_pack, packed_files
from cifarcore.errors import CifarcoreError
from cifarcore.reports.markers import put_between_markers
from cifarcore.runs.archive import names_in
from cifarcore.runs.class_names import read_class_names, superclasses
from cifarcore.runs.file_labels import read_file_labels
from cifarcore.runs.formats import read_labels, read_lines

pytestmark = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no named pipes here: run on Linux")


@pytest.fixture
def pipe(tmp_path):
    def made(suffix):
        os.mkfifo(tmp_path / f"pipe{suffix}")
        return tmp_path / f"pipe{suffix}"

    return made


@pytest.mark.parametrize(
    ("read", "suffix"),
    [
        (read_lines, ".txt"),
        (read_labels, ".txt"),
        (read_labels, ".npy"),
        (read_labels, ".npz"),
        (read_file_labels, ".csv"),
        (read_class_names, ".json"),
        (lambda path: superclasses(("a", "b"), str(path)), ".csv"),
        (lambda path: put_between_markers(path, "results", "text"), ".md"),
        (Pack, PACK),
    ],
)
def test_it_is_refused(pipe, read, suffix):
    with pytest.raises(CifarcoreError, match="is no file|not a file") as caught:
        read(pipe(suffix))
    assert "\n" not in str(caught.value)


def test_it_is_no_pack_and_holds_no_arrays(pipe):
    there = pipe(PACK)
    assert not is_pack(there) and not packed_files(there) and not names_in(there)
