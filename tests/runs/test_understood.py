"""What the import says that it understood: the first five rows, and five classes by name."""

import numpy as np
import pytest

from cifarcore.runs.run import Run
from cifarcore.runs.understood import _of_classes, examples


@pytest.mark.parametrize(("n_images", "n_classes"), [(3, 5), (9, 7)])
def test_at_most_five_rows_and_classes_are_named(n_images, n_classes):
    names = [f"class {c}" for c in range(n_classes)]
    labels = np.arange(n_images) % n_classes
    run = Run.from_predictions(
        np.eye(n_classes)[labels[::-1]], labels, class_names=names, sample_ids=range(n_images), model="theirs"
    )
    files = [f"{i}.png" for i in range(n_images)]
    shown = min(n_images, 5)
    assert examples(run, None, files) == tuple(
        zip(files[:shown], run.class_names[labels[:shown]], run.class_names[labels[::-1][:shown]], strict=True)
    )
    more = ", …" if n_classes > 5 else ""
    assert _of_classes(run)["Classes"] == f"{n_classes}: " + ", ".join(names[:5]) + more
