"""Each switch of training: stopped and resumed it ends the same, and of two ways both take the same steps."""

from dataclasses import fields, replace

import pytest
import torch
from made import TINY
from PIL import Image
from torchvision.transforms import v2

from cifarcore.config import TrainConfig
from cifarcore.data.synthetic import make_synthetic
from cifarcore.training.augment import Augment
from cifarcore.training.batches import DataLoaderBatches, MemoryBatches
from cifarcore.training.checkpoints import load_checkpoint
from cifarcore.training.loop import Stopped, fit
from cifarcore.training.trainer import Trainer

#: 4 steps an epoch
CNN = replace(TINY, epochs=2, learning_rate=0.02, validation_size=100, precision="float32", device="cpu")
RESNET = replace(CNN, model="resnet18", init="random", stem="3x3", image_size=8)
TEACHER, WEIGHTS = "a network that the test trains", "a file that the test writes"
PICTURES = dict(mix="both", policy="trivialaugment", erasing=0.5)
SWITCHES = {
    "pictures": replace(CNN, **PICTURES),
    "cutmix": replace(CNN, mix="cutmix", crop_padding=0, flip=False),
    "mixup and randaugment": replace(CNN, mix="mixup", policy="randaugment"),
    "dataloader": replace(CNN, loader="dataloader", num_workers=0, **PICTURES),
    "workers": replace(CNN, loader="dataloader", num_workers=2, **PICTURES),
    "bfloat16": replace(CNN, precision="bfloat16"),
    "float16": replace(CNN, precision="float16"),
    "average": replace(CNN, ema_decay=0.9, label_smoothing=0.1),
    "steps": replace(CNN, schedule="step", step_size=1, gamma=0.5, nesterov=True, momentum=0.8, weight_decay=0.01),
    "cosine": replace(CNN, schedule="cosine", warmup=0.5, dropout=0.2, normalize="imagenet"),
    "onecycle": replace(CNN, schedule="onecycle"),
    "muon": replace(CNN, muon=0.02, muon_decay=0.2, schedule="cosine", layer_decay=0.5),
    "head": replace(CNN, train_layers="head", ema_decay=0.9),
    "last two blocks": replace(CNN, train_layers="last_two_blocks", muon=0.02),
    "teacher": replace(CNN, teacher=TEACHER, teacher_weight=0.5, temperature=2.0),
    "teacher asked once": replace(CNN, teacher=TEACHER, teacher_once=True),
    "growing": replace(RESNET, first_size=4, first_epochs=1, layer_decay=0.7, ema_decay=0.9),
    "stem of 7x7": replace(RESNET, stem="imagenet", image_size=16, train_layers="last_block"),
    "weights": replace(RESNET, init="imagenet", weights=WEIGHTS),
    "muon, resnet18": replace(RESNET, muon=0.02, muon_decay=0.2, layer_decay=0.7),
}
#: what names a run, says how much of it there is, or where it runs
NO_SWITCHES = {"preset", "seed", "dataset", "epochs", "batch_size", "device", "threads"}


@pytest.fixture(scope="module")
def dataset():
    return make_synthetic(300, 100)


@pytest.fixture(scope="module")
def with_files(dataset, tmp_path_factory):
    """A config with the files that it names: its teacher, and the weights that it begins with."""
    from torchvision.models import resnet18

    folder = tmp_path_factory.mktemp("files")
    torch.manual_seed(7)
    torch.save(resnet18().state_dict(), folder / "weights.pt")
    files = {
        "teacher": str(fit(replace(CNN, preset="teacher", epochs=1), dataset, folder)),
        "weights": str(folder / "weights.pt"),
    }
    return lambda config: replace(config, **{name: path for name, path in files.items() if getattr(config, name)})


def test_every_switch_is_among_them():
    plain = TrainConfig()
    turned = {
        item.name
        for item in fields(TrainConfig)
        if any(getattr(config, item.name) != getattr(plain, item.name) for config in SWITCHES.values())
    }
    assert {item.name for item in fields(TrainConfig)} - turned <= NO_SWITCHES


@pytest.mark.parametrize("name", SWITCHES)
def test_stopped_and_resumed_is_bit_for_bit_the_same(dataset, with_files, tmp_path, name):
    config = with_files(SWITCHES[name])
    whole = load_checkpoint(fit(config, dataset, tmp_path / "whole"))
    for more in (2, 2, 1):  # in an epoch, at its last step, in the next
        steps = iter(range(1, 1000))
        with pytest.raises(Stopped):
            fit(config, dataset, tmp_path / "parts", resume=True, should_stop=lambda: next(steps) == more)
    parts = load_checkpoint(fit(config, dataset, tmp_path / "parts", resume=True))
    assert all(torch.equal(parts.weights[name], weight) for name, weight in whole.weights.items())
    for column in ("epoch", "train_loss", "val_accuracy", "lr"):
        assert parts.history[column] == whole.history[column]


