"""The run file, version 1: one model's scores on one test set, with what is needed to compare it.

The contract between training and the app, so it knows NumPy alone: no torch, no Streamlit.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from cifarcore.errors import readable
from cifarcore.files import atomic_write
from cifarcore.runs.archive import native, opened, read_array
from cifarcore.runs.digests import derived_digest, own_digest
from cifarcore.runs.layout import (
    GROUPS,
    HISTORY_COLUMNS,
    LAYOUT,
    SCHEMA,
    check_schema,
    check_shapes,
    check_values,
    parse_meta,
    refusal,
)
from cifarcore.runs.scores import CLASSES, PRECISE, STORED_AS
from cifarcore.runs.unchanging import keep_arrays, owned

MOST_NAMED = 12
_STORED_AS_FLOAT16 = ("logits", "val_logits", "train_neighbor_cosine")


@dataclass(frozen=True, eq=False)
class Run:
    """One model's outputs on N test images of C classes; where a file has none of the optional arrays they are None,
    `history` is empty. All arrays are read-only, copies of those that could be changed: to change one, `replace` it.
    """

    class_names: np.ndarray  #: unicode (C,)
    sample_ids: np.ndarray  #: uint64 (N,)
    labels: np.ndarray  #: int16 (N,)
    logits: np.ndarray  #: float (N, C), scores before softmax
    meta: dict[str, Any] = field(default_factory=dict)
    superclass_names: np.ndarray | None = None  #: unicode (S,)
    superclass_of: np.ndarray | None = None  #: int16 (C,)
    val_sample_ids: np.ndarray | None = None
    val_labels: np.ndarray | None = None
    val_logits: np.ndarray | None = None
    tsne: np.ndarray | None = None  #: float32 (N, 2)
    umap: np.ndarray | None = None  #: float32 (N, 2)
    clusters: np.ndarray | None = None  #: int16 (N,), which k-means cluster of the features each image is in
    train_neighbor_ids: np.ndarray | None = None  #: uint64 (N, K), nearest first
    train_neighbor_labels: np.ndarray | None = None  #: int16 (N, K)
    train_neighbor_cosine: np.ndarray | None = None  #: float16 (N, K)
    metadata_names: np.ndarray | None = None  #: unicode (M,), what the user knows of the images
    metadata_values: np.ndarray | None = None  #: unicode (N, M), empty where it is not known
    history: dict[str, np.ndarray] = field(default_factory=dict)  #: HISTORY_COLUMNS -> float32 (E,)
    path: Path | None = None  #: the file it was read from
    digest: str = ""  #: of the file's bytes, and of what was chosen since: equal digests, equal content

    def __post_init__(self) -> None:
        keep_arrays(self)
        object.__setattr__(self, "digest", own_digest(self))

    @property
    def name(self) -> str:
        return readable(self.path.stem) if self.path else f"{self.group}-{self.meta.get('seed', 0)}"

    @property
    def group(self) -> str:
        """What the seeds of one model have in common: `model-preset`."""
        return group_of(self.meta, self.path)

    @property
    def n_images(self) -> int:
        return len(self.labels)

    @property
    def n_classes(self) -> int:
        return len(self.class_names)

    @property
    def has_scores(self) -> bool:
        """Whether `logits` rank the classes; False where they only name the predicted one."""
        return self.meta.get("scores") != CLASSES

    @classmethod
    def from_predictions(
        cls,
        scores: Any,
        labels: Any,
        *,
        class_names: Sequence[str],
        sample_ids: Any = None,
        images: Any = None,
        test_set: str = "",
        kind: str = "",
        model: str = "",
        preset: str = "",
        seed: int = 0,
        superclass_of: Mapping[str, str] | None = None,
        metadata: Any = None,
        meta: Mapping[str, Any] | None = None,
    ) -> "Run":
        """A run of the outputs of any model: NumPy arrays, lists, or tensors of any framework.

        Args:
            scores: (N, C) logits, probabilities or log-probabilities of N test images and C classes; or the predicted
                classes alone, (N,) indices from 0 or names: then what needs scores (AUC, calibration) is absent.
            labels: the true classes, (N,) indices from 0 or names, or one-hot (N, C).
            class_names: the C names, in the order of the columns of `scores`.
            sample_ids: uint64 (N,), see `cifarcore.data.sample_ids`; or
            images: the raw test images, uint8 RGB (N, height, width, 3) or a list of PIL images; or
            test_set: its name, where the images are not at hand: runs of one test set are compared row by row.
            kind: `logits`, `probabilities` or `log_probabilities`; empty: recognised by the sums of the rows.
            model, preset, seed: how the run is named; runs that agree in model and preset are its seeds.
            superclass_of: the superclass of each class name; CIFAR-100's own where the classes are CIFAR-100's.
            metadata: columns of what is known of each image, {"camera": [...]}; or a CSV file with a column sample_id.
            meta: further entries of the run's `meta`, values that JSON can hold.

        Raises CifarcoreError, one line that names the argument; warns of what fits and looks wrong, as `import` does.

        >>> from cifarcore import Run
        >>> run = Run.from_predictions([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4]], [0, 1, 1], class_names=["cat", "dog"],
        ...     sample_ids=[1, 2, 3], model="mine")
        >>> run.name, run.n_images, run.correct.tolist(), run.meta["scores"]
        ('mine-0', 3, [True, True, False], 'log_probabilities')
        """
        from cifarcore.runs.arrays import arrays_of, warn_of_doubts  # with all readers, which no other run needs

        run = cls(**arrays_of(
            scores, labels, class_names=class_names, ids=sample_ids, images=images, test_set=test_set, kind=kind,
            model=model, preset=preset, seed=seed, superclass_of=superclass_of, metadata=metadata, meta=meta,
        ))  # fmt: skip
        checked_arrays(run, Path("Run.from_predictions"))
        warn_of_doubts(run, by_row=bool(test_set))
        return run

    def blocks(self) -> list[slice]:
        """The rows in blocks whose scores fit a processor's cache."""
        step = 2**18 // self.n_classes
        return [slice(start, start + step) for start in range(0, self.n_images, step)]

    @cached_property  # kept as long as the scores that it is of; all metrics ask for it
    def predictions(self) -> np.ndarray:
        """The class of highest score of each image, (N,); the lowest index among equals."""
        best = np.empty(self.n_images, dtype=np.intp)
        for rows in self.blocks():
            best[rows] = self.logits[rows].astype(np.float32).argmax(axis=1)  # float16 is compared one by one
        return owned(best)

    @cached_property  # as predictions
    def correct(self) -> np.ndarray:
        """Whether each image's highest score is its label's, bool (N,)."""
        return owned(np.asarray(self.predictions == self.labels))

    def take(self, rows: np.ndarray) -> "Run":
        """The same run on the chosen test images, in the order of `rows` (integer indices or a mask)."""
        per_image = ("sample_ids", "labels", "logits", "tsne", "umap", "clusters", *GROUPS[2], "metadata_values")
        chosen: Any = {name: owned(getattr(self, name)[rows]) for name in per_image if getattr(self, name) is not None}
        return replace(self, **chosen, digest=derived_digest(self.digest, np.asarray(rows)))


