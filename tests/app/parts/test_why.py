"""The maps of what a prediction depends on: asked for, computed by another process, kept, and refused in one line."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from made import made_run
from pages import TIMEOUT, text, write
from streamlit.testing.v1 import AppTest

from cifarcore.app import pictures
from cifarcore.app.parts import why
from cifarcore.config import TrainConfig
from cifarcore.reports.charts.card import overlay
from cifarcore.training.checkpoints import Checkpoint, half, save_checkpoint
from cifarcore.training.evaluation import score
from cifarcore.training.hardware import resolve
from cifarcore.training.models import empty_model

PICTURE = np.random.default_rng(0).integers(0, 256, (32, 32, 3)).astype(np.uint8)
ROW = 3


@pytest.fixture(scope="module")
def checkpoint():
    torch.manual_seed(0)
    config = resolve(TrainConfig(preset="tiny", dataset="synthetic", widths=(8, 8, 8), hidden=16, device="cpu"))
    names = [str(name) for name in made_run().class_names]
    weights = half(empty_model(config, len(names)).state_dict())
    return Checkpoint(config, weights, names, {"model": "cnn"}, {})


def card_alone(root):
    """The card that the address asks for; runs inside AppTest."""
    from pathlib import Path

    from cifarcore.app.parts import card, sidebar

    card.reopen(sidebar.choose(Path(root)))


@pytest.fixture
def opened(folder, checkpoint, monkeypatch):
    """`opened(right)`: the card of an image, the first model's weights beside its run file, whose scores are the
    network's own where it is `right`; else its prediction is another, or less sure.
    """

    def open_card(right=True, weights=True):
        a, b = made_run(accuracy=0.5, model="cnn"), made_run(accuracy=0.7, model="resnet18")
        own, logits = score(checkpoint, PICTURE[None], "cpu")[0][0], a.logits.copy()
        logits[ROW] = own if right is True else np.roll(own, 1) if not right else own + 3 * (own == own.max())
        write(folder, replace(a, logits=logits), b)
        if weights:  # None: as they are
            save_checkpoint(checkpoint, folder / "cnn-made-0.pt")
        app = AppTest.from_function(card_alone, kwargs={"root": str(folder.parent)}, default_timeout=TIMEOUT)
        app.query_params["image"] = f"{a.sample_ids[ROW]:016x}-{a.labels[ROW]}"
        app.run()
        assert not app.exception, app.exception
        return app

    monkeypatch.setattr(pictures.Album, "pixels", lambda self, sample_id: PICTURE)
    return open_card


def pressed(app):
    next(button for button in app.button if button.label == "Compute the maps").click().run(timeout=180)
    assert not app.exception, app.exception
    return app


def test_a_map_is_computed_when_asked_for_and_kept(opened, monkeypatch):
    app = opened()
    assert "Only for A: the weights of resnet18" in text(app) and "weights of cnn" not in text(app)
    assert "important patch lowers it by" in text(pressed(app))
    monkeypatch.setattr(why, "_compute", lambda *_: pytest.fail("it is kept already"))
    assert "important patch lowers it by" in text(opened(weights=None))


def test_weights_of_other_scores_explain_nothing(opened):
    for app in (pressed(opened(right=False)), opened(right="less sure", weights=None)):  # whose map is kept by now
        assert "are not those that gave its scores" in text(app) and "important patch" not in text(app)


def test_weights_that_cannot_be_read_are_one_line(opened, folder):
    app = opened()
    (folder / "cnn-made-0.pt").write_bytes(b"nothing")
    app = pressed(app)
    assert len(app.error) == 1 and "cnn\\-made\\-0.pt" in app.error[0].value and "\n" not in app.error[0].value


def test_without_weights_or_picture_one_line_says_so(opened, monkeypatch):
    app = opened(weights=False)
    assert text(app).count("The weights of") == 2 and not [each for each in app.button if "maps" in each.label]
    monkeypatch.setattr(pictures.Album, "pixels", lambda self, sample_id: None)
    assert "Needs the picture" in text(opened())


def test_the_overlay_is_red_where_the_probability_falls_and_blue_where_it_rises():
    grey = np.full((1, 3, 3), 100, np.uint8)
    ((red, blue, none),) = overlay(grey, np.array([[0.5, -0.5, 0.0]]), 0.5)
    assert none.tolist() == [100, 100, 100] and red[0] > 150 > red[2] and blue[2] > 150 > blue[0]
    assert overlay(grey, np.zeros((1, 3)), 0.0).tolist() == grey.tolist()


def test_a_full_disk_and_weights_that_are_deleted_meanwhile_are_one_line_each(opened, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    app = opened()
    monkeypatch.setattr(why.tempfile, "TemporaryDirectory", full)
    app = pressed(app)
    assert [each.value for each in app.error] == ["No space left on device; make room for temporary files"]

    def gone(path):
        raise FileNotFoundError(2, "No such file or directory", str(path))

    monkeypatch.setattr(why, "version", gone)
    assert "No such file or directory" in text(opened()).replace("\\", "")


@pytest.mark.parametrize("damage", [lambda whole: whole[:60], lambda whole: whole[:70] + b"x" * 20 + whole[90:]])
def test_a_map_that_was_damaged_is_computed_again(tmp_path, damage):
    path = tmp_path / "map.npz"
    np.savez_compressed(path, drop=np.zeros((32, 32), np.float32), predicted=1, probability=0.5)
    assert why._read(path, (32, 32)) is not None
    path.write_bytes(damage(path.read_bytes()))
    assert why._read(path, (32, 32)) is None


def test_the_map_of_another_picture_of_the_same_id_is_not_shown(opened, monkeypatch):
    """A pack's JPEG can claim any id: the map of one picture was laid over another."""
    assert "important patch lowers it by" in text(pressed(opened()))
    monkeypatch.setattr(pictures.Album, "pixels", lambda self, sample_id: PICTURE[::-1])
    app = opened(weights=None)
    assert "important patch lowers it by" not in text(app) and any(b.label == "Compute the maps" for b in app.button)


def test_the_weights_of_a_run_in_anothers_order_of_classes_explain_its_prediction(folder, checkpoint, monkeypatch):
    """They were said not to be those that gave its scores, unless both orders have the class at one place."""
    monkeypatch.setattr(pictures.Album, "pixels", lambda self, sample_id: PICTURE)
    a, b = made_run(accuracy=0.5, model="cnn"), made_run(accuracy=0.7, model="resnet18")
    order = np.roll(np.arange(b.n_classes), 1)
    given = int(score(checkpoint, PICTURE[None], "cpu")[0].argmax())
    logits = b.logits[:, order].copy()
    logits[ROW] = score(checkpoint, PICTURE[None], "cpu")[0][0]
    b = replace(b, class_names=b.class_names[order], superclass_of=b.superclass_of[order], logits=logits, digest="",
                labels=np.argsort(order)[b.labels].astype(np.int16), val_labels=None, val_logits=None,
                val_sample_ids=None, train_neighbor_ids=None, train_neighbor_labels=None,
                train_neighbor_cosine=None)  # fmt: skip
    write(folder, a, b)
    save_checkpoint(checkpoint, folder / "resnet18-made-0.pt")
    app = AppTest.from_function(card_alone, kwargs={"root": str(folder.parent)}, default_timeout=TIMEOUT)
    app.query_params["image"] = f"{a.sample_ids[ROW]:016x}-{a.labels[ROW]}"
    said = text(pressed(app.run())).replace("\\", "")
    assert f"{b.class_names[given].replace('_', ' ')} at " in said and "are not those" not in said
