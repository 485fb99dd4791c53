"""«Add a run» in the sidebar: someone's run file or predictions, checked, kept under `imported/`, and shown as model B.

The checks are `importing`'s, which the command uses too. No text of a user or a file becomes a path unchecked.
"""

import re
from pathlib import Path
from tempfile import TemporaryDirectory

import streamlit as st
from streamlit.runtime.uploaded_file_manager import UploadedFile

from cifarcore import CifarcoreError, importing
from cifarcore.app import sidebar, state
from cifarcore.app.state import View, escape
from cifarcore.config import ImportConfig
from cifarcore.predictions import SUFFIXES

MAX_MIB = 200  #: as server.maxUploadSize in .streamlit/config.toml
IN_FILE, TORCHVISION, DATA, LIKE_A = (
    "named in the file",
    "torchvision's test set",
    "cifar100.npz's test set",
    "model A's images",
)
#: what `importing` says of the command's flags -> the same in this panel; where it has no control, the command is named
_WORDS = {
    "leave out --order, --images and --like": f"choose «Rows are: {IN_FILE}»",
    "--order torchvision": f"«Rows are: {TORCHVISION}»",
    "--order data": f"«Rows are: {DATA}»",
    "--like RUN": f"«Rows are: {LIKE_A}»",
    "--overwrite": "«Replace it»",
    "--data or CIFARCORE_DATA": "CIFARCORE_DATA",
}
_FLAG = re.compile(r"(?<![\w-])--[a-z-]+(?: (?:[A-Z]+|logits)\b)?")
_SAID, _ROUND = "upload-said", "upload-round"


def panel(root: Path, view: View | sidebar.Problem) -> None:
    """Draw the expander into the sidebar; `root` is the folder of streamlit_app.py."""
    with st.sidebar:
        _panel(state.runs_dir(root), None if isinstance(view, sidebar.Problem) else view.a.first.path)


@st.fragment
def _panel(folder: Path, run_a: Path | None) -> None:
    if said := st.session_state.pop(_SAID, None):
        st.toast(said, icon=":material/upload_file:", duration="long")
    box = st.expander("Add a run", icon=":material/upload_file:", key="upload-open", on_change="rerun")
    if box.open:
        with box:
            _add(folder, run_a)
            _imported(folder)


def _add(folder: Path, run_a: Path | None) -> None:
    number = st.session_state.setdefault(_ROUND, 0)  # an uploader is emptied by another key
    file = st.file_uploader(
        "Run file or predictions",
        [suffix[1:] for suffix in SUFFIXES],
        max_upload_size=MAX_MIB,
        key=f"upload-file-{number}",
        help="Logits or probabilities of any framework: a row for each test image, a column for each class; "
        "and labels. `cifarcore import --help` tells of further ways.",
    )
    images = st.selectbox(
        "Rows are",
        [IN_FILE, TORCHVISION, DATA, *([LIKE_A] if run_a else [])],
        key="upload-images",
        help="Which test images the rows of predictions are: sample ids in the file, or the order of one of these; "
        "where model A is of a folder of pictures, a column `file` finds them. A run file says it itself",
    )
    if file is None:
        return
    if file.size > MAX_MIB << 20:
        st.error(f"{file.size / 2**20:.0f} MB; at most {MAX_MIB} are taken.", icon=":material/error:")
        return
    name = st.text_input(
        "Name",
        importing.run_name(Path(file.name).name, ImportConfig()),
        max_chars=80,
        key=f"upload-name-{file.file_id}",
    )
    try:
        out = importing.run_path(folder, name)
    except CifarcoreError as error:
        st.error(escape(error, 400), icon=":material/error:")
        return
    replace = False
    if out.exists():
        st.warning(f"{escape(name)} is there already.", icon=":material/content_copy:")
        replace = st.checkbox("Replace it", key=f"upload-replace-{file.file_id}-{name}")
    if st.button("Check and add", icon=":material/check:", width="stretch", disabled=out.exists() and not replace):
        config = {
            TORCHVISION: ImportConfig(order="torchvision"),
            DATA: ImportConfig(order="data"),
            LIKE_A: ImportConfig(like=str(run_a)),
        }.get(images, ImportConfig())
        with st.spinner("Checking…"):
            found = _import(file, out, config, replace)
        if found:
            _show_next(folder, found)


def _import(file: UploadedFile, out: Path, config: ImportConfig, overwrite: bool) -> importing.Imported | None:
    """Keep the uploaded file as the run `out`; None, and one line on the page, where it does not fit."""
    try:
        with TemporaryDirectory() as place:
            path = Path(place) / f"{importing.plain_name(Path(file.name).stem)}{Path(file.name).suffix.lower()}"
            path.write_bytes(file.getbuffer())
            if importing.is_run_file(path):  # names its images itself
                config = ImportConfig()
            return importing.import_file(path, out, config, overwrite=overwrite)
    except CifarcoreError as error:
        st.error(escape(in_panel(str(error)), 600), icon=":material/error:")
    except OSError as error:
        st.error(f"Not kept: {escape(error.strerror or error, 200)}.", icon=":material/error:")
    return None


def in_panel(message: str) -> str:
    """A message of `importing` in the words of this panel."""
    for flag, control in _WORDS.items():
        message = message.replace(flag, control)
    return _FLAG.sub(r"«cifarcore import … \g<0>» in a terminal", message)


def _sentence(note: str) -> str:
    text = escape(in_panel(note), 300)
    return text if text.endswith("?") else f"{text}."


def _show_next(folder: Path, found: importing.Imported) -> None:
    """Have the next run of the app show the new run as model B."""
    catalog = state.find_runs(folder)
    for group, headers in catalog.groups.items():
        for header in headers:
            if header.path == found.path:
                sidebar.choose_next({"B": group, "seedB": state.seed_label(header)})
    told = [f"**{escape(found.path.stem)}** added as model B.", *(_sentence(note) for note in found.notes)]
    st.session_state[_SAID] = "  \n".join(told)
    st.session_state[_ROUND] += 1
    st.rerun(scope="app")


def _imported(folder: Path) -> None:
    names = sorted(path.stem for path in (folder / importing.FOLDER).glob("*.npz"))
    if not names:
        return
    name = st.selectbox("Imported runs", names, key="upload-imported")
    if st.button("Delete", icon=":material/delete:", width="stretch", key="upload-delete"):
        _delete(folder, name)


@st.dialog("Delete this imported run?")
def _delete(folder: Path, name: str) -> None:
    st.markdown(f"**{escape(name)}**: its run file and its pictures. This cannot be undone.")
    with st.container(horizontal=True):
        if st.button("Delete it", type="primary", icon=":material/delete:"):
            try:
                importing.delete(folder, name)
            except CifarcoreError as error:
                st.error(escape(error, 300))
                return
            st.rerun()
        if st.button("Keep it"):
            st.rerun()
