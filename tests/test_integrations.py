"""Each framework's own training script gives the run that its arrays give. Frameworks that are not installed are
skipped: `pip install -e '.[frameworks]'`.
"""

import sys
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from torch.utils.data import (
    BatchSampler,
    ConcatDataset,
    DataLoader,
    IterableDataset,
    RandomSampler,
    SequentialSampler,
    Subset,
    TensorDataset,
)

from cifarcore import CifarcoreError, Run, integrations
from cifarcore.data.ids import sample_ids
from cifarcore.runs.loaders import refuse_other_names, refuse_racing
from cifarcore.runs.run import load_run

N, CLASSES = 23, ("cat", "dog", "eel")
IMAGES = np.random.default_rng(0).integers(0, 256, (N, 8, 8, 3), dtype=np.uint8)
LABELS = np.random.default_rng(1).integers(0, 3, N)
ARGUMENTS = {"class_names": CLASSES, "model": "mine", "seed": 3}


@pytest.fixture
def network():
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Dropout(0.5), torch.nn.Linear(192, 3)).train()


def tensors():
    return torch.from_numpy(IMAGES).permute(0, 3, 1, 2).float() / 255, torch.from_numpy(LABELS)


def dataset():
    return TensorDataset(*tensors())


def scored(network):
    with torch.inference_mode():
        return network.eval()(tensors()[0]).numpy()


def check(run, network, ids=None):
    expected = Run.from_predictions(scored(network), LABELS, images=IMAGES, **ARGUMENTS)
    assert (run.meta["model"], run.meta["seed"]) == ("mine", 3) and run.class_names.tolist() == list(CLASSES)
    np.testing.assert_array_equal(run.sample_ids, sample_ids(IMAGES) if ids is None else ids)
    np.testing.assert_array_equal(run.labels, LABELS)
    np.testing.assert_allclose(run.logits.astype(float), expected.logits.astype(float), atol=2e-3)


@pytest.mark.parametrize("batch_size", [1, 5, 23, 64])
def test_a_torch_network_and_its_loader(network, batch_size):
    run = integrations.run_from_torch(network, DataLoader(dataset(), batch_size=batch_size), images=IMAGES, **ARGUMENTS)
    assert network.training  # as it was
    check(run, network)
    by_row = integrations.run_from_torch(network, DataLoader(dataset(), 5), test_set="shop", **ARGUMENTS)
    assert by_row.meta["dataset"]["name"] == "shop"


def test_batches_as_dictionaries_and_outputs_as_objects(network):
    class Output:
        def __init__(self, logits):
            self.logits, self.loss = logits, None

    class Model(torch.nn.Module):
        def __init__(self, inner):
            super().__init__()
            self.inner = inner

        def forward(self, inputs):
            return Output(self.inner(inputs["pixels"] if isinstance(inputs, dict) else inputs).to(torch.bfloat16))

    batches = [{"pixels": x[None], "labels": y[None]} for x, y in dataset()]
    run = integrations.run_from_torch(Model(network), batches, images=IMAGES, **ARGUMENTS)
    assert (run.predictions == scored(network).argmax(axis=1)).mean() > 0.9  # of 8 bits
    whole = integrations.run_from_torch(
        network, batches, forward=lambda batch: network(batch["pixels"]), images=IMAGES, **ARGUMENTS
    )
    check(whole, network)


class Stream(IterableDataset):
    def __iter__(self):
        return iter(dataset())


def test_a_loader_that_leaves_out_an_image_is_refused(network):
    def collate(batch):
        return torch.utils.data.default_collate([each for each in batch if each[0] is not unread])

    items = list(dataset())
    unread = items[4][0]
    with pytest.raises(CifarcoreError, match="gave 22 rows for the 23 images of its data set; let it leave out none"):
        integrations.run_from_torch(network, DataLoader(items, 5, collate_fn=collate), test_set="shop", **ARGUMENTS)


