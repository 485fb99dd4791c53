"""From a training script of another framework to a run: one call each, with the framework imported inside.

All keywords beyond those named here are those of `Run.from_predictions`; images stand in the order of the data set.
"""

import gc
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cifarcore.errors import CifarcoreError
from cifarcore.runs.arrays import as_array
from cifarcore.runs.class_names import names_of
from cifarcore.runs.loaders import refuse_left_out, refuse_other_names, refuse_other_order, refuse_racing
from cifarcore.runs.predictions import as_class_labels
from cifarcore.runs.readers.roles import role_of
from cifarcore.runs.run import Run, save_run

if TYPE_CHECKING:
    import torch

FEWEST = 20  #: images on which a model is seldom right on all


def run_from_torch(
    model: "torch.nn.Module",
    loader: Any,
    /,
    *,
    device: Any = None,
    forward: Callable[..., Any] | None = None,
    **arguments: Any,
) -> Run:
    """Score every batch of a loader with a PyTorch network, as it stands, and make a run of its logits.

    Args:
        model: the network; put into evaluation mode meanwhile, and back.
        loader: gives (inputs, labels) or {"...": inputs, "labels": labels}, in the order of `images`: not shuffled, and
            no image left out.
        device: where the network is; else that of its first parameter.
        forward: what to call instead of `model(inputs)`; it gets one batch, on the device, and gives logits (n, C).
        arguments: of `Run.from_predictions`: class_names, and images, sample_ids or test_set; model, preset, seed.

    Raises:
        CifarcoreError: one line; the loader shuffles or drops images, a batch has no labels, or an argument does not
            fit.
    """
    import torch

    refuse_other_order(loader)
    refuse_other_names(loader, arguments.get("class_names", ()))
    if device is None:
        parameter = next(model.parameters(), None)
        device = torch.device("cpu") if parameter is None else parameter.device
    scores, labels = [], []
    was_training = model.training
    model.eval()
    try:
        with torch.inference_mode():
            for batch in loader:
                inputs, truth = _parts(batch)
                moved = _moved(batch if forward else inputs, device)
                scores.append(_logits(forward(moved) if forward else model(moved)))
                labels.append(as_array(truth, "labels"))
    finally:
        model.train(was_training)
    if not scores:
        raise CifarcoreError("the loader gives no batch")
    refuse_left_out(loader, sum(map(len, scores)))
    return Run.from_predictions(np.concatenate(scores), np.concatenate(labels), **arguments)


def lightning_writer(path: str | Path, labels: Any = None, **arguments: Any) -> Any:
    """A callback for Lightning's `Trainer.predict` that writes the run file `path` at the end.

    The module's `predict_step` returns the logits (n, C) of a batch, or (logits, labels). Rows are put into the order
    of the data set by the batches' indices, over all processes, and what a distributed sampler repeated counts once.

    Args:
        path: the run file.
        labels: the true classes (N,) in the order of the data set, where `predict_step` returns logits alone.
        arguments: of `Run.from_predictions`.

    Raises:
        CifarcoreError: at the end of the prediction, as `Run.from_predictions`.
    """
    try:
        from lightning.pytorch.callbacks import BasePredictionWriter
    except ImportError:
        from pytorch_lightning.callbacks import BasePredictionWriter

    class RunWriter(BasePredictionWriter):  # type: ignore[misc,valid-type,unused-ignore]
        def write_on_epoch_end(self, trainer: Any, module: Any, predictions: Any, batch_indices: Any) -> None:
            if trainer.num_predict_batches and len(trainer.num_predict_batches) > 1:
                raise CifarcoreError("several loaders were predicted; give Trainer.predict one, of one test set")
            loaders = getattr(trainer, "predict_dataloaders", None)
            refuse_racing(loaders)
            refuse_other_names(loaders, arguments.get("class_names", ()))
            outputs = [each if isinstance(each, (tuple, list)) else (each,) for each in predictions]
            scores = np.concatenate([_logits(each[0]) for each in outputs])
            with_labels = len(outputs[0]) > 1
            labels_given = np.concatenate([as_array(each[1], "labels") for each in outputs]) if with_labels else None
            rows = np.array([row for batch in batch_indices[0] for row in batch], np.int64)
            if len(rows) != len(scores):
                raise CifarcoreError(
                    f"{len(rows):,} indices for {len(scores):,} predictions; predict with a loader whose batches are "
                    "drawn by a sampler"
                )
            parts = [(rows, scores, labels_given)]
            if trainer.world_size > 1:
                import torch.distributed as distributed

                parts = [None] * trainer.world_size
                distributed.all_gather_object(parts, (rows, scores, labels_given))
            if trainer.is_global_zero:
                _write(path, parts, labels, arguments)

    return RunWriter(write_interval="epoch")