@dataclass(frozen=True)
class RunHeader:
    """What a picker needs of a run file, read without loading its arrays."""

    path: Path
    meta: dict[str, Any]
    n_images: int
    n_classes: int
    checksum: tuple[int, ...] = ()  #: of scores, labels and ids, as the archive lists them; none of classes alone
    classes: int = 0  #: checksum of the names in their order

    @property
    def name(self) -> str:
        return readable(self.path.stem)

    @property
    def group(self) -> str:
        return group_of(self.meta, self.path)

    @property
    def seed(self) -> int:
        return seed_of(self.meta)


def model_key(meta: dict[str, Any]) -> tuple[str, str, bool, bool] | None:
    """What seeds of one model say alike: model, preset, whether imported, whether retrained; None: nobody's seed."""
    named = str(meta.get("model") or ""), str(meta.get("preset") or "")
    return (*named, "imported" in meta, bool(meta.get("parent"))) if named[0] else None


def group_of(meta: dict[str, Any], path: Path | None) -> str:
    """The name under which the seeds of a model are shown; models that differ (`model_key`) may share it."""
    if meta.get("model"):
        return "-".join(str(meta[key]) for key in ("model", "preset") if meta.get(key))
    return readable(path.stem) if path else "run"


def seed_given(meta: dict[str, Any]) -> int | None:
    """The seed of a training; None where nobody gave one: `import` writes 0 for predictions that name no model."""
    seed = meta.get("seed")
    return None if "imported" in meta and not meta.get("model") and not seed else seed