def test_loaders_in_another_order_are_refused(network):
    def refused(loader, message, **more):
        with pytest.raises(CifarcoreError, match=message):
            integrations.run_from_torch(network, loader, images=IMAGES, **ARGUMENTS | more)

    refused(DataLoader(dataset(), 5, shuffle=True), "RandomSampler, not in the order")
    refused(DataLoader(dataset(), batch_sampler=Batches()), "Batches, not in the order")
    refused(DataLoader(dataset(), 5, drop_last=True), "drops the last images")
    refused(DataLoader(dataset(), 5, sampler=RandomSampler(dataset())), "RandomSampler")
    batches = BatchSampler(RandomSampler(dataset()), 5, False)
    refused(DataLoader(dataset(), batch_sampler=batches), "RandomSampler, not in the order")
    batches = BatchSampler(SequentialSampler(dataset()), 7, True)
    refused(DataLoader(dataset(), batch_sampler=batches), "drops the last images")
    refused(DataLoader(tensors()[0], 5), "no labels")
    refused([], "no batch")
    refused(DataLoader(Stream(), 5, num_workers=2), "2 workers read an IterableDataset, each in its own order")
    racing = DataLoader(dataset(), 5, num_workers=2, in_order=False)
    refused(racing, "2 workers give their batches as they are ready .in_order=False.")
    refused(Wrapped(racing), "2 workers give their batches as they are ready .in_order=False.")
    for held in ([racing], {"test": racing}, SimpleNamespace(flattened=[racing])):  # as Lightning has them
        with pytest.raises(CifarcoreError, match="2 workers give their batches"):
            refuse_racing(held)
    refused(DataLoader(TensorDataset(*(each[:20] for each in tensors())), 5), "images: 23 for 20 rows")
    check(integrations.run_from_torch(network, DataLoader(Stream(), 5), images=IMAGES, **ARGUMENTS), network)
    check(
        integrations.run_from_torch(network, DataLoader(dataset(), 23, drop_last=True), images=IMAGES, **ARGUMENTS),
        network,
    )


def test_the_number_of_a_row_is_no_label(network):
    """Batches of (inputs, index, label) gave the index as the true class."""
    images, labels = tensors()
    rows = torch.arange(N) % 3
    with pytest.raises(CifarcoreError, match="a batch has 3 parts, of which several may be the labels"):
        loader = DataLoader(TensorDataset(images, rows, labels), 5)
        integrations.run_from_torch(network, loader, images=IMAGES, **ARGUMENTS)
    loader = DataLoader([(*each, "a path") for each in dataset()], 5)
    check(integrations.run_from_torch(network, loader, images=IMAGES, **ARGUMENTS), network)


def test_a_batch_with_two_kinds_of_labels_is_refused(network):
    """Such as coarse and fine ones: those called labels were taken without a word."""
    images, labels = tensors()

    def given(**others):
        batches = [{"inputs": images, "label": labels} | others]
        arguments = {"forward": lambda batch: network(batch["inputs"]), "images": IMAGES, **ARGUMENTS}
        return integrations.run_from_torch(network, batches, **arguments)

    with pytest.raises(CifarcoreError, match="a batch has labels and label, of which any may be the labels"):
        given(labels=(labels + 1) % 3)
    one_hot = torch.nn.functional.one_hot(labels, 3).float()
    for name in ("fine_label", "true_label", "y"):
        with pytest.raises(CifarcoreError, match=f"a batch has label and {name}, of which any may be the labels"):
            given(**{name: (labels + 1) % 3})
    for other in ((labels + 1) % 3 + 0.0, one_hot.roll(1, 1)):
        with pytest.raises(CifarcoreError, match="a batch has label and target, of which any may be the labels"):
            given(target=other)
    for same in ({"target": one_hot}, {"target": 0.9 * one_hot + 0.01}, {"y": labels + 0.0}, {"coarse_label": labels}):
        check(given(**same), network)
    with pytest.raises(CifarcoreError, match="a batch has 3 parts, of which several may be the labels"):
        loader = DataLoader(TensorDataset(images, labels, one_hot.roll(1, 1)), 5)
        integrations.run_from_torch(network, loader, images=IMAGES, **ARGUMENTS)
    for same in (one_hot, labels + 1.0):  # such as weights
        loader = DataLoader(TensorDataset(images, labels, same), 5)
        check(integrations.run_from_torch(network, loader, images=IMAGES, **ARGUMENTS), network)


