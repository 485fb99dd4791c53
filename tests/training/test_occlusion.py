"""What hiding parts of a picture takes from a prediction, with networks whose answer is known."""

import numpy as np
import pytest
import torch
from made import made_run
from PIL import Image
from processes import cifarcore as run_cifarcore

from cifarcore.config import TrainConfig
from cifarcore.runs.run import save_run
from cifarcore.training import occlusion
from cifarcore.training.checkpoints import Checkpoint, half, save_checkpoint
from cifarcore.training.hardware import resolve
from cifarcore.training.models import empty_model

CONFIG = resolve(TrainConfig(preset="tiny", dataset="synthetic", widths=(8, 8, 8), hidden=16, device="cpu"))


@pytest.fixture
def picture():
    return np.random.default_rng(0).integers(0, 256, (32, 32, 3)).astype(np.uint8)


def sees(place):
    """Instead of a network: the logit of class 1 is the brightness of `place`, that of class 0 is nothing."""

    def score(checkpoint, images, device):
        bright = images[:, place[0], place[1]].mean(axis=(1, 2, 3)) / 255
        return np.stack([np.zeros(len(images)), 8 * bright - 2], axis=1), None

    return score


def test_the_part_that_the_network_looks_at_stands_out(monkeypatch):
    image = np.zeros((32, 32, 3), np.uint8)
    place = (slice(4, 12), slice(20, 28))
    image[place] = 255
    monkeypatch.setattr(occlusion, "score", sees(place))
    found = occlusion.occlusion(None, image)
    assert found.predicted == 1 and found.probability == pytest.approx(1 / (1 + np.exp(-6)))
    assert found.drop.shape == (32, 32) and found.drop.dtype == np.float32
    inside = np.zeros((32, 32), bool)
    inside[place] = True
    assert found.drop[inside].min() > found.drop[~inside].max() / 2 and found.drop[7, 23] > 0.1
    assert found.drop[20:, :10] == pytest.approx(0), "far away nothing changes"


def test_a_picture_of_one_colour_loses_nothing(monkeypatch):
    monkeypatch.setattr(occlusion, "score", sees((slice(0, 32), slice(0, 32))))
    found = occlusion.occlusion(None, np.full((32, 32, 3), 90, np.uint8))
    assert found.drop == pytest.approx(0)


def test_the_command_writes_the_map_of_a_small_network(tmp_path, picture):
    torch.manual_seed(0)
    model = empty_model(CONFIG, 5)
    names = [f"class_{k}" for k in range(5)]
    checkpoint = Checkpoint(CONFIG, half(model.state_dict()), names, {"model": "cnn"}, {})
    weights = save_checkpoint(checkpoint, tmp_path / "tiny.pt")
    Image.fromarray(picture).save(tmp_path / "picture.png")
    out = tmp_path / "kept" / "map.npz"
    done = run_cifarcore("explain", str(weights), str(tmp_path / "picture.png"), "--out", str(out))
    assert done.returncode == 0, done.stderr
    direct = occlusion.occlusion(checkpoint, picture, "cpu")
    with np.load(out, allow_pickle=False) as arrays:
        assert int(arrays["predicted"]) == direct.predicted
        np.testing.assert_allclose(arrays["drop"], direct.drop, atol=1e-5)
    assert f"class {direct.predicted} at" in done.stdout
    run = save_run(made_run(5, 40), tmp_path / "tiny.npz")  # as the checkpoint is called
    np.savez(tmp_path / "mine.npz", drop=np.eye(3))
    for there, said in (
        (run, "is a run file"), (weights, "is no .npz"), (tmp_path / "mine.npz", "is another kind of .npz")
    ):  # fmt: skip
        before = there.read_bytes()
        done = run_cifarcore("explain", str(weights), str(tmp_path / "picture.png"), "--out", str(there))
        assert done.returncode == 2 and f"{there.name}: {said}; name another file" in done.stderr
        assert there.read_bytes() == before
    (tmp_path / "none.png").write_bytes(b"no picture")
    done = run_cifarcore("explain", str(weights), str(tmp_path / "none.png"), "--out", str(out))
    assert done.returncode == 2 and "none.png: cannot be read as a picture" in done.stderr
    Image.new("RGB", (9000, 300)).save(tmp_path / "large.png")  # of 8 KB: its copies would take many GiB
    done = run_cifarcore("explain", str(weights), str(tmp_path / "large.png"), "--out", str(out))
    assert done.returncode == 2 and "large.png: 9,000 x 300 pixels; give the picture as the network" in done.stderr