def keras_callback(
    path: str | Path, inputs: Any, labels: Any, *, batch_size: int | None = None, **arguments: Any
) -> Any:
    """A Keras callback that writes the run file `path` at the end of `fit`; the last of its `callbacks`.

    Args:
        path: the run file.
        inputs: what `model.predict` takes, of the test images in their order: not shuffled, and none left out.
        labels: the true classes, (N,) or one-hot (N, C).
        batch_size: of the prediction.
        arguments: of `Run.from_predictions`; without images, sample_ids or test_set, `inputs` are the images where they
            are uint8 RGB (N, height, width, 3).

    Raises:
        CifarcoreError: at once where `inputs` are shuffled; at the start of the training where a callback after this
            one restores the best weights at its end; at the end, as `Run.from_predictions`.
    """
    from keras.callbacks import Callback

    refuse_other_order(inputs)
    refuse_other_names(inputs, arguments.get("class_names", ()))

    class RunWriter(Callback):  # type: ignore[misc,valid-type,unused-ignore]
        def on_train_begin(self, logs: Any = None) -> None:
            _refuse_later_weights(self)

        def on_train_end(self, logs: Any = None) -> None:
            scores = np.asarray(self.model.predict(inputs, batch_size=batch_size, verbose=0))
            refuse_left_out(inputs, len(scores))
            given = arguments
            if not {"images", "sample_ids", "test_set"} & set(arguments) and getattr(inputs, "dtype", None) == np.uint8:
                given = arguments | {"images": inputs}
            save_run(Run.from_predictions(scores, labels, **given), path)

    return RunWriter()


def _refuse_later_weights(callback: Any) -> None:
    """Raises CifarcoreError where a list of callbacks, which Keras does not show to them, has one after this that
    changes the weights at the end of the training.
    """
    for listed in gc.get_referrers(callback):
        places = [place for place, each in enumerate(listed) if each is callback] if isinstance(listed, list) else []
        later = listed[places[-1] + 1 :] if places else []
        if names := [type(each).__name__ for each in later if getattr(each, "restore_best_weights", False)]:
            raise CifarcoreError(
                f"{names[0]} restores the best weights at the end of the training, after this callback has written the "
                "run of the last ones; put this callback last in callbacks=[...]"
            )


def run_from_trainer(trainer: Any, dataset: Any, /, *, images: Any = None, **arguments: Any) -> Run:
    """Predict a data set with a Hugging Face `Trainer` and make a run of its logits.

    Args:
        trainer: of transformers, with a network for classification.
        dataset: what `trainer.predict` takes, with labels, of the test images in their order.
        images: as of `Run.from_predictions`, in the order of the data set, such as `dataset["image"]`.
        arguments: of `Run.from_predictions`; without class_names, those of the network's configuration (`id2label`).

    Raises:
        CifarcoreError: one line; the data set has no labels, or an argument does not fit.
    """
    settings = getattr(trainer, "args", None)
    strategy = getattr(settings, "train_sampling_strategy", "")  # as later versions call it
    if getattr(settings, "group_by_length", False) or strategy == "group_by_length":
        raise CifarcoreError(
            "the trainer draws its images by length (group_by_length), not in the order of the data set; predict with "
            "a trainer without it"
        )
    output = trainer.predict(dataset)
    if isinstance(output.label_ids, tuple):
        raise CifarcoreError(f"{len(output.label_ids)} columns of labels; give the trainer's label_names one of them")
    scores, labels = (_whole(each) for each in (output.predictions, output.label_ids))
    if labels is None:
        raise CifarcoreError("the data set has no labels; give one with a column of labels, as for trainer.evaluate")
    numbered: Mapping[Any, str] = getattr(getattr(trainer.model, "config", None), "id2label", None) or {}
    of_network = [numbered[key] for key in sorted(numbered, key=int)]
    if of_network:
        arguments.setdefault("class_names", of_network)
    _refuse_other_classes(list(map(str, arguments.get("class_names", ()))), of_network, dataset)
    if images is not None:
        arguments["images"] = images
    return Run.from_predictions(scores, labels, **arguments)


def _whole(given: Any) -> np.ndarray | None:
    """The first of several outputs, and batches that a trainer did not put together (eval_do_concat_batches) as one."""
    if isinstance(given, tuple):
        given = given[0]
    if isinstance(given, list) and given:
        batches = [np.asarray(each[0] if isinstance(each, tuple) else each) for each in given]
        return np.concatenate(batches) if all(each.ndim for each in batches) else np.stack(batches)
    return None if given is None else np.asarray(given)