def test_the_models_answers_are_no_labels(tmp_path, network):
    scores, rows = scored(network), np.arange(N)
    parts = [(rows, scores, scores.argmax(axis=1))]
    arguments = {"images": IMAGES, **ARGUMENTS}
    with pytest.raises(CifarcoreError, match="labels that predict_step returns are the classes of the highest logits"):
        integrations._write(tmp_path / "mine.npz", parts, None, arguments)
    integrations._write(tmp_path / "mine.npz", parts, scores.argmax(axis=1), arguments)
    assert load_run(tmp_path / "mine.npz").correct.all()


class Wrapped:
    """As timm's and others' loaders hand on the batches of another."""

    def __init__(self, loader):
        self.loader = loader

    def __iter__(self):
        return iter(self.loader)


class Shuffled:
    """As fastai's, which are no DataLoader of PyTorch."""

    shuffle = True

    def __iter__(self):
        return iter(DataLoader(dataset(), 5, shuffle=True))


def test_a_loader_that_wraps_a_shuffled_one_is_refused(network):
    for loader, message in (
        (Wrapped(Wrapped(DataLoader(dataset(), 5, shuffle=True))), "RandomSampler, not in the order"),
        (Shuffled(), "the loader shuffles its images"),
    ):
        with pytest.raises(CifarcoreError, match=message):
            integrations.run_from_torch(network, loader, images=IMAGES, **ARGUMENTS)
    check(integrations.run_from_torch(network, Wrapped(DataLoader(dataset(), 5)), images=IMAGES, **ARGUMENTS), network)


def test_keras_takes_no_loader_in_another_order(tmp_path, monkeypatch, network):
    """The labels beside it are in the order of the images: all scores were those of other images."""

    class Chained:
        def __init__(self, *inner):
            self._input_datasets = inner

    class _ShuffleDataset(Chained):
        pass

    monkeypatch.setitem(sys.modules, "keras", SimpleNamespace())
    monkeypatch.setitem(sys.modules, "keras.callbacks", SimpleNamespace(Callback=object))
    for inputs, message in (
        (DataLoader(dataset(), 5, shuffle=True), "RandomSampler, not in the order"),
        (DataLoader(dataset(), 5, drop_last=True), "drops the last images"),
        (Chained(Chained(), Chained(_ShuffleDataset(Chained()))), "the loader shuffles its images"),
        (SimpleNamespace(shuffle=True), "the loader shuffles its images"),
    ):
        with pytest.raises(CifarcoreError, match=message):
            integrations.keras_callback(tmp_path / "mine.npz", inputs, LABELS, test_set="shop", **ARGUMENTS)
    inputs = DataLoader(dataset(), 5)
    writer = integrations.keras_callback(tmp_path / "mine.npz", inputs, LABELS, images=IMAGES, **ARGUMENTS)
    writer.model = SimpleNamespace(predict=lambda loader, **_: np.concatenate([network(x).detach() for x, _ in loader]))
    network.eval()
    writer.on_train_end()
    check(load_run(tmp_path / "mine.npz"), network)


