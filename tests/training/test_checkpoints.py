"""Weights on disk: hostile ones are refused in one line, before they take memory or run anything."""

import io
import os
import random
import zipfile

import pytest
import torch

from cifarcore.config import TrainConfig
from cifarcore.errors import CifarcoreError
from cifarcore.training.checkpoints import Checkpoint, half, load_checkpoint, save_checkpoint
from cifarcore.training.models import empty_model, imagenet_weights

CONFIG = TrainConfig(preset="tiny", dataset="synthetic", widths=(4, 4, 4), hidden=8, epochs=1)
NAMES = ["ant", "bee", "cat"]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    weights = half(empty_model(CONFIG, len(NAMES)).state_dict())
    checkpoint = Checkpoint(CONFIG, weights, NAMES, {"model": "cnn"}, {"lr": [0.1]})
    return save_checkpoint(checkpoint, tmp_path_factory.mktemp("whole") / "model.pt")


@pytest.fixture
def content(whole):
    return torch.load(whole, weights_only=True)


def refusal(content, tmp_path, work=load_checkpoint):
    path = tmp_path / "hostile.pt"
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        torch.save(content, path)
    with pytest.raises(CifarcoreError) as caught:
        work(path)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 1000
    return str(caught.value)


def test_what_was_saved_is_loaded(whole):
    checkpoint = load_checkpoint(whole)
    assert checkpoint.class_names == NAMES and checkpoint.config == CONFIG and checkpoint.history == {"lr": [0.1]}
    assert checkpoint.model()(torch.zeros(1, 3, 32, 32)).shape == (1, 3)


@pytest.mark.parametrize(
    "changes",
    [
        {"weights": {"w": "text"}},
        {"weights": [1]},
        {"weights": {"w": torch.zeros(1).expand(10**12)}},
        {"weights": {"w": torch.zeros(2, 2).to_sparse()}},
        {"class_names": [1, 2]},
        {"class_names": ["a" * 10_000]},
        {"class_names": ["a"] * 30_000},
        {"class_names": 3},
        {"history": {"lr": ["x"]}},
        {"history": 1},
        {"meta": [1]},
        {"config": {"epochs": "many"}},
        {"config": {"widths": 3}},
        {"config": {"unknown": 1}},
        {"config": None},
        {"format": "1"},
    ],
    ids=lambda changes: f"{next(iter(changes))}",
)
def test_a_checkpoint_with_other_things_in_it(content, changes, tmp_path):
    refusal(content | changes, tmp_path)


def test_a_network_of_any_size_is_refused_before_it_takes_memory(content, tmp_path):
    """Tebibytes of weights in a config of one line: were they allocated, this process would end."""
    for widths in ((10**6, 10**6, 10**6), (2**40, 2**40, 2**40), (-1, 4, 4), (0, 0, 0), ("a", 1, 2)):
        hostile = content | {"config": content["config"] | {"widths": list(widths)}}
        refusal(hostile, tmp_path, lambda path: load_checkpoint(path).model())


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no named pipes here: run on Linux or macOS")
def test_a_pipe_in_place_of_weights_is_refused(tmp_path):
    """It would be read for ever."""
    os.mkfifo(tmp_path / "model.pt")
    with pytest.raises(CifarcoreError, match="not a readable checkpoint .no file"):
        load_checkpoint(tmp_path / "model.pt")


def test_a_compressed_file_is_refused_before_it_is_unpacked(whole, tmp_path):
    with zipfile.ZipFile(whole) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    bomb = io.BytesIO()
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, bytes(10**8) if name.endswith("data/0") else data)
    assert len(bomb.getvalue()) < 10**6
    assert "compressed" in refusal(bomb.getvalue(), tmp_path)


def test_damaged_bytes_are_refused_or_give_a_checkpoint(whole, tmp_path):
    chance = random.Random(0)
    path = tmp_path / "damaged.pt"
    refused = 0
    for _ in range(300):
        damaged = bytearray(whole.read_bytes())
        for _ in range(chance.randint(1, 3)):
            at = chance.randrange(len(damaged))
            if chance.random() < 0.6:
                damaged[at] = chance.randrange(256)
            else:
                del damaged[at : at + chance.randint(1, 200)]
        path.write_bytes(damaged)
        try:
            checkpoint = load_checkpoint(path)
            assert all(isinstance(name, str) for name in checkpoint.class_names)
            checkpoint.model()
        except CifarcoreError as error:
            refused += 1
            assert "\n" not in str(error)
    assert refused > 100


@pytest.mark.parametrize("content", [b"other", b"\x80\x04c__builtin__\neval\n."])
@pytest.mark.parametrize("read", [load_checkpoint, lambda path: imagenet_weights(str(path))])
def test_no_message_tells_how_to_run_the_code_in_a_file(content, read, tmp_path):
    told = refusal(content, tmp_path, read)
    assert "damaged" in told and "weights_only" not in told