def batches(kind, dataset, config, first=0):
    images, labels = torch.from_numpy(dataset.x_train), torch.from_numpy(dataset.y_train)
    return list(kind(config, images, labels, Augment(config, dataset.n_classes), 1, first))


def same(one, other) -> bool:
    """But for the last bit, where one divides by 255 and the other multiplies."""
    pairs = [pair for left, right in zip(one, other, strict=True) for pair in zip(left[:2], right[:2], strict=True)]
    return len(pairs) > 0 and all(torch.allclose(left, right, rtol=0, atol=1e-6) for left, right in pairs)


@pytest.mark.parametrize("changes", [{}, {"mix": "cutmix"}, {"mix": "mixup"}, {"mix": "both", "erasing": 0.5}], ids=str)
def test_both_loaders_give_the_same_batches_of_uncropped_images(dataset, changes):
    """Crops and mirrors are drawn for a batch or for an image, and so alike in distribution alone."""
    config = replace(CNN, crop_padding=0, flip=False, num_workers=0, **changes)
    assert same(*(batches(kind, dataset, config) for kind in (MemoryBatches, DataLoaderBatches)))


POLICIES = {"randaugment": v2.RandAugment, "trivialaugment": v2.TrivialAugmentWide}
#: of the values (0..1) of an image, how many may be apart, as torchvision rounds turned and sheared grids in two ways
FEW, ROUNDING = 0.1, 2.5 / 255


@pytest.mark.parametrize("policy", POLICIES)
def test_both_loaders_do_to_an_image_what_the_policy_draws(dataset, policy, monkeypatch):
    """A batch of one image has the draws of one image, whichever way it is loaded."""
    kind, drawn = POLICIES[policy], []
    apply = kind._apply_image_or_video_transform

    def noted(self, image, name, magnitude, **others):
        drawn.append((isinstance(image, Image.Image), name, float(magnitude)))
        return apply(self, image, name, magnitude, **others)

    monkeypatch.setattr(kind, "_apply_image_or_video_transform", noted)
    config = replace(CNN, crop_padding=0, flip=False, num_workers=0, policy=policy, batch_size=1)
    one, other = (batches(loader, dataset, config) for loader in (MemoryBatches, DataLoaderBatches))
    by_kind = [[draw[1:] for draw in drawn if draw[0] == of_pil] for of_pil in (False, True)]
    assert by_kind[0] == by_kind[1] and {name for name, _ in by_kind[0]} == set(kind._AUGMENTATION_SPACE)
    for left, right in zip(one, other, strict=True):
        assert ((left[0] - right[0]).abs() > ROUNDING).double().mean() < FEW and torch.equal(left[1], right[1])


def test_workers_give_the_batches_of_one_process_from_any_step_on(dataset):
    alone, shared = (replace(SWITCHES["workers"], num_workers=count) for count in (0, 2))
    expected = batches(DataLoaderBatches, dataset, alone)
    assert same(expected, batches(DataLoaderBatches, dataset, shared))
    assert same(expected[3:], batches(DataLoaderBatches, dataset, shared, first=3))


def losses(config, dataset):
    with torch.random.fork_rng():
        return torch.stack(list(Trainer(config, dataset, None).train_steps()))


@pytest.mark.parametrize("plain", [CNN, RESNET], ids=["cnn", "resnet18"])
def test_the_layers_for_a_cpu_take_the_steps_of_torchs_own(dataset, plain):
    """The dataloader's loop has torch's layers as they are; dropout draws otherwise."""
    config = replace(plain, crop_padding=0, flip=False, dropout=0.0, num_workers=0, learning_rate=2e-3)
    found = [
        losses(replace(config, loader=loader), dataset)[:2] for loader in ("memory", "dataloader")
    ]  # then it drifts
    assert torch.allclose(*found, rtol=1e-4)


def test_bfloat16_takes_the_steps_of_float32_but_for_rounding(dataset):
    found = [losses(replace(CNN, precision=precision), dataset) for precision in ("bfloat16", "float32")]
    assert torch.allclose(*found, atol=5e-2) and not torch.equal(*found)