def test_classes_that_a_data_set_counts_in_another_order_are_refused(tmp_path, monkeypatch, network):
    """The numbers of each class stood under the name of another."""
    given, turned = dataset(), ["eel", "cat", "dog"]
    for classes in (list(CLASSES), {"eel": 2}, ["a", "b", "c"], LABELS):  # its own, a part, others, those of the images
        given.classes = classes
        check(integrations.run_from_torch(network, DataLoader(given, 5), images=IMAGES, **ARGUMENTS), network)
    given.classes = turned
    for loader in (DataLoader(given, 5), DataLoader(Subset(Subset(given, range(N)), range(N)), 5)):
        with pytest.raises(
            CifarcoreError, match=r"counts the classes as eel, cat, dog, … \(classes\), .* in its order"
        ):
            integrations.run_from_torch(network, loader, images=IMAGES, **ARGUMENTS)
    given.classes = {name: CLASSES.index(name) for name in turned}  # by their numbers, not as they stand
    check(integrations.run_from_torch(network, DataLoader(given, 5), images=IMAGES, **ARGUMENTS), network)
    given.classes = {name: turned.index(name) for name in CLASSES}
    with pytest.raises(CifarcoreError, match="counts the classes as eel, cat, dog"):
        integrations.run_from_torch(network, DataLoader(given, 5), images=IMAGES, **ARGUMENTS)
    del given.classes
    label = SimpleNamespace(names=turned)
    for name, named in (
        ("classes", np.array(turned)),
        ("class_to_idx", {name: i for i, name in enumerate(turned)}),
        ("features", {"label": label, "image": None}),
    ):
        setattr(given, name, named)
        loader = DataLoader(ConcatDataset([given]), 5)
        with pytest.raises(CifarcoreError, match=rf"counts the classes as eel, cat, dog, … \({name}\)"):
            integrations.run_from_torch(network, loader, images=IMAGES, **ARGUMENTS)
        with pytest.raises(CifarcoreError, match=rf"counts the classes as eel, cat, dog, … \({name}\)"):
            refuse_other_names({"test": [loader]}, CLASSES)
        delattr(given, name)
    given.classes = turned
    given.target_transform = abs  # so the labels may count others
    check(integrations.run_from_torch(network, DataLoader(given, 5), images=IMAGES, **ARGUMENTS), network)
    monkeypatch.setitem(sys.modules, "keras", SimpleNamespace())
    monkeypatch.setitem(sys.modules, "keras.callbacks", SimpleNamespace(Callback=object))
    for inputs in (SimpleNamespace(class_names=turned), SimpleNamespace(class_indices=dict.fromkeys(turned))):
        with pytest.raises(CifarcoreError, match="counts the classes as eel, cat, dog"):
            integrations.keras_callback(tmp_path / "mine.npz", inputs, LABELS, test_set="shop", **ARGUMENTS)


def test_labels_given_beside_the_network_keep_their_own_order(tmp_path, monkeypatch):
    """Made an array before they were looked at, columns in another order were taken for that of the names."""
    given = {"test_set": "shop", **ARGUMENTS}
    turned = pd.get_dummies(pd.Series(np.array(CLASSES)[LABELS]))[[CLASSES[2], CLASSES[0], CLASSES[1]]]
    scores = np.eye(3)[LABELS] + np.random.default_rng(2).normal(size=(N, 3))
    monkeypatch.setitem(sys.modules, "keras", SimpleNamespace())
    monkeypatch.setitem(sys.modules, "keras.callbacks", SimpleNamespace(Callback=object))
    writer = integrations.keras_callback(tmp_path / "mine.npz", IMAGES, turned, **given)
    writer.model = SimpleNamespace(predict=lambda inputs, **_: scores)
    with pytest.raises(CifarcoreError, match="labels: its columns are called"):
        writer.on_train_end()
    with pytest.raises(CifarcoreError, match="labels: its columns are called"):
        integrations._write(tmp_path / "mine.npz", [(np.arange(N), scores, None)], turned, given)


def predicting(scores, labels, names=CLASSES):
    """As a Trainer of transformers gives its outputs."""
    config = SimpleNamespace(id2label=dict(enumerate(names)))
    output = SimpleNamespace(predictions=scores, label_ids=labels)
    return SimpleNamespace(predict=lambda _: output, model=SimpleNamespace(config=config))


