""" "Add a run" in the sidebar: a dialog in which someone's run files or predictions are checked, shown as they were
understood, and kept under `imported/` where that is wanted; the checks are `importing`'s, as the command's are.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pandas as pd
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from cifarcore.app.catalog import find_runs, of_one_test_set, share_an_image
from cifarcore.app.parts import deletion, sidebar
from cifarcore.app.parts import upload_options as options
from cifarcore.app.parts.upload_files import is_run_file, written
from cifarcore.app.safe_text import escape, told
from cifarcore.app.view import View
from cifarcore.config import ImportConfig
from cifarcore.errors import CifarcoreError
from cifarcore.files import Version, is_link, is_plain, runs_dir, seen
from cifarcore.reports.sides import seed_label
from cifarcore.runs import importing
from cifarcore.runs.formats import SUFFIXES

MAX_MIB = 200  #: as server.maxUploadSize in .streamlit/config.toml
_EXAMPLE = "In a CSV: a row for each test image; columns `file`, `label`, and one for each class with its score"
_CHECKED, _SAID, _ROUND = "upload-checked", "upload-said", "upload-round"


@dataclass(frozen=True)
class _Checked:
    """What was checked with which files and options, and the folder in which their pictures lie until it is kept."""

    given: tuple[str, ...]
    runs: tuple[importing.Checked, ...]
    place: TemporaryDirectory = field(repr=False)


def offer(root: Path, view: View | sidebar.Problem, place: DeltaGenerator | None = None) -> None:
    """Draw the button into the sidebar, or into the `place` there; `root` is the folder of streamlit_app.py."""
    if message := st.session_state.pop(_SAID, None):
        st.toast(message, icon=":material/upload_file:", duration="long")
    if (place or st.sidebar).button("Add a run", icon=":material/upload_file:", width="stretch", key="upload-open"):
        _forget()
        st.session_state[_ROUND] = st.session_state.get(_ROUND, 0) + 1  # controls of another key are empty
        run_a = None if isinstance(view, sidebar.Problem) else view.a.first.path
        st.dialog("Add a run", width="medium", on_dismiss=_forget)(body)(runs_dir(root), run_a)


def body(folder: Path, run_a: Path | None) -> None:
    """What the dialog shows; `folder` is that of the runs, and `run_a` model A's file."""
    names = _imported(folder)
    if not names:
        _add(folder, run_a)
        return
    add, kept = st.tabs(["Add", f"Imported runs ({len(names)})"])
    with add:
        _add(folder, run_a)
    with kept:
        _delete(folder, names)


def _add(folder: Path, run_a: Path | None) -> None:
    key = f"upload-{st.session_state.get(_ROUND, 0)}"
    runs = _runs(folder, run_a)
    files = st.file_uploader(
        "Run files or predictions",
        [suffix[1:] for suffix in SUFFIXES],
        accept_multiple_files=True,
        max_upload_size=MAX_MIB,
        key=f"{key}-uploads",
        help="Logits, probabilities or predicted classes of any framework: a row for each test image, a column for "
        "each class; and labels. Several files are parts of one run, or the seeds of one model",
    )
    st.caption(_EXAMPLE)
    given: dict[str, Any] = {}
    if len(files) > 1:
        given["files"] = options.control("files", key, runs)
    by_themselves = bool(files) and all(map(is_run_file, files))
    answers = [answer for answer in options.ANSWERS if runs or answer is not options.LIKE]
    answer = None
    if by_themselves:
        st.caption("A run file names its images itself.")
    else:
        answer = options.ask(answers, f"{key}-answer")
    for name in answer.asks if answer else ():
        given[name] = options.control(name, key, runs)
    if answer and answer.order:
        given["order"] = answer.order
    with st.expander("More options", icon=":material/tune:"):
        for name, place in zip(options.FURTHER, _columns(len(options.FURTHER)), strict=True):
            given[name] = options.control(name, key, runs, place)
    if too_large := [file for file in files if file.size > MAX_MIB << 20]:
        size = too_large[0].size / 2**20
        _refuse(f"{too_large[0].name}: {size:.0f} MB; at most {MAX_MIB} MB are accepted")
        return
    missing = _missing(bool(files), by_themselves, answer, given)
    signature = _signature(files, answer, given)
    if st.button("Check", icon=":material/fact_check:", type="primary", disabled=bool(missing), key=f"{key}-check"):
        _forget()
        with st.spinner("Checking…"):
            checked = _check(files, given, runs, signature)
        if checked:
            st.session_state[_CHECKED] = checked  # this user's answer between two clicks, and nobody else's
    if missing:
        st.caption(missing)
    checked = st.session_state.get(_CHECKED)
    if checked and checked.given == signature:
        _preview(folder, run_a, checked, key)


