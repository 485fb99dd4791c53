"""What was understood of a file of predictions, in words: for a message that refuses it, and before it is kept."""

from collections.abc import Sequence

import numpy as np

from cifarcore.config import ImportConfig
from cifarcore.runs.layout import dataset_name
from cifarcore.runs.predictions import Predictions
from cifarcore.runs.run import Run
from cifarcore.runs.scores import CLASSES
from cifarcore.runs.test_sets import ROWS, TestSet

NOT_USED = "Not used"
_KINDS = {"log_probabilities": "probabilities", CLASSES: "none, but the predicted classes"}
_NAMED, _EXAMPLES = 5, 5


def understood(predictions: Predictions) -> str:
    """What was read of a file, for a message that refuses it."""
    n, what = len(predictions.scores), "a predicted class each"
    if predictions.scores.ndim > 1:
        what = f"{predictions.scores.shape[1]} columns of scores"
    words = {"files": "picture files", "sample_ids": "sample ids", "rows": "row numbers"}
    # an array alone is read as one called scores
    sources = [each for each in predictions.sources if each != ("scores", "scores")]
    parts = [f"{words.get(role, role)} from {heading[:60]!r}" for role, heading in sources]
    if predictions.columns and "class names" not in dict(predictions.sources):
        parts.append(f"classes {predictions.columns[0][:30]!r} to {predictions.columns[-1][:30]!r}")
    parts += (
        [f"not used: {', '.join(repr(name[:30]) for name in predictions.unused[:5])}"] if predictions.unused else []
    )
    return f"read: {n:,} rows, {what}" + "".join(f"; {each}" for each in parts)


def summary(
    run: Run, test: TestSet | None, predictions: Predictions, labels_given: bool, config: ImportConfig
) -> dict[str, str]:
    """What was understood, by what it is of; `run` and `test` hold the same images in the same order."""
    title = test.title if test else dataset_name(run.meta)
    read = {
        "Rows": f"{len(predictions.scores):,}",
        "Images": f"{run.n_images:,}" + (f" of {title}" if title else ""),
        "Order": _order(test, predictions, config),
        "Columns": _columns(predictions, config),
        **_of_classes(run),
        "Labels": _labels(predictions, test, labels_given, config),
        NOT_USED: _unused(predictions, test) or "nothing",
    }
    return read | _accuracy(run)


def summary_of_run(run: Run) -> dict[str, str]:
    """The same of a run file, which says it all itself."""
    images = f"{run.n_images:,}" + (f" of {name}" if (name := dataset_name(run.meta)) else "")
    return {"Images": images, "Order": "by the run file's sample ids", **_of_classes(run), **_accuracy(run)}


def scores_of(run: Run) -> str:
    """The kind of scores that a run has."""
    if not run.has_scores:
        return "predicted classes without scores"
    kind = run.meta.get("scores", "logits")
    return "probabilities (stored as logarithms)" if kind == "log_probabilities" else kind


def examples(run: Run, test: TestSet | None, files: Sequence[str] | None) -> tuple[tuple[str, str, str], ...]:
    """Image, true label and predicted class of the first rows."""
    rows = range(min(_EXAMPLES, run.n_images))
    if test is not None and test.folder is not None:
        names = [test.folder.files[row] for row in np.asarray(test.rows)[: len(rows)].tolist()]
    elif files is not None and len(files) == run.n_images:
        names = list(files[: len(rows)])
    else:
        names = [f"{sample_id:016x}" for sample_id in run.sample_ids[: len(rows)].tolist()]
    classes = run.class_names.tolist()
    return tuple((names[row], classes[run.labels[row]], classes[run.predictions[row]]) for row in rows)


def _of_classes(run: Run) -> dict[str, str]:
    names = ", ".join(name[:30] for name in run.class_names[:_NAMED].tolist())
    kind = run.meta.get("scores", "logits")
    return {
        "Classes": f"{run.n_classes:,}: {names}" + (", …" if run.n_classes > _NAMED else ""),
        "Scores": _KINDS.get(kind, kind),
    }


def _accuracy(run: Run) -> dict[str, str]:
    return {"Accuracy": f"{run.correct.mean():.4f}"}


def _order(test: TestSet | None, predictions: Predictions, config: ImportConfig) -> str:
    heading = {role: f" in {name[:60]!r}" for role, name in predictions.sources}
    if config.order == ROWS:
        by = f"the row numbers{heading['rows']}" if "rows" in heading else "the place of each row"
        return f"by {by}, which count the images of {config.test_set.strip()!r}"
    if test is None:
        return f"by the sample ids{heading.get('sample_ids', '')}"
    if test.by_file:
        return f"by the names of files{heading.get('files', '')}"
    if predictions.rows is not None:
        return f"by the row numbers{heading.get('rows', '')}, in the order of {test.title}"
    return f"as the rows stand, in the order of {test.title}" + (f" ({config.order})" if test.folder else "")


def _columns(predictions: Predictions, config: ImportConfig) -> str:
    if predictions.kind == CLASSES:
        return "predicted classes" + next((f" in {name[:60]!r}" for _, name in predictions.sources), "")
    whose = "the file of class names" if config.class_names else "the images' classes"
    if predictions.columns is None:
        return f"without names, in the order of {whose}"
    if all(name.isdecimal() for name in predictions.columns):
        return "by number"
    return f"by name, such as {predictions.columns[0][:30]!r}"


def _labels(predictions: Predictions, test: TestSet | None, given: bool, config: ImportConfig) -> str:
    where = "the file of labels"
    if not config.labels:
        where = next((repr(name[:60]) for role, name in predictions.sources if role == "labels"), "the file")
    if test is None:
        return f"from {where}"
    return f"from {where}, the same as those of the images" if given else "those of the images; the file has none"


def _unused(predictions: Predictions, test: TestSet | None) -> str:
    """What the file holds and nothing was read from; empty where that is nothing."""
    names = list(predictions.unused)
    if predictions.rows is not None and (test is None or test.by_file):  # the images are named
        names += [heading for role, heading in predictions.sources if role == "rows"]
    return ", ".join(repr(name[:60]) for name in names[:10]) + (f" and {len(names) - 10:,} more" * (len(names) > 10))