def test_outputs_of_a_trainer_in_batches_and_classes_in_another_order(network):
    scores = scored(network)
    for several in (scores, (scores, scores * 0), np.array_split(scores, 4), [(each, 0) for each in (scores,)]):
        labels = np.array_split(LABELS, 4) if isinstance(several, list) else LABELS
        run = integrations.run_from_trainer(predicting(several, labels), [], images=IMAGES, model="mine", seed=3)
        check(run, network)
    named = SimpleNamespace(features={"label": SimpleNamespace(names=[*CLASSES[1:], CLASSES[0]]), "image": None})
    turned, trainer = [*CLASSES[1:], CLASSES[0]], predicting(scores, LABELS)
    for given in ({}, {"class_names": CLASSES}):
        with pytest.raises(CifarcoreError, match="'label' of the data set counts the classes as dog, eel, cat, …, and"):
            integrations.run_from_trainer(trainer, named, images=IMAGES, **given)
    with pytest.raises(CifarcoreError, match="the network's id2label counts the classes as cat, dog, eel, …, and"):
        integrations.run_from_trainer(trainer, [], images=IMAGES, class_names=turned)
    for other in ([name.upper() for name in turned], ["a horse", CLASSES[0], CLASSES[2]]):  # one of them by no name
        with pytest.raises(CifarcoreError, match="the network's id2label counts the classes as cat, dog, eel, …, and"):
            integrations.run_from_trainer(trainer, [], images=IMAGES, class_names=other)
        with pytest.raises(CifarcoreError, match="the data set counts the classes as cat, dog, eel, … .classes."):
            refuse_other_names(SimpleNamespace(classes=CLASSES), other)
    named_otherwise = integrations.run_from_trainer(trainer, [], images=IMAGES, class_names=["Katze", "Hund", "Aal"])
    assert named_otherwise.class_names.tolist() == ["Katze", "Hund", "Aal"]
    with pytest.raises(CifarcoreError, match="2 columns of labels; give the trainer's label_names one"):
        integrations.run_from_trainer(predicting(scores, (LABELS, LABELS)), [], images=IMAGES)


class Batches(torch.utils.data.Sampler):
    def __init__(self):
        pass

    def __iter__(self):
        return iter([list(range(N))[::-1]])

    def __len__(self):
        return 1


@pytest.mark.parametrize("with_labels", [True, False])
@pytest.mark.parametrize("shuffled", [True, False])
def test_lightning_predicts_into_a_run_file(tmp_path, network, with_labels, shuffled):
    lightning = pytest.importorskip(
        "lightning.pytorch", reason="lightning is not installed: pip install -e '.[frameworks]'"
    )

    class Module(lightning.LightningModule):
        def __init__(self):
            super().__init__()
            self.network = network

        def predict_step(self, batch, index):
            return (self.network(batch[0]), batch[1]) if with_labels else self.network(batch[0])

    path = tmp_path / "mine.npz"
    writer = integrations.lightning_writer(path, None if with_labels else LABELS, images=IMAGES, **ARGUMENTS)
    trainer = lightning.Trainer(
        callbacks=[writer], logger=False, enable_checkpointing=False, enable_progress_bar=False, accelerator="cpu"
    )
    sampler = Order() if shuffled else None  # whose indices Lightning hands on
    trainer.predict(Module(), DataLoader(dataset(), 5, sampler=sampler))
    check(load_run(path), network)
    with pytest.raises(CifarcoreError, match="2 workers give their batches as they are ready"):
        trainer.predict(Module(), DataLoader(dataset(), 5, sampler=sampler, num_workers=2, in_order=False))


class Order(torch.utils.data.Sampler):
    def __init__(self):
        pass

    def __iter__(self):
        return iter(np.random.default_rng(2).permutation(N).tolist())

    def __len__(self):
        return N


def test_the_parts_of_several_processes_are_one_run(tmp_path, network):
    """As a distributed sampler deals them out: in turn, the first again at the end so that all have as many."""
    scores = scored(network)
    rows = [np.r_[np.arange(0, N, 2)], np.r_[np.arange(1, N, 2), 0]]
    parts = [(each, scores[each], LABELS[each]) for each in rows]
    integrations._write(tmp_path / "mine.npz", parts, None, {"images": IMAGES, **ARGUMENTS})
    check(load_run(tmp_path / "mine.npz"), network)
    with pytest.raises(CifarcoreError, match="12 images were predicted of at least 23"):
        integrations._write(tmp_path / "mine.npz", parts[:1], None, {"images": IMAGES, **ARGUMENTS})
    with pytest.raises(CifarcoreError, match="no labels; return .logits, labels. from predict_step"):
        integrations._write(
            tmp_path / "mine.npz", [(*each[:2], None) for each in parts], None, {"images": IMAGES, **ARGUMENTS}
        )


