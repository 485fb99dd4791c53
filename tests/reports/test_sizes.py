"""The app over runs of few and many classes and images: the same answers as NumPy and scikit-learn give."""

import numpy as np
import pytest
from pages import PAGES, run, text, two_models, write
from sklearn.metrics import f1_score, roc_auc_score

SIZES = [(2, 100), (10, 1000), (1000, 4000), (10, 50_000)]


@pytest.fixture(params=SIZES, ids=lambda size: f"{size[0]} classes, {size[1]} images")
def pair(request, folder):
    n_classes, n_images = request.param
    models = two_models(n_classes=n_classes, n_images=n_images, neighbors=False)
    write(folder, *models)
    return models


def f1(one) -> np.ndarray:
    return f1_score(
        one.labels, one.logits.argmax(1), labels=np.arange(one.n_classes), average=None, zero_division=np.nan
    )


def test_hardest_classes_drill_down_pair_map_and_every_page(folder, pair):
    a, b = pair
    names = [name.replace("_", " ") for name in a.class_names]
    hardness = np.nan_to_num((f1(a) + f1(b)) / 2, nan=2)
    hardest = np.argsort(hardness, kind="stable")

    app = run(folder, "classes", hardest=1)
    assert app.selectbox(key="class").value == names[hardest[0]]
    wrong = (a.labels == hardest[0]) & ~(a.correct & b.correct)
    assert f"· **{wrong.sum():,}**" in text(app)

    first, second = 0, 1
    app = run(folder, "roc", first=str(names[first]), second=str(names[second]))
    rows = np.isin(a.labels, [first, second])
    for one in (a, b):
        logits = one.logits.astype(float)
        area = roc_auc_score(a.labels[rows] == first, (logits[:, first] - logits[:, second])[rows])
        assert any(f"{area:.4f}" in table.value.to_csv() for table in [*app.table, *app.dataframe])

    app = run(folder, "explorer", query={"marked": "A,-9,9,-9,9"})
    x, y = a.tsne.T
    inside = (-9 <= x) & (x <= 9) & (-9 <= y) & (y <= 9)
    assert f"{(inside & ~(a.correct & b.correct)).sum():,}" in text(app)

    for page in PAGES:
        run(folder, page)