def _refuse_other_classes(names: Sequence[str], of_network: Sequence[str], dataset: Any) -> None:
    """Raises CifarcoreError where the network, or the data set of Hugging Face, counts classes of these names, however
    they are spelled, in another order.
    """
    features = getattr(dataset, "features", None)
    columns = features.items() if isinstance(features, Mapping) else ()
    counted = {f"the column {name!r} of the data set": getattr(each, "names", None) for name, each in columns}
    for what, theirs in {"the network's id2label": of_network, **counted}.items():
        places = names_of(names).places(list(theirs or ()))
        if len(places) == len(names) and ((places >= 0) & (places != np.arange(len(places)))).any():
            raise CifarcoreError(
                f"{what} counts the classes as {', '.join(theirs[:3])}, …, and class_names, without which id2label is "
                f"taken, as {', '.join(names[:3])}, …; bring all into one order"
            )


def _write(path: str | Path, parts: Sequence[Any], labels: Any, arguments: dict[str, Any]) -> None:
    """One run file of the rows, scores and labels of all processes."""
    rows, first = np.unique(np.concatenate([each[0] for each in parts]), return_index=True)
    if not np.array_equal(rows, np.arange(len(rows))):
        raise CifarcoreError(f"{len(rows):,} images were predicted of at least {rows.max() + 1:,}; predict all of them")
    scores = np.concatenate([each[1] for each in parts])[first]
    if labels is None and parts[0][2] is None:
        raise CifarcoreError("no labels; return (logits, labels) from predict_step, or give labels to lightning_writer")
    truth = labels if labels is not None else np.concatenate([each[2] for each in parts])[first]
    if labels is None and len(truth) >= FEWEST and scores.ndim == 2 and np.array_equal(truth, scores.argmax(axis=1)):
        raise CifarcoreError(
            "the labels that predict_step returns are the classes of the highest logits: return the true ones, or give "
            "labels to lightning_writer, also where the model is right on every image"
        )
    save_run(Run.from_predictions(scores, truth, **arguments), path)


def _parts(batch: Any) -> tuple[Any, Any]:
    """The inputs and the labels of a batch."""
    if isinstance(batch, Mapping):
        named = [name for name in ("labels", "label", "targets", "target") if name in batch]
        name = named[0] if named else None
        others = [each for each in batch if name is not None and each != name and role_of(str(each)) == "labels"]
        if named := [each for each in others if _may_be_labels(batch[each], batch[name], True)]:
            shown = " and ".join([name, *named])
            raise CifarcoreError(f"a batch has {shown}, of which any may be the labels; keep one of them")
        inputs = {key: value for key, value in batch.items() if key != name}
        if name is not None and inputs:
            return next(iter(inputs.values())) if len(inputs) == 1 else inputs, batch[name]
    elif isinstance(batch, Sequence) and len(batch) >= 2:
        if any(_may_be_labels(each, batch[1]) for each in batch[2:]):
            raise CifarcoreError(
                f"a batch has {len(batch)} parts, of which several may be the labels; let the loader give (inputs, "
                'labels), or {"inputs": inputs, "labels": labels}'
            )
        return batch[0], batch[1]
    raise CifarcoreError("a batch has no labels; let the loader give (inputs, labels)")


def _may_be_labels(part: Any, labels: Any, called_so: bool = False) -> bool:
    """Whether another part has whole numbers, as of rows, or other classes: one-hot, or anyhow where `called_so`."""
    shape, kind = getattr(part, "shape", None), str(getattr(part, "dtype", ""))
    if shape is not None and tuple(shape) == tuple(getattr(labels, "shape", ())) and "int" in kind:
        return True
    if not called_so and len(shape or ()) < 2:
        return False  # such as weights
    try:
        theirs, ours = (as_class_labels(as_array(each, "labels")) for each in (part, labels))
    except CifarcoreError:
        return False
    return theirs.dtype == ours.dtype and len(theirs) == len(ours) and not np.array_equal(theirs, ours)


def _moved(values: Any, device: Any) -> Any:
    if isinstance(values, Mapping):
        return {key: _moved(value, device) for key, value in values.items()}
    if isinstance(values, (tuple, list)):
        return type(values)(_moved(value, device) for value in values)
    return values.to(device) if hasattr(values, "to") else values


def _logits(output: Any) -> np.ndarray:
    """The logits (n, C) of whatever a network returns: a tensor, the first of several, or `logits` by name."""
    output = output["logits"] if isinstance(output, Mapping) and "logits" in output else output
    output = getattr(output, "logits", output)
    return as_array(output[0] if isinstance(output, (tuple, list)) else output, "logits")