def test_keras_writes_a_run_file_after_fit(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    keras = pytest.importorskip("keras", reason="keras is not installed: pip install -e '.[frameworks]'")
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [keras.layers.Rescaling(1 / 255), keras.layers.Flatten(), keras.layers.Dense(3, activation="softmax")]
    )
    model.compile(loss="sparse_categorical_crossentropy", optimizer="sgd")
    path = tmp_path / "mine.npz"
    callback = integrations.keras_callback(path, IMAGES, LABELS, batch_size=5, **ARGUMENTS)
    model.fit(IMAGES, LABELS, epochs=1, verbose=0, callbacks=[callback])
    run = load_run(path)
    np.testing.assert_array_equal(run.sample_ids, sample_ids(IMAGES))
    assert run.meta["scores"] == "log_probabilities"
    np.testing.assert_allclose(
        np.exp(run.logits.astype(float)).argmax(axis=1), model.predict(IMAGES, verbose=0).argmax(1)
    )


def test_keras_restores_no_weights_after_the_run_is_written(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "keras", SimpleNamespace())
    monkeypatch.setitem(sys.modules, "keras.callbacks", SimpleNamespace(Callback=object))
    writer = integrations.keras_callback(tmp_path / "mine.npz", IMAGES, LABELS, **ARGUMENTS)
    stopping, other = SimpleNamespace(restore_best_weights=True), SimpleNamespace(restore_best_weights=False)
    callbacks = [stopping, writer, other]
    writer.on_train_begin()
    callbacks.append(callbacks.pop(0))
    with pytest.raises(CifarcoreError, match="SimpleNamespace restores the best weights .* put this callback last"):
        writer.on_train_begin()


@pytest.mark.parametrize("pictures", [True, False])
def test_a_hugging_face_trainer(tmp_path, network, pictures):
    transformers = pytest.importorskip(
        "transformers", reason="transformers is not installed: pip install -e '.[frameworks]'"
    )
    pytest.importorskip("accelerate", reason="accelerate is not installed: pip install -e '.[frameworks]'")
    from PIL import Image

    config = transformers.ViTConfig(
        hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16, image_size=8, patch_size=4,
        id2label=dict(enumerate(CLASSES)), label2id={name: c for c, name in enumerate(CLASSES)},
    )  # fmt: skip
    model = transformers.ViTForImageClassification(config).eval()
    rows = [{"pixel_values": x, "labels": int(y)} for x, y in dataset()]
    trainer = transformers.Trainer(
        model, transformers.TrainingArguments(str(tmp_path), report_to="none", use_cpu=True, disable_tqdm=True)
    )
    images = [Image.fromarray(each) for each in IMAGES] if pictures else IMAGES
    run = integrations.run_from_trainer(trainer, rows, images=images, model="vit")
    with torch.inference_mode():
        expected = model(tensors()[0]).logits.numpy()
    np.testing.assert_array_equal(run.predictions, expected.argmax(axis=1))
    np.testing.assert_array_equal(run.sample_ids, sample_ids(IMAGES))
    np.testing.assert_array_equal(run.labels, LABELS)
    assert run.class_names.tolist() == list(CLASSES)
    with pytest.raises(CifarcoreError, match="no labels"):
        integrations.run_from_trainer(trainer, [{"pixel_values": row["pixel_values"]} for row in rows], images=IMAGES)


def test_pictures_of_other_modes_need_ids():
    from PIL import Image

    class Trainer:
        class model:
            config = None

        @staticmethod
        def predict(rows):
            class Output:
                predictions, label_ids = np.eye(3)[LABELS] + 0.1, LABELS

            return Output

    with pytest.raises(CifarcoreError, match="images of mode RGBA; give sample_ids"):
        integrations.run_from_trainer(Trainer, [], images=[Image.new("RGBA", (4, 4))] * N, class_names=CLASSES)


def test_the_module_imports_no_framework():
    import subprocess
    import sys

    code = "import sys, cifarcore.integrations; assert not {'torch', 'keras', 'transformers'} & set(sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], timeout=120).returncode == 0


@pytest.mark.parametrize("arguments", [{"group_by_length": True}, {"train_sampling_strategy": "group_by_length"}])
def test_a_trainer_that_draws_by_length_is_refused(arguments):
    with pytest.raises(CifarcoreError, match="draws its images by length"):
        integrations.run_from_trainer(SimpleNamespace(args=SimpleNamespace(**arguments)), dataset(), test_set="shop")
