"""A folder of small pictures and a model's outputs on them, each picture with scores of its own; for tests of
imports.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image
from scipy.special import softmax

from cifarcore.data.cifar100 import sample_ids
from cifarcore.data.image_folder import list_folder


@dataclass
class Pictures:
    root: Path
    names: list[str]  #: of the classes, as ImageFolder sorts them
    files: list[str]  #: class/file, as ImageFolder lists them
    labels: np.ndarray
    ids: np.ndarray
    probabilities: np.ndarray  #: (N, C), no two rows alike

    @property
    def accuracy(self) -> float:
        return float((self.probabilities.argmax(axis=1) == self.labels).mean())

    def frame(self, **columns) -> pd.DataFrame:
        return pd.DataFrame(columns | dict(zip(self.names, self.probabilities.T, strict=True)))

    def check(self, run) -> None:
        """Each picture's scores in `run` are those of its file."""
        assert sorted(run.sample_ids.tolist()) == sorted(self.ids.tolist())
        at = {name: column for column, name in enumerate(run.class_names.tolist())}
        given = softmax(run.logits.astype(np.float64), axis=1)[:, [at[name] for name in self.names]]
        rows = {sample_id: row for row, sample_id in enumerate(run.sample_ids.tolist())}
        order = [rows[sample_id] for sample_id in self.ids.tolist()]
        np.testing.assert_allclose(given[order], self.probabilities, atol=3e-3)
        assert run.class_names[run.labels][order].tolist() == [self.names[label] for label in self.labels]


def draw(root: Path, classes: dict[str, list[str]], seed: int = 0) -> Pictures:
    """A folder of a picture of random pixels for each of `classes`' file names, and the outputs of a fair model."""
    rng = np.random.default_rng(seed)
    for name, files in classes.items():
        (root / name).mkdir(parents=True)
        for file in files:
            Image.fromarray(rng.integers(0, 256, (4, 4, 3), np.uint8)).save(root / name / file)
    folder = list_folder(root)
    ids = [sample_ids(np.asarray(Image.open(root / file))[None])[0] for file in folder.files]
    n = len(folder.files)
    scores = rng.normal(0, 1, (n, len(classes)))
    scores[np.arange(n), np.where(rng.random(n) < 0.7, folder.labels, (folder.labels + 1) % len(classes))] += 3
    return Pictures(
        root, list(folder.class_names), list(folder.files), folder.labels, np.array(ids), softmax(scores, axis=1)
    )


def plain(root: Path, classes: int = 3, each: int = 8, seed: int = 0) -> Pictures:
    """Classes of as many pictures each, whose names sort alike in every way."""
    return draw(root, {f"class {c}": [f"{i:03}.png" for i in range(each)] for c in range(classes)}, seed)