def _missing(files: bool, by_themselves: bool, answer: options.Answer | None, given: dict[str, Any]) -> str:
    """What has to be given before the files can be checked, as a sentence; "" where nothing is missing."""
    if not files:
        return "Choose the files first."
    if by_themselves:
        return ""
    if answer is None:
        return "Say which images these are."
    lacking = [options.label_of(name) for name in answer.asks if not given[name] and name != "order"]
    return f"Still missing: {', '.join(lacking)}." if lacking else ""


def _columns(count: int) -> list[Any]:
    """Places for so many controls, two in a row."""
    return [place for _ in range(-(-count // 2)) for place in st.columns(2)][:count]


def _signature(files: Sequence[Any], answer: options.Answer | None, given: dict[str, Any]) -> tuple[str, ...]:
    """What was given, to be told from what was given before."""

    def as_text(value: Any) -> str:
        if isinstance(value, list):
            return " ".join(map(as_text, value))
        return str(getattr(value, "file_id", value))

    return (as_text(list(files)), answer.label if answer else "", *(f"{name}={as_text(given[name])}" for name in given))


def _check(
    files: Sequence[Any], given: dict[str, Any], runs: dict[str, Path], signature: tuple[str, ...]
) -> _Checked | None:
    """What the files are; None, and one line in the dialog, where they do not fit."""
    try:
        place = TemporaryDirectory(ignore_cleanup_errors=True)  # Windows removes no file that is mapped into memory
    except OSError as error:  # a full disk
        _refuse(f"not read: {error.strerror or error}; make room for temporary files")
        return None
    try:
        folder = Path(place.name)
        config = ImportConfig(**{name: options.value_of(name, value, runs, folder) for name, value in given.items()})
        return _Checked(signature, tuple(importing.check(written(files, folder / "files"), config)), place)
    except CifarcoreError as error:
        _refuse(options.in_dialog(str(error)))
    except OSError as error:
        _refuse(f"not read: {error.strerror or error}")
    place.cleanup()
    return None


def _preview(folder: Path, run_a: Path | None, checked: _Checked, key: str) -> None:
    """Show what was understood, and offer to keep it."""
    with st.container(key="upload-understood"):
        st.markdown("##### Detected")
        for run in checked.runs:
            if len(checked.runs) > 1:
                st.markdown(f"**{escape(run.name)}**")
            st.markdown("  \n".join(f"**{what}** {escape(reading, 400)}" for what, reading in run.summary.items()))
            if run.notes:
                st.caption("  \n".join(map(_sentence, run.notes)))
        if len(checked.runs) == 1 and checked.runs[0].examples:
            rows = pd.DataFrame(checked.runs[0].examples, columns=["Image", "True label", "Predicted"])
            st.dataframe(rows, hide_index=True, key=f"{key}-examples")
    names = [run.name for run in checked.runs]
    if len(names) == 1:
        names = [st.text_input("Save as", names[0], max_chars=80, key=f"{key}-name-{names[0]}")]
    try:
        places = [importing.imported_path(folder, name) for name in names]
    except CifarcoreError as error:
        _refuse(str(error))
        return
    there = {place: shown for place in places if (shown := seen(place))}
    replace = False
    if there:
        taken = ", ".join(escape(place.stem) for place in there)
        st.warning(f"{taken} exists already.", icon=":material/content_copy:")
        # of these very files: what somebody else has put there since is asked about anew
        replace = st.checkbox("Replace it", key=f"{key}-replace-{hash(tuple(there.values()))}")
    with st.container(horizontal=True):
        keep = st.button(
            "Save", icon=":material/check:", type="primary", disabled=bool(there) and not replace, key=f"{key}-keep"
        )
        cancel = st.button("Cancel", key=f"{key}-cancel")
    if cancel:
        _forget()
        st.rerun()
    if keep and (kept := _keep(checked, places, there if replace else {})):
        _forget()
        _show_next(folder, run_a, kept)


def _keep(checked: _Checked, places: Sequence[Path], replaced: Mapping[Path, Version]) -> list[importing.Imported]:
    """Write the runs, in place of those `replaced`; none, and one line in the dialog, where one of them fails."""
    bar = st.empty()

    def progress(done: int, total: int) -> None:
        if done % 50 == 0:
            bar.progress(done / total, f"Reading pictures: {done:,} of {total:,}")

    kept: list[importing.Imported] = []
    try:
        for run, place in zip(checked.runs, places, strict=True):
            importing.refuse_existing(place, place in replaced, run.inputs)
        for run, place in zip(checked.runs, places, strict=True):
            kept.append(importing.keep(run, place, place in replaced, progress, replaced.get(place)))
        return kept
    except CifarcoreError as error:
        problem = options.in_dialog(str(error))
    except OSError as error:
        problem = f"{places[len(kept)].stem} was not saved: {error.strerror or error}"
    _refuse(f"only {', '.join(each.path.stem for each in kept)} was saved; {problem}" if kept else problem)
    return []


def _refuse(message: str) -> None:
    st.error(told(message, 800), icon=":material/error:")


def _sentence(note: str) -> str:
    sentence = options.in_dialog(note)
    text = escape(sentence[:1].upper() + sentence[1:], 300)
    return text if text.endswith("?") else f"{text}."


def _show_next(folder: Path, run_a: Path | None, kept: Sequence[importing.Imported]) -> None:
    """Have the next run of the app show the new runs as model B, beside a model A of the same images, and close the
    dialog.
    """
    catalog, choice = find_runs(folder), {}
    if shown := catalog.of(kept[0].path):
        seed = catalog.seeds(shown[0])[0] if len(kept) > 1 else seed_label(shown[1])
        choice = {"B": shown[0], "seedB": seed}
        beside = catalog.of(run_a) if run_a else None
        if not (beside and share_an_image(beside[1], shown[1])):
            others = (
                name
                for name, headers in catalog.groups.items()
                if name != shown[0] and of_one_test_set(headers[0], shown[1])
            )
            choice["A"] = next(others, shown[0])
        sidebar.choose_next(choice)
    names = ", ".join(escape(each.path.stem) for each in kept)
    notes = dict.fromkeys(note for each in kept for note in each.notes)
    lines = [f"**{names}** added as B."]
    if model_a := choice.get("A"):
        lines.append(
            "No other run here was scored on these images, so it is A as well; add the one to compare it with."
            if model_a == shown[0]
            else f"Model A is now {escape(model_a)}: the previous one was scored on other images."
        )
    st.session_state[_SAID] = "  \n".join([*lines, *map(_sentence, notes)])
    st.rerun()


def _forget() -> None:
    """Drop what was checked and not kept, with its files."""
    if checked := st.session_state.pop(_CHECKED, None):
        checked.place.cleanup()


def _runs(folder: Path, run_a: Path | None) -> dict[str, Path]:
    """The run files by what they are called, model A's first."""
    groups = find_runs(folder).groups
    named = {
        group if len(headers) == 1 else f"{group}, {seed_label(header)}": header.path
        for group, headers in groups.items()
        for header in headers
    }
    return dict(sorted(named.items(), key=lambda each: each[1] != run_a))


def _imported(folder: Path) -> list[str]:
    place = folder / importing.FOLDER
    stems = [] if is_link(place) else sorted(path.stem for path in place.glob("*.npz"))
    return [stem for stem in stems if is_plain(stem)]


def _delete(folder: Path, names: Sequence[str]) -> None:
    key = f"upload-{st.session_state.get(_ROUND, 0)}"
    name = st.selectbox("Delete an imported run", names, index=None, placeholder="Choose", key=f"{key}-imported")
    if name:
        path = importing.imported_path(folder, name)
        shown = st.session_state.setdefault(f"{key}-seen-{name}", seen(path))  # when it was chosen, not when it goes
        what = "its run file and its pictures. This cannot be undone."
        deletion.confirm(name, what, partial(importing.delete, folder, name, shown))
