"""The guide's table of frameworks: what each library writes, imported by the row's command, is right for each picture.

`pip install -e '.[frameworks]'` installs the libraries that are no dependencies; without them their rows are skipped.
"""

import contextlib
import json
import os
import re
import shlex
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from processes import ROOT, invoke
from scipy.special import softmax
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from cifarcore.data.ids import sample_ids
from cifarcore.runs.run import load_run

NAMES = ("ant", "bee", "cow")
GUIDE = (ROOT / ".github" / "docs" / "importing.md").read_text(encoding="utf-8")


@dataclass(frozen=True)
class Made:
    """A test set, and a network's outputs on it, in ImageFolder's order."""

    files: list[str]  #: class/picture.png
    images: np.ndarray  #: uint8 (N, 8, 8, 3)
    labels: np.ndarray
    net: nn.Module  #: of float images (N, 3, 8, 8)
    logits: np.ndarray  #: float32 (N, 3)

    @property
    def probs(self) -> np.ndarray:
        return softmax(self.logits.astype(np.float64), axis=1)

    @property
    def inputs(self) -> torch.Tensor:
        return torch.from_numpy(self.images).permute(0, 3, 1, 2) / 255

    @property
    def loader(self) -> DataLoader:
        return DataLoader(TensorDataset(self.inputs, torch.from_numpy(self.labels)), batch_size=5)


@pytest.fixture(scope="module")
def made():
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (24, 8, 8, 3), np.uint8)
    torch.manual_seed(0)
    net = nn.Sequential(nn.Flatten(), nn.Linear(192, 3)).eval()
    with torch.inference_mode():
        logits = 5 * net(torch.from_numpy(images).permute(0, 3, 1, 2) / 255).numpy()
    with torch.no_grad():
        net[1].weight.mul_(5)
        net[1].bias.mul_(5)
    files = [f"{name}/{name}_{i}.png" for name in NAMES for i in range(8)]
    return Made(files, images, np.repeat(np.arange(3), 8), net, logits)


@pytest.fixture
def place(made, tmp_path, monkeypatch):
    """A folder with the test set `my_test_set`, to work in."""
    for file, image in zip(made.files, made.images, strict=True):
        (tmp_path / "my_test_set" / file).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(tmp_path / "my_test_set" / file)
    monkeypatch.chdir(tmp_path)
    return tmp_path


ROWS = {}


def row(title, *libraries):
    """What writes the file of the table's row `title`; returns the logits where they are not those of the network."""

    def register(write):
        ROWS[title] = write, libraries
        return write

    return register


def frame(made, **columns):
    scores = dict(zip(NAMES, made.probs.T, strict=True))
    return pd.DataFrame({"file": made.files, "label": [NAMES[c] for c in made.labels], **columns} | scores)


@row("PyTorch, batches")
def torch_batches(made):
    with torch.inference_mode():
        torch.save([made.net(x) for x, _ in made.loader], "mine.pt")


@row("PyTorch, with labels")
def torch_labels(made):
    torch.save({"logits": made.net(made.inputs).detach().half(), "labels": torch.from_numpy(made.labels)}, "mine.pth")


@row("PyTorch Lightning", "lightning")
def lightning(made):
    from lightning import LightningModule, Trainer
    from lightning.pytorch.callbacks import BasePredictionWriter

    class Model(LightningModule):
        def predict_step(self, batch):
            return made.net(batch[0])

    class Writer(BasePredictionWriter):
        def write_on_epoch_end(self, trainer, module, predictions, batch_indices):
            torch.save(predictions, f"predictions_{trainer.global_rank}.pt")
            torch.save(batch_indices, f"batch_indices_{trainer.global_rank}.pt")

    quiet = dict(logger=False, enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False)
    Trainer(accelerator="cpu", callbacks=[Writer("epoch")], **quiet).predict(Model(), made.loader)


@row("Several processes")
def processes(made):
    for rank in range(2):
        rows = torch.arange(25)[rank::2] % 24  # the first image again at the end
        torch.save(list(made.net(made.inputs)[rows].detach().split(5)), f"predictions_{rank}.pt")
        torch.save([[batch.tolist() for batch in rows.split(5)]], f"batch_indices_{rank}.pt")


@row("fastai", "fastai")
def fastai(made):
    from fastai.losses import CrossEntropyLossFlat
    from fastai.vision.all import ImageDataLoaders, Learner

    loaders = ImageDataLoaders.from_folder("my_test_set", valid_pct=0.5, bs=4, num_workers=0, seed=0)
    test = loaders.test_dl([Path("my_test_set", file) for file in made.files], with_labels=True)
    learner = Learner(loaders, made.net, loss_func=CrossEntropyLossFlat())
    with learner.no_bar(), learner.no_logging():
        torch.save(learner.get_preds(dl=test), "mine.pth")


