"""Outputs as scikit-learn, Keras and torchvision give them, and the recipe of the guide to importing."""

import os

import numpy as np
import pandas as pd
import pytest
from import_checks import same, taken, write
from made import made_run
from PIL import Image
from processes import ROOT, invoke
from scipy.special import softmax

from cifarcore.config import ImportConfig
from cifarcore.data import cifar100
from cifarcore.data.synthetic import make_synthetic
from cifarcore.runs.alignment import align
from cifarcore.runs.importing import import_file
from cifarcore.runs.run import load_run, save_run

GUIDE = ROOT / ".github" / "docs" / "importing.md"


def sklearn_model(images, classes):
    """A scikit-learn classifier on pooled pixels, as someone without a GPU would make one."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    return make_pipeline(StandardScaler(), LogisticRegression(max_iter=200, tol=1e-2)).fit(pooled(images), classes)


def pooled(images):
    return images.reshape(len(images), 8, 4, 8, 4, 3).mean(axis=(2, 4)).reshape(len(images), -1) / 255


def test_scikit_learn_and_keras_style_and_torchvision_on_the_drawn_set(tmp_path):
    """Three frameworks' habits end in runs that compare: names from the model, softmax arrays, a network's logits."""
    import torch
    from torchvision.models import squeezenet1_1

    drawn = make_synthetic(1000, 200)
    names = np.array(drawn.class_names)
    ids = cifar100.sample_ids(drawn.x_test)
    model = sklearn_model(drawn.x_train, names[drawn.y_train])
    table = pd.DataFrame(model.predict_proba(pooled(drawn.x_test)), columns=model.classes_)
    table.insert(0, "label", names[drawn.y_test])
    table.insert(0, "sample_id", ids)
    table.to_csv(tmp_path / "sklearn.csv", index=False)
    first = taken(tmp_path / "sklearn.csv", tmp_path).run
    predicted = model.predict(pooled(drawn.x_test))
    assert first.correct.mean() == (predicted == names[drawn.y_test]).mean() > 0.05
    save_run(first, tmp_path / "sklearn.npz")

    torch.manual_seed(0)
    network = squeezenet1_1(num_classes=100).eval()
    with torch.inference_mode():
        logits = network(torch.from_numpy(drawn.x_test[:, ::1]).permute(0, 3, 1, 2) / 255).numpy()
    order = np.array([model.classes_.tolist().index(name) for name in names])
    for name, arrays in {
        "network": {"logits": logits, "labels": drawn.y_test, "class_names": names, "sample_ids": ids},
        "keras": {
            "y_pred": softmax(logits, axis=1),
            "y_true": np.eye(100)[drawn.y_test],
            "class_names": names,
            "sample_ids": ids,
        },
    }.items():
        np.savez(tmp_path / f"{name}.npz", **arrays)
        run = taken(tmp_path / f"{name}.npz", tmp_path).run
        pair = align(first, run)
        assert pair.b.n_images == 200
        np.testing.assert_array_equal(pair.b.predictions, order[logits.argmax(axis=1)])


@pytest.mark.real_data
@pytest.mark.skipif(
    not os.environ.get("CIFARCORE_DATA"), reason="set CIFARCORE_DATA to a folder with CIFAR-100 to run this"
)
def test_scikit_learn_on_real_pixels(tmp_path):
    dataset = cifar100.load_cifar100(download=False)
    rows = np.random.default_rng(0).permutation(50000)[:2000]
    model = sklearn_model(dataset.x_train[rows], dataset.y_train[rows])
    np.savez(tmp_path / "sklearn.npz", proba=model.predict_proba(pooled(dataset.x_test)), y_test=dataset.y_test)
    run = import_file(tmp_path / "sklearn.npz", tmp_path / "out.npz", ImportConfig(order="data")).run
    assert run.correct.mean() == (model.predict(pooled(dataset.x_test)) == dataset.y_test).mean()
    assert 0.05 < run.correct.mean() < 0.3
    assert run.meta["dataset"] == {"name": "CIFAR-100", "fingerprint": cifar100.TEST_FINGERPRINT}


def test_the_command(tmp_path, monkeypatch):
    run = made_run(5, 60)
    path = write(tmp_path / "My model.csv", run, label=run.labels, sample_id=run.sample_ids)
    monkeypatch.chdir(tmp_path)
    printed = invoke("import", path)
    assert f"{run.correct.mean():.4f}" in printed and "60 images, 5 classes, logits" in printed
    same(load_run(tmp_path / "checkpoints" / "imported" / "My-model.npz"), run)
    invoke("import", path, "--model", "theirs", "--preset", "long", "--seed", 1)
    named = load_run(tmp_path / "checkpoints" / "imported" / "theirs-long-1.npz")
    assert named.group == "theirs-long" and named.meta["seed"] == 1
    invoke("import", path, "--overwrite", "--out", tmp_path / "elsewhere.npz")
    same(load_run(tmp_path / "elsewhere.npz"), run)
    np.save(tmp_path / "shuffled.npy", run.logits[::-1])
    printed = " ".join(invoke("import", tmp_path / "shuffled.npy", "--like", tmp_path / "elsewhere.npz").split())
    assert "note: without labels the order of the rows cannot be checked" in printed
    assert "torchvision, data, imagefolder, natural, paths or rows" in " ".join(
        invoke("import", "--help").replace("│", " ").split()
    )


def test_the_recipe_of_the_guide_writes_a_run_file(tmp_path, monkeypatch):
    text = GUIDE.read_text(encoding="utf-8")
    recipe = next(block for block in text.split("```python\n")[1:] if "from_predictions" in block).split("```")[0]
    drawn = make_synthetic(1, 50)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "checkpoints").mkdir()
    exec(
        recipe,
        {
            "class_names": drawn.class_names,
            "test_images": drawn.x_test,
            "labels": drawn.y_test,
            "logits": np.eye(100)[drawn.y_test],
        },
    )
    run = load_run(tmp_path / "checkpoints" / "mine.npz")
    assert run.correct.all() and run.sample_ids.tolist() == cifar100.sample_ids(drawn.x_test).tolist()


def test_the_example_of_the_guide_is_taken(tmp_path):
    text = GUIDE.read_text(encoding="utf-8")
    lines = [line.strip() for line in text.splitlines()]
    header, first = lines[lines.index("file,label,cat,dog,horse") :][:2]
    for i, name in enumerate(("cat", "dog", "horse")):
        (tmp_path / "my_test_set" / name).mkdir(parents=True)
        Image.new("RGB", (8, 8), (i, 0, 0)).save(tmp_path / "my_test_set" / name / "0001.png")
    rows = [header, first, "dog/0001.png,dog,0.1,0.9,0", "horse/0001.png,horse,0.2,0.7,0.1"]
    (tmp_path / "mine.csv").write_text("\n".join(rows))
    run = taken(tmp_path / "mine.csv", tmp_path, images=str(tmp_path / "my_test_set")).run
    assert run.class_names.tolist() == ["cat", "dog", "horse"] and run.correct.tolist() == [True, True, False]
