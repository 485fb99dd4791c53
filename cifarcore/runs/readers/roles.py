"""What an array or a column may be called, and what it then means: labels, sample ids, files, class names, scores.

Names are compared in lower case, with _ for blanks and hyphens.
"""

import re
from collections.abc import Iterable

from cifarcore.errors import CifarcoreError

LABELS = (
    *("label", "labels", "target", "targets", "true", "truth", "gt", "y", "y_true", "y_test", "ground_truth"),
    *("groundtruth", "label_id", "label_ids", "label_name", "true_label", "true_labels", "true_class", "actual"),
    *("fine_label", "fine_labels", "class_label", "gold", "gold_label", "reference", "references"),
    *("gt_label", "gt_labels"),
)
IDS = ("sample_id", "sample_ids")
FILES = (
    *("file", "files", "filename", "filenames", "file_name", "file_names", "filepath", "filepaths", "file_path"),
    *("path", "paths", "image_path", "image_paths", "img_path", "img_paths", "image_file", "image_files"),
    *("image_name", "image_names", "img_name", "fname", "fnames"),
)
#: their values decide: whole numbers are row numbers, 16 hexadecimal digits sample ids, other text files
PLACES = (
    *("", "unnamed:_0", "index", "indices", "idx", "__index_level_0__", "level_0", "row", "rows", "row_number"),
    *("id", "ids", "image", "images", "img", "image_id", "image_ids", "img_id", "sample_index", "image_index"),
)
#: read where there are no scores
PREDICTED = (
    *("prediction", "predictions", "predicted", "pred", "preds", "pred_label", "predicted_label", "predicted_class"),
    *("pred_class", "pred_labels", "predicted_labels", "predicted_classes", "y_pred", "y_hat", "yhat"),
)
#: neither a class nor read
OTHER = (
    *PREDICTED,
    *("split", "fold", "confidence", "conf", "max_prob", "correct", "loss", "entropy", "margin", "coarse_label"),
    *("coarse_labels", "superclass"),
)
#: which part of a file's rows each is of, such as one of several models
PARTS = (
    *("split", "fold", "subset", "partition", "phase", "set", "dataset", "model", "model_name", "network", "run"),
    *("epoch", "step", "seed", "checkpoint", "ckpt", "variant", "experiment"),
)
CLASSES = ("class_names", "classes", "classes_")
SCORES = {
    **dict.fromkeys(("logits", "logit"), "logits"),
    **dict.fromkeys(
        ("probabilities", "probs", "proba", "prob", "probability", "predict_proba", "softmax"), "probabilities"
    ),
    **dict.fromkeys(("log_probabilities", "log_probs", "log_proba", "log_softmax"), "log_probabilities"),
    **dict.fromkeys(("scores", "outputs", "predictions", "y_pred", "arr_0"), ""),
}
PREFIXES = ("logits_", "logit_", "probability_", "prob_", "proba_", "p_", "score_", "class_", "label_")
_ROLES = {
    name: role
    for role, names in (
        ("labels", LABELS), ("sample_ids", IDS), ("files", FILES), ("place", PLACES), ("other", OTHER),
    )
    for name in names
}  # fmt: skip


def role_of(heading: str) -> str:
    """`labels`, `sample_ids`, `files`, `place` or `other`; empty for a heading that is none of these."""
    return _ROLES.get(heading_key(heading), "")


def heading_key(heading: str) -> str:
    """A heading as it is looked up."""
    return re.sub(r"[\s-]+", "_", str(heading).strip().lower())


def only(arrays: Iterable[str], names: tuple[str, ...]) -> str | None:
    present = [key for key in arrays if key.lower() in names]
    if len(present) > 1:
        raise CifarcoreError(f"arrays {', '.join(present)} mean the same; keep one")
    return present[0] if present else None