@row("skorch", "skorch")
def skorch(made):
    from skorch import NeuralNetClassifier

    classifier = NeuralNetClassifier(made.net, criterion=nn.CrossEntropyLoss).initialize()
    np.save("mine.npy", classifier.predict_proba(made.inputs))


@row("Keras", "keras")
def keras(made):
    os.environ.setdefault("KERAS_BACKEND", "torch")
    import keras

    model = keras.Sequential([keras.layers.Flatten(), keras.layers.Dense(3, activation="softmax")])
    probs = model.predict(made.images / 255, verbose=0)
    np.save("mine.npy", probs)
    return np.log(probs)


@row("scikit-learn", "sklearn")
def scikit_learn(made):
    from sklearn.linear_model import LogisticRegression

    pixels = made.images.reshape(24, -1) / 255
    model = LogisticRegression().fit(pixels, [NAMES[c] for c in made.labels])
    table = pd.DataFrame(model.predict_proba(pixels), columns=model.classes_)
    table.insert(0, "file", made.files)
    table.to_csv("mine.csv", index=False)
    return model.decision_function(pixels)


@row("NumPy, one array")
def numpy_array(made):
    np.save("mine.npy", made.logits)


@row("NumPy, several arrays")
def numpy_arrays(made):
    order = np.random.default_rng(1).permutation(24)
    files = np.array(made.files)[order]
    np.savez("mine.npz", logits=made.logits[order], labels=made.labels[order], files=files, class_names=NAMES)


@row("NumPy, text")
def numpy_text(made):
    np.savetxt("mine.txt", made.logits)


@row("pandas, CSV")
def pandas_csv(made):
    frame(made).sample(frac=1, random_state=0).to_csv("mine.csv", index=False)


@row("pandas, packed CSV")
def pandas_packed(made):
    frame(made).sample(frac=1, random_state=0).set_index("file").to_csv("mine.csv.gz")


@row("pandas, Parquet")
def pandas_parquet(made):
    frame(made).sample(frac=1, random_state=0).set_index("file").to_parquet("mine.parquet")


@row("pandas, Feather")
def pandas_feather(made):
    frame(made).sample(frac=1, random_state=0, ignore_index=True).to_feather("mine.feather")


@row("pandas, JSON")
def pandas_json(made):
    frame(made).sample(frac=1, random_state=0).to_json("mine.json", orient="split", double_precision=15)


@row("MATLAB, or SciPy")
def matlab(made):
    from scipy.io import savemat

    order = np.random.default_rng(2).permutation(24)
    files = np.array(made.files, object)[order]
    savemat("mine.mat", {"logits": made.logits[order].astype(float), "files": files, "labels": made.labels[order]})


@row("Excel, European")
def excel(made):
    frame(made).to_csv("mine.csv", index=False, sep=";", decimal=",", encoding="utf-8-sig", lineterminator="\r\n")


@row("SQL, one row for each class")
def long_form(made):
    rows = frame(made).melt(["file", "label"], var_name="class", value_name="score")
    rows.rename(columns={"label": "true_label"}).sample(frac=1, random_state=0).to_csv("mine.csv", index=False)


def as_timm(made, topk, separate):
    """The table of timm's inference.py with --fullname, as a data frame."""
    ranks = np.argsort(-made.probs, axis=1)[:, :topk] if topk else np.tile(np.arange(3), (24, 1))
    columns = {"index": ranks} if topk else {}
    columns["prob"] = np.take_along_axis(made.probs, ranks, axis=1).astype(np.float32)
    table = pd.DataFrame({"filename": [f"pictures/{file}" for file in made.files]})
    for name, values in columns.items():
        parts = {f"{name}_{i}": values[:, i] for i in range(values.shape[1])} if separate else {name: list(values)}
        table = table.assign(**parts)
    return table.sample(frac=1, random_state=0)


@row("timm, CSV")
def timm_csv(made):
    as_timm(made, 0, separate=True).to_csv("mine.csv", index=False)


@row("timm, ranked")
def timm_ranked(made):
    as_timm(made, 3, separate=False).to_csv("mine.csv", index=False)


@row("timm, Parquet")
def timm_parquet(made):
    as_timm(made, 3, separate=True).set_index("filename").to_parquet("mine.parquet")


@row("timm, JSON")
def timm_json(made):
    as_timm(made, 3, separate=False).set_index("filename").to_json("mine.json", indent=4, orient="index")


def vision_transformer():
    from transformers import ViTConfig, ViTForImageClassification

    torch.manual_seed(0)
    size = dict(image_size=8, patch_size=4, hidden_size=8, num_hidden_layers=1, num_attention_heads=1)
    named = dict(id2label=dict(enumerate(NAMES)), label2id={name: i for i, name in enumerate(NAMES)})
    return ViTForImageClassification(ViTConfig(**size, intermediate_size=8, **named)).eval()


