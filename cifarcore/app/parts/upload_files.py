"""What was uploaded, written as files below a temporary folder: no name of a user's leads anywhere else."""

import re
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from streamlit.runtime.uploaded_file_manager import UploadedFile

from cifarcore.errors import CifarcoreError
from cifarcore.files import plain_name
from cifarcore.runs.archive import holds_run
from cifarcore.runs.formats import stem_of, suffix_of


def is_run_file(upload: UploadedFile) -> bool:
    """Whether an uploaded file names its images itself, as a run file does."""
    return suffix_of(upload.name) == ".npz" and holds_run(upload)


def written(uploads: Sequence[UploadedFile], folder: Path) -> list[Path]:
    """The files in `folder`, each by a plain name. Raises CifarcoreError where two have the same."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for upload in uploads:
        name = PurePosixPath(upload.name.replace("\\", "/")).name
        path = folder / f"{plain_name(stem_of(name))}{suffix_of(name)}"
        if path in paths:
            raise CifarcoreError(f"two files are called {path.name}; give them different names")
        path.write_bytes(upload.getbuffer())
        paths.append(path)
    return paths


def written_folder(uploads: Sequence[UploadedFile], folder: Path) -> Path:
    """An uploaded folder of pictures, with the folders of the classes in it, below `folder`.

    Raises CifarcoreError for a name that leads elsewhere.
    """
    names = [PurePosixPath(upload.name.replace("\\", "/")) for upload in uploads]
    root = folder / plain_name(names[0].parts[0] if len(names[0].parts) > 1 else "pictures")
    for upload, name in zip(uploads, names, strict=True):
        inside = name.parts[1:] if len(name.parts) > 1 else name.parts
        if name.is_absolute() or not all(map(_is_part, inside)):
            raise CifarcoreError(f"{str(name)[:100]!r} is no name of a picture in a folder; rename it")
        path = root.joinpath(*inside)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(upload.getbuffer())
    return root


def _is_part(part: str) -> bool:
    """Whether a part of a path names a file or folder, on Windows too."""
    return part not in ("", ".", "..") and not re.search(r'[\x00-\x1f<>:"|?*/\\]', part)
