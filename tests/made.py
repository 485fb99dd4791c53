"""Made-up runs for tests: logits as a trained classifier might give them, with no training and no pictures.

Two made runs of equal `n_classes` and `n_images` are of the same test images, whose difficulty they share, so
their errors go together as those of real models do. Everything follows from the arguments.
Only `trained_run` learns something.
"""

import hashlib
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np

from cifarcore import __version__
from cifarcore.config import TrainConfig
from cifarcore.data import cifar100
from cifarcore.data.cifar100 import fingerprint
from cifarcore.data.known_images import known_images
from cifarcore.runs.layout import HISTORY_COLUMNS
from cifarcore.runs.run import Run

EPOCHS = 8
SCALE = 2.0  # of the logits: a little too sure of themselves, as trained networks are
NEIGHBORS = 5
#: a network that is trained in seconds
TINY = TrainConfig(
    preset="tiny", dataset="synthetic", widths=(8, 8, 8), hidden=16, epochs=1, batch_size=50, learning_rate=0.05,
    validation_size=500, threads=1,
)  # fmt: skip


def made_run(
    n_classes: int = 10,
    n_images: int = 500,
    accuracy: float = 0.6,
    seed: int = 0,
    model: str = "cnn",
    preset: str = "made",
    val: bool = True,
    maps: bool = True,
    history: bool = True,
    neighbors: bool = True,
    superclasses: bool = True,
) -> Run:
    """A run of about the given test accuracy (to one image, before the logits are rounded to float16).

    Sample ids and labels depend on `n_classes` and `n_images` only. Seeds of one `model` resemble each other more
    than two models do. Up to 100 classes carry CIFAR-100's names, whole superclasses first.
    """
    names, superclass_names, superclass_of = made_classes(n_classes)
    images = np.random.default_rng([n_classes, n_images])
    taste = np.random.default_rng([n_classes, n_images, zlib.crc32(model.encode())])
    own = np.random.default_rng([n_classes, n_images, zlib.crc32(f"{model} {preset} {accuracy}".encode()), seed])

    labels, lookalike, difficulty = _images(images, n_images, superclass_of)
    sample_ids = images.integers(2**64, size=n_images, dtype=np.uint64)
    logits = _logits(taste, own, labels, lookalike, difficulty, superclass_of, accuracy)
    optional: dict = {}
    if superclasses:
        optional |= {"superclass_names": superclass_names, "superclass_of": superclass_of}
    if val:
        n_val = max(n_images // 5, 1)
        val_labels, val_lookalike, val_difficulty = _images(images, n_val, superclass_of)
        optional |= {
            "val_sample_ids": images.integers(2**64, size=n_val, dtype=np.uint64),
            "val_labels": val_labels,
            "val_logits": _logits(taste, own, val_labels, val_lookalike, val_difficulty, superclass_of, accuracy),
        }
    if maps:
        optional |= {name: _map(own, labels, lookalike, difficulty, superclass_of) for name in ("tsne", "umap")}
    if neighbors:
        optional |= _neighbors(own, labels, lookalike, difficulty)
    if history:
        optional["history"] = _history(own, accuracy)
    arguments = (n_classes, n_images, accuracy, seed, model, preset, val, maps, history, neighbors, superclasses)
    return Run(
        class_names=names,
        sample_ids=sample_ids,
        labels=labels,
        logits=logits,
        meta=_meta(model, preset, seed, sample_ids, labels, maps),
        digest=hashlib.blake2b(repr(arguments).encode(), digest_size=16).hexdigest(),
        **optional,
    )


def with_metadata(run: Run) -> Run:
    """The run with two columns of what a user may know of its images."""
    rows = np.arange(run.n_images)
    values = np.stack([np.where(rows % 3, "north", ""), (rows / 7).round(3).astype(str)], axis=1)
    return replace(run, metadata_names=np.array(["site", "exposure"]), metadata_values=values)


def classes_only(run: Run) -> Run:
    """The predicted classes of a run without its scores, as a file of hard labels gives them."""
    return Run.from_predictions(
        run.predictions,
        run.labels,
        class_names=run.class_names,
        sample_ids=run.sample_ids,
        model=f"{run.meta['model']}-classes",
        seed=run.meta["seed"],
        superclass_of=None
        if run.superclass_of is None
        else dict(zip(run.class_names.tolist(), run.superclass_names[run.superclass_of].tolist(), strict=True)),
    )


def of_cifar100(run: Run) -> Run:
    """The same predictions, right and wrong, of as many of CIFAR-100's test images; for a run of 100 classes."""
    known, n = known_images(), run.n_images
    rows, labels, logits = np.arange(n), known.labels[:n], run.logits.copy()
    logits[rows, labels], logits[rows, run.labels] = run.logits[rows, run.labels], run.logits[rows, labels]
    dataset = {"name": "CIFAR-100", "fingerprint": fingerprint(known.sample_ids[:n], labels)}
    return replace(
        run, sample_ids=known.sample_ids[:n], labels=labels, logits=logits, meta=run.meta | {"dataset": dataset},
        digest=f"{run.digest} of CIFAR-100",
    )  # fmt: skip


def trained_run(folder: Path, config: TrainConfig = TINY, dataset=None) -> Path:
    """A network really trained and evaluated, as `cifarcore train` and `evaluate` do, on the synthetic set by
    default.
    """
    from cifarcore.data.synthetic import make_synthetic
    from cifarcore.training.evaluation import evaluate_file
    from cifarcore.training.loop import fit

    dataset = dataset or make_synthetic()
    return evaluate_file(fit(config, dataset, folder), dataset)


def made_classes(n_classes: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Class names (C,) in alphabetical order, superclass names (S,), and the superclass of each class (C,)."""
    families = cifar100.SUPERCLASSES
    if n_classes > len(cifar100.CLASS_NAMES):
        families = {
            f"group {group:05d}": tuple(f"class {index:06d}" for index in range(5 * group, 5 * group + 5))
            for group in range(-(-n_classes // 5))
        }
    pairs = [(name, group) for group, members in enumerate(families.values()) for name in members]
    pairs = sorted(pairs[:n_classes])
    superclass_of = np.array([group for _, group in pairs], np.int16)
    return np.array([name for name, _ in pairs]), np.array(list(families)[: superclass_of.max() + 1]), superclass_of


def _images(rng: np.random.Generator, n: int, superclass_of: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Balanced labels, the class that each image resembles besides its own (mostly a sibling), and its difficulty."""
    n_classes = len(superclass_of)
    labels = rng.permutation(np.arange(n) % n_classes).astype(np.int16)
    affinity = np.equal.outer(superclass_of, superclass_of) * 3.0 + rng.gumbel(size=(n_classes, n_classes))
    np.fill_diagonal(affinity, -np.inf)
    favourite = affinity.argmax(axis=1)
    anything = (labels + rng.integers(1, n_classes, size=n)) % n_classes
    lookalike = np.where(rng.random(n) < 0.7, favourite[labels], anything).astype(np.int16)
    return labels, lookalike, rng.standard_normal(n)


def _logits(
    taste: np.random.Generator,
    own: np.random.Generator,
    labels: np.ndarray,
    lookalike: np.ndarray,
    difficulty: np.ndarray,
    superclass_of: np.ndarray,
    accuracy: float,
) -> np.ndarray:
    n, n_classes = len(labels), len(superclass_of)
    rows = np.arange(n)
    logits = own.standard_normal((n, n_classes), dtype=np.float32)
    logits += 1.2 * (superclass_of[labels][:, None] == superclass_of)
    logits[rows, lookalike] += 2 + 0.7 * difficulty
    class_skill = taste.standard_normal(n_classes)
    true = 0.5 * class_skill[labels] + 1.2 * taste.standard_normal(n) + 0.8 * own.standard_normal(n) - 1.5 * difficulty
    others = logits.copy()
    others[rows, labels] = -np.inf
    margin = true - others.max(axis=1)
    wrong = min(max(round((1 - accuracy) * n), 0), n)
    # the shift that lifts all but the `wrong` lowest margins above zero
    edges = np.concatenate([[margin.min() - 2], np.sort(margin), [margin.max() + 2]])
    logits[rows, labels] = true - (edges[wrong] + edges[wrong + 1]) / 2
    return (SCALE * logits).astype(np.float16)


def _map(
    rng: np.random.Generator,
    labels: np.ndarray,
    lookalike: np.ndarray,
    difficulty: np.ndarray,
    superclass_of: np.ndarray,
) -> np.ndarray:
    """Classes as clouds around their superclass on a circle; the harder an image, the nearer to its lookalike."""
    turn = 2 * np.pi * np.arange(len(superclass_of)) / 5
    group = 2 * np.pi * superclass_of / (superclass_of.max() + 1)
    centers = np.stack([np.cos(group) + 0.25 * np.cos(turn), np.sin(group) + 0.25 * np.sin(turn)], axis=1)
    share = 1 / (1 + np.exp(1 - difficulty))[:, None]
    points = (1 - share) * centers[labels] + share * centers[lookalike]
    return (points + 0.05 * rng.standard_normal(points.shape)).astype(np.float32)


def _neighbors(
    rng: np.random.Generator, labels: np.ndarray, lookalike: np.ndarray, difficulty: np.ndarray
) -> dict[str, np.ndarray]:
    n = len(labels)
    like = rng.random((n, NEIGHBORS)) < 1 / (1 + np.exp(1 - difficulty))[:, None]
    cosine = np.clip(0.85 - 0.05 * difficulty[:, None] + 0.05 * rng.standard_normal((n, NEIGHBORS)), -1, 1)
    return {
        "train_neighbor_ids": rng.integers(2**64, size=(n, NEIGHBORS), dtype=np.uint64),
        "train_neighbor_labels": np.where(like, lookalike[:, None], labels[:, None]).astype(np.int16),
        "train_neighbor_cosine": -np.sort(-cosine, axis=1).astype(np.float16),
    }


def _history(rng: np.random.Generator, accuracy: float) -> dict[str, np.ndarray]:
    epoch = np.arange(1, EPOCHS + 1)
    reached = accuracy * (1 - 0.7 * np.exp(-0.5 * epoch)) + 0.005 * rng.standard_normal(EPOCHS)
    columns = (epoch, 4 * np.exp(-0.3 * epoch) + 0.5, np.clip(reached, 0, 1), 0.1 * (1 - epoch / EPOCHS), 20.0 * epoch)
    return {name: values.astype(np.float32) for name, values in zip(HISTORY_COLUMNS, columns, strict=True)}


def _meta(model: str, preset: str, seed: int, sample_ids: np.ndarray, labels: np.ndarray, maps: bool) -> dict:
    meta = {
        "model": model,
        "seed": seed,
        "preset": preset,
        "config": TrainConfig().to_dict() | {"model": model, "preset": preset, "seed": seed, "epochs": EPOCHS},
        "dataset": {"name": "made-up images", "fingerprint": fingerprint(sample_ids, labels)},
        "initialised_from": "random weights",
        "parameters": 1_000_000 + zlib.crc32(model.encode()) % 10_000_000,
        "train_seconds": 20.0 * EPOCHS,
        "device": "none (made up)",
        "versions": {"cifarcore": __version__, "numpy": np.__version__},
        "created": "2025-01-01T00:00:00+00:00",
        "scores": "logits",
    }
    if maps:
        quality = {"trustworthiness": 0.95, "neighbor_preservation": 0.5}
        meta |= {"map_source": "features", "maps": {"tsne": quality, "umap": quality}}
    return meta


def whole_run():
    """A small run with every array that a file may have."""
    return replace(with_metadata(made_run(n_classes=4, n_images=12)), clusters=np.arange(12, dtype=np.int16) % 3)
