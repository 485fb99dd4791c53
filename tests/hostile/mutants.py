"""Hostile run files: one grammar of damage, which chance, hypothesis and atheris all draw from, and what none may do.

Knows the layout of a run file and nothing of the loader's code.
"""

import io
import json
import re
import struct
import warnings
import zipfile
from pathlib import Path
from random import Random
from typing import Protocol

import numpy as np

from cifarcore.errors import CifarcoreError
from cifarcore.runs.layout import GROUPS, LAYOUT
from cifarcore.runs.run import load_run, read_header

REQUIRED = ("schema", "class_names", "labels", "logits", "sample_ids")
# numbers at which sizes, counts and offsets change their meaning
EDGES = (0, 1, 2, 4, 10, 12, 127, 255, 256, 65535, 65536, 2**31 - 1, 2**31, 2**32 - 1, 2**32, 2**63 - 1, 2**64, -1)
DTYPES = [
    "<f2",
    ">f2",
    "<f4",
    ">f4",
    "<f8",
    "<f16",
    "<i1",
    "<i2",
    ">i2",
    "<i4",
    "<i8",
    "<u1",
    "<u8",
    ">u8",
    "|b1",
    "<c8",
    "|S4",
    "|S0",
    "<U0",
    "<U4",
    ">U4",
    "<U1001",
    "<U1000001",
    "|V8",
    "|V0",
    "|O",
    "<M8[s]",
    "<m8[ns]",
    "<f3",
    "f",
    "U",
    "junk",
    "[('a','<f4')]",
    "[('a','|O')]",
    "(2,)<f2",
    "<f2,<f4",
]
WORDS = [
    "{",
    "}",
    "(",
    ")",
    "[",
    "]",
    ",",
    ":",
    "'",
    "'descr'",
    "'fortran_order'",
    "'shape'",
    "True",
    "False",
    "None",
    "'<f2'",
    "'|O'",
    "'<U0'",
    "'V0'",
    "(60,10)",
    "(12,4)",
    "(12,)",
    "()",
    "-1",
    "0",
    "4",
    "12",
    "1e9",
    "99999999999999999999",
    "lambda",
    "__import__('os')",
    "\\x00",
    "#",
    "\n",
]
TEXTS = (
    "",
    " ",
    "<img src=x onerror=alert(1)>",
    "[x](javascript:alert(1))",
    "=cmd|' /C calc'!A0",
    "a\nb",
    "a\x00b",
    "\x1b[2J",
    "\u202etxt.exe",
    "\ud800",
    "\U0010ffff",
    "x" * 1001,
    "../../etc/passwd",
    "{{7*7}}",
    "$\\input{x}$",
    "*" * 50,
    "ﷺ",
    "e\u0301" * 9,
)
METAS = (
    "",
    "{",
    "[]",
    "null",
    "{}",
    "[" * 5000,
    '{"a":' * 3000 + "1" + "}" * 3000,
    '{"seed": 1e999}',
    '{"seed": "0"}',
    '{"seed": true}',
    '{"model": "<b>x</b>"}',
    '{"model": 3}',
    '{"model": "a", "model": []}',
    '{"config": []}',
    '{"dataset": {"name": ["x"]}}',
    '{"train_seconds": -1e400}',
    '{"parameters": 123456789012345678901234567890}',
    '{"x": NaN}',
    '{"x": "\\ud800"}',
    '{"maps": {"tsne": 1}}',
    '{"parent": {"name": {}}, "retraining": {"focus": [1]}}',
    '{"created": "<script>"}',
)
NAMES = (
    "../../logits",
    "/etc/logits",
    "..\\logits",
    "logits",
    "LOGITS",
    "logits.npy",
    "a/b",
    "",
    "\x00",
    "l" * 70000,
    "ł",
)


class Draw(Protocol):
    """A source of choices."""

    def integer(self, low: int, high: int) -> int: ...
    def octets(self, most: int) -> bytes: ...


class Chance:
    """Choices by a seeded generator."""

    def __init__(self, seed: int):
        self.random = Random(seed)

    def integer(self, low: int, high: int) -> int:
        return self.random.randint(low, high)

    def octets(self, most: int) -> bytes:
        return self.random.randbytes(self.random.randint(0, most))


