"""Damaged pictures: each is read, or refused in one line that names it; nothing else comes out of Pillow's decoders."""

import numpy as np
import pytest
from targets import sound_pictures

from cifarcore.data.picture_files import read_picture
from cifarcore.errors import CifarcoreError

CASES = 2000


def _damaged(content: bytes, rng: np.random.Generator) -> bytes:
    damaged = bytearray(content)
    for _ in range(rng.integers(1, 8)):
        # headers and directories are at both ends
        place = int(rng.choice([rng.integers(len(damaged)), rng.integers(min(64, len(damaged)))]))
        kind = rng.integers(4)
        if kind == 0:
            damaged[place] = rng.integers(256)
        elif kind == 1:
            damaged[place : place + 4] = rng.choice(
                [b"\0\0\0\0", b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\0\0\0\1"]
            )
        elif kind == 2 and len(damaged) > 40:
            del damaged[place : place + int(rng.integers(1, 30))]
        else:
            damaged[place:place] = damaged[: int(rng.integers(1, 30))]
    return bytes(damaged)


@pytest.mark.filterwarnings("ignore")
def test_damaged_pictures_are_read_or_refused_in_one_line(tmp_path):
    rng = np.random.default_rng(0)
    sound, path, refused = sound_pictures(), tmp_path / "picture.tif", 0
    for content in sound:
        path.write_bytes(content)
        try:
            assert read_picture(path).shown.size == (24, 24)
        except CifarcoreError as error:
            assert "LAB" in str(error), error
    for case in range(CASES):
        path.write_bytes(_damaged(sound[case % len(sound)], rng))
        try:
            assert read_picture(path).shown.mode == "RGB"
        except CifarcoreError as error:
            assert str(path) in str(error) and "\n" not in str(error) and len(str(error)) < 500
            refused += 1
    assert CASES / 10 < refused < CASES
