"""Whether a framework's loader gives the images of its data set one after the other, all of them.

Imports no framework: a DataLoader of PyTorch exists only where torch was imported.
"""

import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from cifarcore.errors import CifarcoreError
from cifarcore.runs.class_names import names_of

MOST_WRAPPED = 100  #: loaders or data sets, one in another, that are looked at


def refuse_other_order(loader: Any) -> None:
    """Raises CifarcoreError for a loader whose rows are not those of its data set, one after the other: of PyTorch, one
    that wraps such a one, or TensorFlow's data sets, which are made of one another.
    """
    waiting, seen = [loader], []
    while waiting and len(seen) < MOST_WRAPPED:
        each = waiting.pop()
        if each is None or isinstance(each, np.ndarray) or any(each is other for other in seen):
            continue
        seen.append(each)
        if "Shuffle" in type(each).__name__ or getattr(each, "shuffle", None) is True:
            raise CifarcoreError("the loader shuffles its images; make one without it for the test images")
        _refuse_drawn(each)
        inner = [getattr(each, name, None) for name in ("loader", "dataloader", "_input_dataset")]
        several = getattr(each, "_input_datasets", None)
        waiting += [*inner, *(several if isinstance(several, (list, tuple)) else ())]


def _refuse_drawn(loader: Any) -> None:
    """Raises CifarcoreError for a DataLoader of PyTorch that draws its images, or leaves out the last."""
    data = sys.modules.get("torch.utils.data")
    if data is None or not isinstance(loader, data.DataLoader):
        return
    refuse_racing(loader)
    if isinstance(loader.dataset, data.IterableDataset):
        if loader.num_workers > 1:  # they take turns
            raise CifarcoreError(
                f"{loader.num_workers} workers read an IterableDataset, each in its own order; make a loader with "
                "num_workers=1 for the test images"
            )
        return
    batches = loader.batch_sampler  # of which one that was given has a sampler of its own
    drawn_by = [(loader.sampler, data.SequentialSampler), (batches, data.BatchSampler)]
    drawn_by.append((getattr(batches, "sampler", None), data.SequentialSampler))
    for sampler, known in drawn_by:
        if sampler is not None and type(sampler) is not known:
            raise CifarcoreError(
                f"the loader draws its images by {type(sampler).__name__}, not in the order of the data set; make one "
                "with shuffle=False for the test images"
            )
    dropping = loader if batches is None else batches
    if dropping.drop_last and len(loader.dataset) % (dropping.batch_size or 1):
        raise CifarcoreError("the loader drops the last images (drop_last); make one without it for the test images")


def refuse_racing(loader: Any) -> None:
    """Raises CifarcoreError for a DataLoader, or several, whose workers' batches come as they are ready: labels then
    fit their scores, but rows are those of other images, by the order and by the indices that were drawn.
    """
    for each in _single(loader):
        if getattr(each, "in_order", True) is False and getattr(each, "num_workers", 0) > 1:
            raise CifarcoreError(
                f"{each.num_workers} workers give their batches as they are ready (in_order=False); make a loader "
                "without it for the test images"
            )


def refuse_left_out(loader: Any, rows: int) -> None:
    """Raises CifarcoreError where the batches of a loader have other than `rows` images in all: a collate_fn may leave
    out what it cannot read, and all later rows would be those of other images.
    """
    data = sys.modules.get("torch.utils.data")
    if data is None or not isinstance(loader, data.DataLoader) or isinstance(loader.dataset, data.IterableDataset):
        return
    if (images := len(loader.dataset)) != rows:
        raise CifarcoreError(
            f"the loader gave {rows:,} rows for the {images:,} images of its data set; let it leave out none"
        )


def _single(loader: Any) -> Iterator[Any]:
    """The loaders of a list or a dictionary, or of what Lightning makes of these; else the one."""
    held = getattr(loader, "flattened", loader)
    if isinstance(held, (list, tuple, dict)):
        for each in held.values() if isinstance(held, dict) else held:
            yield from _single(each)
    else:
        yield loader


def refuse_other_names(loader: Any, names: Any) -> None:
    """Raises CifarcoreError where the data set of a loader counts the classes `names` in another order: as `classes`
    or `class_to_idx`, of PyTorch's, `class_names` or `class_indices`, of Keras's, or its feature `label`, of Hugging
    Face's. A data set that changes its labels counts its own.
    """
    if names is not None:
        ours = [str(name) for name in names]
        for each in _single(loader):  # a list of batches has many
            _refuse_other_names(getattr(each, "dataset", each), ours)


def _refuse_other_names(given: Any, ours: list[str]) -> None:
    torch_data = sys.modules.get("torch.utils.data")
    while torch_data is not None and isinstance(given, torch_data.Subset | torch_data.ConcatDataset):
        given = given.datasets[0] if isinstance(given, torch_data.ConcatDataset) else given.dataset
    if getattr(given, "target_transform", None) is not None:
        return
    features = getattr(given, "features", None)
    counted = {name: getattr(given, name, None) for name in ("classes", "class_names", "class_indices", "class_to_idx")}
    counted["features"] = getattr(features.get("label"), "names", None) if isinstance(features, dict) else None
    for attribute, theirs in counted.items():
        theirs = theirs.tolist() if isinstance(theirs, np.ndarray | pd.Index | pd.Series) else theirs
        if not isinstance(theirs, (list, tuple, dict)) or not all(isinstance(name, str) for name in theirs):
            continue
        if isinstance(theirs, dict) and all(isinstance(number, int) for number in theirs.values()):
            theirs = sorted(theirs, key=lambda name: theirs[name])
        places = names_of(ours).places(list(theirs))
        if len(places) == len(ours) and ((places >= 0) & (places != np.arange(len(ours)))).any():
            raise CifarcoreError(
                f"the data set counts the classes as {', '.join(theirs)[:100]}, … ({attribute}), and class_names are "
                f"{', '.join(ours)[:100]}, …; give them in its order"
            )