class Whole:
    """A valid run file to be damaged: its arrays, and its bytes compressed and stored."""

    def __init__(self, path: Path):
        with np.load(path, allow_pickle=False) as archive:
            self.arrays = {name: archive[name] for name in archive.files}
        self.members = {name: npy(array) for name, array in self.arrays.items()}
        self.files = (path.read_bytes(), zipped(list(self.members.items()), zipfile.ZIP_STORED))


def hostile_file(draw: Draw, whole: Whole) -> bytes:
    """The bytes of a file that may be anything between a valid run file and noise."""
    kind = draw.integer(0, 11)
    if kind == 0:
        return draw.octets(3000)
    content = whole.files[kind % 2] if kind < 3 else _built(draw, whole)
    return edited(draw, content) if kind < 4 else content


def outcome(path: Path) -> str:
    """Read `path` as a run file; "accepted", or the refusal with its names and numbers left out.

    Raises what a loader must never raise, and AssertionError where an accepted run breaks what a valid file promises.
    """
    said = "accepted"
    try:
        run = load_run(path)
    except CifarcoreError as error:
        said = str(error)
        assert "\n" not in said and len(said) <= 1000
        said = re.sub(r"'[^']*'|\(.*\)|[\d.,]+", "…", said.removeprefix(f"{path}: "))[:60]
    else:
        assert run.logits.shape == (run.n_images, run.n_classes) and np.isfinite(run.logits).all()
        assert run.labels.min() >= 0 and run.labels.max() < run.n_classes
        pairs = set(zip(run.sample_ids.tolist(), run.labels.tolist(), strict=True))
        assert len(pairs) == run.n_images and len(set(run.class_names.tolist())) == run.n_classes
        for name, array in vars(run).items():
            assert not isinstance(array, np.ndarray) or (array.dtype.isnative and not array.dtype.hasobject), name
        for text in (run.name, run.group, *run.class_names.tolist(), json.dumps(run.meta, ensure_ascii=False)):
            text.encode()
    try:
        header = read_header(path)
        assert isinstance(header.seed, int) and header.group
    except CifarcoreError as error:
        assert "\n" not in str(error) and said != "accepted", error
    return said


def npy(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, array, allow_pickle=True)
    return buffer.getvalue()