def seed_of(meta: dict[str, Any]) -> int:
    """The seed by which the runs of a model are told apart and ordered: 0 where none is named."""
    return int(meta.get("seed") or 0)


def seeds_text(runs: Sequence[Run]) -> str:
    """Such as "mean of seeds 0, 1, 2", "mean of 13 seeds" or "seed 0"; empty for a single run of unknown seed."""
    if len(runs) > MOST_NAMED:
        return f"mean of {len(runs)} seeds"
    names = ", ".join(str(seed_of(run.meta)) for run in runs)
    if len(runs) > 1:
        return f"mean of seeds {names}"
    return "" if seed_given(runs[0].meta) is None else f"seed {names}"


def save_run(run: Run, path: str | Path) -> Path:
    """Write `run` as one `.npz`, atomically, and return its path: scores as float16 (N, C), or as float32 where `meta`
    says that they lie too close for it; class indices as int16. Raises RunFileError when it is not a valid run.
    """
    path = Path(path)
    arrays = checked_arrays(run, path)
    with atomic_write(path) as file:
        np.savez_compressed(file, allow_pickle=False, **arrays)
    return path


def checked_arrays(run: Run, path: Path) -> dict[str, np.ndarray]:
    """The arrays of `run` as a file keeps them. Raises RunFileError, which names `path`, when it is not a valid run."""
    try:
        meta = json.dumps(run.meta, ensure_ascii=False, sort_keys=True, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise refusal(path, f"meta cannot be written as JSON ({error})") from None
    arrays = {"schema": np.array(SCHEMA), "meta": np.array(meta)}
    for name in LAYOUT:
        column = name.removeprefix("history_")
        value = getattr(run, name, None) if column == name else run.history.get(column)
        if name not in arrays and value is not None:
            arrays[name] = native(np.asarray(value))
            if name in _STORED_AS_FLOAT16 and arrays[name].dtype.kind == "f":
                stored = np.float32 if name == "logits" and run.meta.get(STORED_AS) == PRECISE else np.float16
                with np.errstate(over="ignore"):
                    arrays[name] = arrays[name].astype(stored, copy=False)
    check_shapes({name: (array.dtype, array.shape) for name, array in arrays.items()}, path)
    parse_meta(arrays["meta"], path)
    check_values(arrays, path)
    return _with_int16(arrays)


def load_run(path: str | Path) -> Run:
    """Read and validate a run file. Raises RunFileError with one line that names the array and the reason.

    >>> import tempfile
    >>> from cifarcore import Run, load_run, save_run
    >>> run = Run.from_predictions([[2.0, -1.0]], [0], class_names=["cat", "dog"], sample_ids=[7], model="mine")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     loaded = load_run(save_run(run, f"{folder}/mine.npz"))
    >>> loaded.labels, loaded.logits
    (array([0], dtype=int16), array([[ 0., -3.]], dtype=float16))
    """
    path = Path(path)
    with opened(path) as (file, archive, headers):
        arrays = {name: read_array(archive, entry) for name, (entry, _, _) in headers.items()}
        file.seek(0)
        digest = hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()
    check_schema(arrays.pop("schema"), path)
    meta = parse_meta(arrays.pop("meta", None), path)
    check_values(arrays, path)
    arrays = {name: owned(array) for name, array in _with_int16(arrays).items()}
    history = {column: arrays.pop(f"history_{column}") for column in HISTORY_COLUMNS if f"history_{column}" in arrays}
    return Run(**arrays, meta=meta, history=history, path=path, digest=digest)


def read_header(path: str | Path) -> RunHeader:
    """Read what a picker needs, without the arrays. Raises RunFileError as `load_run` does for shapes and types."""
    path = Path(path)
    with opened(path) as (_, archive, headers):
        schema, meta = (
            read_array(archive, headers[name][0]) if name in headers else None for name in ("schema", "meta")
        )
    check_schema(schema, path)
    n_images, n_classes = headers["logits"][2]
    *checksum, classes = (headers[name][0].CRC for name in ("logits", "labels", "sample_ids", "class_names"))
    facts = parse_meta(meta, path)
    return RunHeader(path, facts, n_images, n_classes, () if facts.get("scores") == CLASSES else (*checksum,), classes)


def _with_int16(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Class indices as int16, once they are known to fit."""
    return {name: array.astype(np.int16) if LAYOUT[name][0] == "iu" else array for name, array in arrays.items()}