@row("Hugging Face Trainer", "transformers", "accelerate")
def trainer(made):
    from transformers import Trainer, TrainingArguments

    items = [{"pixel_values": x, "labels": int(y)} for x, y in zip(made.inputs, made.labels, strict=True)]
    arguments = TrainingArguments(output_dir="out", report_to=[], use_cpu=True, disable_tqdm=True)
    output = Trainer(model=vision_transformer(), args=arguments).predict(items)
    np.savez("mine.npz", predictions=output.predictions, label_ids=output.label_ids)
    return output.predictions


@row("Hugging Face pipeline", "transformers")
def pipeline(made):
    from transformers import ViTImageProcessor, pipeline

    model, processor = vision_transformer(), ViTImageProcessor(size={"height": 8, "width": 8})
    classify = pipeline("image-classification", model=model, image_processor=processor)
    files = [f"my_test_set/{file}" for file in made.files]
    found = [{"file": file, "predictions": classify(file, top_k=None)} for file in files]
    Path("mine.json").write_text(json.dumps(found))
    with torch.inference_mode():
        return model(**processor([Image.open(file) for file in files], return_tensors="pt")).logits.numpy()


@row("Hugging Face datasets", "datasets")
def datasets(made):
    from datasets import Dataset

    columns = {"file": made.files, "label": made.labels, "logits": made.logits}
    Dataset.from_dict(columns).shuffle(seed=0).to_parquet("mine.parquet")


@row("Ultralytics", "ultralytics")
def ultralytics(made):
    from ultralytics import YOLO
    from ultralytics.nn.tasks import ClassificationModel

    torch.manual_seed(0)
    model = YOLO("yolov8n-cls.yaml", task="classify")
    model.model = ClassificationModel("yolov8n-cls.yaml", nc=3, verbose=False)
    model.model.names = dict(enumerate(NAMES))
    files = [f"my_test_set/{file}" for file in made.files]
    results = model.predict(files, imgsz=32, save_txt=True, project=str(Path.cwd()), name="run", verbose=False)
    return np.log([result.probs.data.numpy() for result in results])


@row("Weights & Biases table")
def wandb(made):
    table = frame(made).sample(frac=1, random_state=0)
    value = {"columns": list(table), "data": table.to_numpy().tolist(), "ncols": 5, "nrows": 24}
    Path("mine.table.json").write_text(json.dumps(value))


@row("MLflow table")
def mlflow(made):
    frame(made).to_json("mine.json", orient="split", index=False)


@row("FiftyOne")
def fiftyone(made):
    samples = [
        {
            "filepath": f"data/{Path(file).name}",
            "ground_truth": {"_cls": "Classification", "label": NAMES[label]},
            "predictions": {"_cls": "Classification", "label": NAMES[logits.argmax()], "logits": logits.tolist()},
        }
        for file, label, logits in zip(made.files, made.labels, made.logits, strict=True)
    ]
    Path("samples.json").write_text(json.dumps({"samples": samples[::-1]}))


@row("Vertex AI batch prediction")
def vertex(made):
    lines = [
        {"instance": {"content": f"gs://bucket/{file}"}, "prediction": {"displayNames": NAMES, "confidences": probs}}
        for file, probs in zip(made.files, made.probs.tolist(), strict=True)
    ]
    Path("mine.jsonl").write_text("\n".join(map(json.dumps, lines[::-1])))


@row("Kaggle submission")
def kaggle(made):
    predicted = [NAMES[c] for c in made.logits.argmax(axis=1)]
    table = pd.DataFrame({"Id": [Path(file).name for file in made.files], "Category": predicted})
    table.sample(frac=1, random_state=0).to_csv("submission.csv", index=False)
    return np.where(np.eye(3)[made.logits.argmax(axis=1)] == 1, 0, -100.0)


def rows_of_the_guide() -> dict[str, str]:
    """The command of each framework in the guide's table."""
    rows = re.findall(r"^\| (.+?) \| .+ \| `(cifarcore import .+)` \|$", GUIDE, re.MULTILINE)
    return dict(rows)


def test_the_guide_and_these_tests_have_the_same_rows():
    assert list(rows_of_the_guide()) == list(ROWS) and len(ROWS) >= 20


@pytest.mark.parametrize("title", ROWS)
def test_each_row_of_the_table(made, place, title):
    write, libraries = ROWS[title]
    for library in libraries:
        pytest.importorskip(library, reason=f"{library} is not installed: pip install -e '.[frameworks]'")
    with contextlib.redirect_stdout(None):
        expected = write(made)
    expected = made.logits if expected is None else expected
    invoke(*shlex.split(rows_of_the_guide()[title])[1:], "--out", place / "out.npz")
    run = load_run(place / "out.npz")
    assert run.class_names.tolist() == list(NAMES)
    at = {sample_id: i for i, sample_id in enumerate(sample_ids(made.images).tolist())}
    rows = [at[sample_id] for sample_id in run.sample_ids.tolist()]
    np.testing.assert_array_equal(run.labels, made.labels[rows])
    np.testing.assert_allclose(softmax(run.logits, axis=1), softmax(expected[rows], axis=1), atol=5e-3)