def zipped(members: list[tuple[str, bytes]], compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(buffer, "w") as archive:
        warnings.simplefilter("ignore", UserWarning)  # a name that stands in it twice
        for name, content in members:
            info = zipfile.ZipInfo(f"{name}.npy")
            info.compress_type = compression
            archive.writestr(info, content, compresslevel=1)
    return buffer.getvalue()


def pick(draw: Draw, options):
    return options[draw.integer(0, len(options) - 1)]


def edited(draw: Draw, content: bytes) -> bytes:
    """A few bytes changed, cut, added or repeated."""
    changed = bytearray(content)
    for _ in range(draw.integer(1, 4)):
        at = draw.integer(0, max(len(changed) - 1, 0))
        edit = draw.integer(0, 6)
        if edit == 0 and changed:
            changed[at] = draw.integer(0, 255)
        elif edit == 1 and changed:
            changed[at] ^= 1 << draw.integer(0, 7)
        elif edit == 2:
            del changed[at : at + draw.integer(1, 40)]
        elif edit == 3:
            changed[at:at] = draw.octets(20)
        elif edit == 4:
            changed[at : at + 4] = struct.pack("<I", pick(draw, EDGES) % 2**32)
        elif edit == 5:
            changed[at:at] = changed[at : at + draw.integer(1, 200)]
        else:
            del changed[at:]
    return bytes(changed)


def _built(draw: Draw, whole: Whole) -> bytes:
    """An archive of whole and hostile members."""
    hostile = {pick(draw, list(LAYOUT)) for _ in range(draw.integer(1, 3))}
    wanted = hostile | set(REQUIRED)
    for group in (
        *GROUPS,
        ("meta",),
        ("tsne",),
        ("umap",),
        ("clusters",),
    ):  # small files are read fast, so that more are
        if not hostile.isdisjoint(group) or not draw.integer(0, 3):
            wanted |= set(group)
    members = []
    for name in filter(wanted.__contains__, LAYOUT):
        if name not in hostile:
            members.append((name, whole.members[name]))
        elif draw.integer(0, 5):
            members.append((name, member(draw, name, whole.arrays[name])))
    strange = draw.integer(0, 15)
    if strange == 0:
        members.append((pick(draw, NAMES)[:65000], draw.octets(50)))
    elif strange == 1:
        members.append(pick(draw, members))
    elif strange == 2:
        members.reverse()
    compression = zipfile.ZIP_STORED
    if strange > 13:
        compression = (zipfile.ZIP_DEFLATED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)[
            draw.integer(0, 3)
        ]
    content = bytearray(zipped(members, compression))
    if strange in (3, 4):  # the flags of one entry, in both directories: encrypted, UTF-8, patched, streamed
        for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
            found = [match.start() for match in re.finditer(re.escape(signature), content)]
            at = found[draw.integer(0, len(found) - 1)]
            content[at + offset] ^= 1 << draw.integer(0, 7)
    return bytes(content)


def member(draw: Draw, name: str, array: np.ndarray) -> bytes:
    """The bytes of one array, hostile in one way."""
    way = draw.integer(0, 9)
    if way == 0:
        return draw.octets(200)
    if way == 1:
        header = " ".join(pick(draw, WORDS) for _ in range(draw.integer(0, 20))).encode()
        return _npy(pick(draw, ((1, 0), (2, 0), (3, 0), (9, 9))), header, draw.octets(64))
    if way == 2:
        shape = tuple(pick(draw, EDGES) for _ in range(draw.integer(0, 3)))
        return _npy((1, 0), _header(pick(draw, DTYPES), draw.integer(0, 1), shape), array.tobytes())
    if way == 3:
        dtype = pick(draw, DTYPES)
        return _npy((1, 0), _header(dtype, draw.integer(0, 1), array.shape), _of_length(array, dtype))
    if way == 4:
        return npy(np.array(array, dtype=array.dtype.newbyteorder(">"), order="F"))
    if way == 5:
        return npy(_shaped(draw, array))
    changed = array.copy()
    if array.dtype.kind == "U":
        if name == "meta":
            return npy(np.array(pick(draw, METAS)))
        texts = [str(text) for text in changed]
        texts[draw.integer(0, len(texts) - 1)] = pick(draw, TEXTS) or draw.octets(12).decode("utf-16", "replace")
        changed = np.array(texts)
    if way == 6 and array.dtype.kind == "U":  # any 32-bit number as a character
        flat = changed.reshape(-1).view(np.uint32)
        if len(flat):
            flat[draw.integer(0, len(flat) - 1)] = draw.integer(0, 2**32 - 1)
        return npy(changed)
    if way in (6, 7) and array.dtype.kind in "iuf":
        flat = changed.reshape(-1)
        with np.errstate(all="ignore"):
            number = pick(draw, (*EDGES, np.nan, np.inf, -np.inf, 65504.0, 1e300))
            flat[draw.integer(0, len(flat) - 1)] = np.array(
                number if array.dtype.kind == "f" else int(np.nan_to_num(number)) % 2**15
            ).astype(array.dtype)
    if way == 8 and array.ndim:  # a row repeated: duplicates of ids and names
        changed[draw.integer(0, len(changed) - 1)] = changed[draw.integer(0, len(changed) - 1)]
    if way == 9:
        content = bytearray(npy(changed))
        content[draw.integer(0, len(content) - 1)] = draw.integer(0, 255)
        return bytes(content)
    return npy(changed)


def _of_length(array: np.ndarray, descr: str) -> bytes:
    """The bytes of `array`, repeated or cut to what a header of that type promises, where the type is one."""
    content = array.tobytes()
    try:
        length = array.size * np.dtype(descr).itemsize
    except (TypeError, ValueError):
        return content
    return (content * (length // len(content) + 1))[:length] if length < 10**6 else content


def _shaped(draw: Draw, array: np.ndarray) -> np.ndarray:
    way = draw.integer(0, 4)
    if way == 0:
        return array[:0] if array.ndim else array.reshape(1)
    if way == 1:
        return array[..., None]
    if way == 2:
        return array.T
    if way == 3:
        return np.concatenate([array, array]) if array.ndim else np.array([array, array])
    return array.astype(object)


def _header(descr: str, fortran: int, shape: tuple[int, ...]) -> bytes:
    shown = descr if descr.startswith(("[", "(")) else repr(descr)
    return f"{{'descr': {shown}, 'fortran_order': {bool(fortran)}, 'shape': {shape}, }}\n".encode()


def _npy(version: tuple[int, int], header: bytes, body: bytes) -> bytes:
    length = struct.pack("<H" if version == (1, 0) else "<I", len(header) % 65536)
    return b"\x93NUMPY" + bytes(version) + length + header + body
