"""Run files made byte by byte, and how a broken one is refused; for tests of loading."""

import io
import zipfile

import numpy as np
import pytest

from cifarcore.runs.layout import RunFileError
from cifarcore.runs.run import load_run, read_header


def refusal_of(path, header_too=True):
    with pytest.raises(RunFileError) as caught:
        load_run(path)
    message = str(caught.value)
    assert "\n" not in message and len(message) <= 1000
    assert message.startswith(" ".join(str(path).split()))
    if header_too:
        with pytest.raises(RunFileError):
            read_header(path)
    return message


def npy(array, **options):
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, array, **options)
    return buffer.getvalue()


def npy_header(descr, shape):
    buffer = io.BytesIO()
    np.lib.format.write_array_header_1_0(buffer, {"descr": descr, "fortran_order": False, "shape": shape})
    return buffer.getvalue()


def zipped(members, compression=zipfile.ZIP_DEFLATED):
    """A zip of (name, bytes) pairs, as bytes."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return buffer.getvalue()


def zipped_arrays(arrays, compression=zipfile.ZIP_DEFLATED, **members):
    """A run file's bytes with some members replaced by the given bytes."""
    content = {name: npy(array) for name, array in arrays.items()} | members
    return zipped([(f"{name}.npy", data) for name, data in content.items()], compression)
