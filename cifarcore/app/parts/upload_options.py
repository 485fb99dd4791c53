"""The options of an import as the dialog asks for them, made from the same description as the command's flags."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import Field, dataclass, fields
from pathlib import Path
from typing import Any

import streamlit as st

from cifarcore.app.parts import upload_files
from cifarcore.config import ImportConfig
from cifarcore.data.picture_files import EXTENSIONS
from cifarcore.runs.test_sets import ROWS


@dataclass(frozen=True)
class Answer:
    """An answer to "Which images are these?": the order that it stands for, and the options that it asks for."""

    label: str
    flag: str = ""  #: the same as the command and its messages have it
    order: str = ""
    asks: tuple[str, ...] = ()
    words: str = ""  #: what it means, in Markdown


LIKE = Answer(
    "The images of another run", "--like RUN", asks=("like",), words="row by row in the order of a run that is here"
)
FOLDER = Answer(
    "A folder of pictures", "--images FOLDER", asks=("images", "order"),
    words="`class/picture.png`, matched by file name, or by order where the file has no names",
)  # fmt: skip
TORCHVISION = Answer(
    "CIFAR-100's test images, in torchvision's order", "--order torchvision", "torchvision",
    words="as `torchvision.datasets.CIFAR100(train=False)` has them, with a loader that does not shuffle",
)  # fmt: skip
DATA = Answer(
    "CIFAR-100's test images, as in cifar100.npz", "--order data", "data",
    words="the order of `x_test` in that file of the data folder",
)  # fmt: skip
IN_FILE = Answer(
    "The file names them by sample ids",
    words="a column or array `sample_ids`: a hash of each image's pixels, as in run files and in CSVs from this app",
)
NUMBERED = Answer(
    "Rows of a test set by their numbers, without pictures", "--order rows --test-set NAME", ROWS, ("test_set",),
    words="row i is image i in every file of that test set",
)  # fmt: skip
ANSWERS = (LIKE, FOLDER, TORCHVISION, DATA, IN_FILE, NUMBERED)
OF_FOLDER = ("", "imagefolder", "natural", "paths")  #: the orders of a folder's files
_ITEMS: dict[str, Field] = {item.name: item for item in fields(ImportConfig)}
#: asked for by an answer, or beside the files where there are several
_ELSEWHERE = {"files", "order", *(name for answer in ANSWERS for name in answer.asks)}
FURTHER = tuple(name for name in _ITEMS if name not in _ELSEWHERE)
_LABELS = {"like": "Run", "images": "Folder", "files": "Several files are"}  #: where the flag is no name of its own
_FLAG = re.compile(r"(?<![\w-])--([a-z][a-z-]*)(?: ([A-Z]+\b|[a-z_]+\b|\d\b))?")
_OTHER_WORDS = {
    "leave out --order, --images and --like": f"choose “{IN_FILE.label}”",
    "--overwrite": "“Replace it”",
    "--data or CIFARCORE_DATA": "CIFARCORE_DATA",
}


def ask(answers: Sequence[Answer], key: str) -> Answer | None:
    """Draw the question with these answers; the one given, or None."""
    label = st.radio(
        "Which images are these?", [each.label for each in answers], index=None, key=key,
        captions=[each.words for each in answers],
        help="Scores can be compared only if it is known which image each row belongs to, so this comes first",
    )  # fmt: skip
    return next((each for each in answers if each.label == label), None)


def label_of(name: str) -> str:
    """What the control of an option is called."""
    return _LABELS.get(name, name.replace("_", " ").capitalize())


def in_dialog(message: str) -> str:
    """A message that speaks of the command's flags, in the words of the dialog's controls."""
    for flag, words in (_OTHER_WORDS | {answer.flag: f"“{answer.label}”" for answer in ANSWERS if answer.flag}).items():
        message = message.replace(flag, words)
    return _FLAG.sub(_control_of, message)


def _control_of(match: re.Match) -> str:
    name, value = match[1].replace("-", "_"), match[2] or ""
    if name not in _ITEMS:
        return f"“cifarcore import … {match[0]}” in a terminal"
    if value in _ITEMS[name].metadata["choices"] and value or value.isdecimal():
        return f"“{label_of(name)}: {value}”"
    return f"“{label_of(name)}”" + (f" {value}" if value and not value.isupper() else "")


def control(name: str, key: str, runs: Mapping[str, Path], place: Any = st) -> Any:
    """Draw the control of the option `name`; `runs` are the paths of the runs by what they are called.

    What it returns, `value_of` makes the option's value.
    """
    item = _ITEMS[name]
    label, known = label_of(name), item.metadata
    more = {"key": f"{key}-{name}", "help": _sentence(in_dialog(known["help"]))}
    if known["path"] == "RUN":
        # no run to begin with: one that is renamed or deleted meanwhile would be taken for another, without a word
        return place.selectbox(label, list(runs), index=None, placeholder="Choose", **more)
    if known["path"] == "FOLDER":
        kinds = [suffix[1:] for suffix in EXTENSIONS]
        return place.file_uploader(label, kinds, accept_multiple_files="directory", **more)
    if known["path"] == "FILE":
        return place.file_uploader(label, **more)
    if known["choices"]:
        choices = OF_FOLDER if name == "order" else known["choices"]
        return place.selectbox(
            label, choices, choices.index(item.default), format_func=lambda choice: choice or "as the file says",
            **more,
        )  # fmt: skip
    if isinstance(item.default, int):
        return place.number_input(label, known["low"], known["high"], item.default, **more)
    return place.text_input(label, item.default, max_chars=80, **more)


def value_of(name: str, given: Any, runs: Mapping[str, Path], folder: Path) -> Any:
    """The value of the option `name` for ImportConfig; what was uploaded is written below `folder`.

    Raises CifarcoreError.
    """
    path = _ITEMS[name].metadata["path"]
    if not path:
        return given
    if not given:
        return ""
    if path == "RUN":
        return str(runs[given])
    if path == "FOLDER":
        return str(upload_files.written_folder(given, folder / name))
    return str(upload_files.written([given], folder / name)[0])


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]
