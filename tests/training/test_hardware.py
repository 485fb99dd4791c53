"""What the hardware decides, with GPUs that are not here faked at torch's door, and float16 as the CPU computes it."""

from dataclasses import replace

import pytest
import torch
from made import TINY

from cifarcore.data.synthetic import make_synthetic
from cifarcore.errors import CifarcoreError
from cifarcore.training import hardware
from cifarcore.training.checkpoints import load_checkpoint
from cifarcore.training.distributed import World
from cifarcore.training.loop import Stopped, fit
from cifarcore.training.trainer import Trainer

CONFIG = replace(
    TINY, epochs=2, batch_size=100, learning_rate=0.02, validation_size=200, precision="float16", device="cpu"
)


@pytest.fixture(scope="module")
def dataset():
    return make_synthetic(1000, 100)


def test_float16_takes_the_steps_of_float32_but_for_rounding(dataset):
    losses = {}
    for precision in ("float16", "float32"):
        trainer = Trainer(replace(CONFIG, precision=precision), dataset, None)
        assert trainer.scaler.is_enabled() == (precision == "float16")
        losses[precision] = torch.stack(list(trainer.train_steps()))
    assert torch.allclose(losses["float16"], losses["float32"], atol=5e-3)
    assert not torch.equal(*losses.values())


def test_a_step_that_overflows_float16_is_left_out_and_the_scale_falls(dataset):
    trainer = Trainer(CONFIG, dataset, None)
    steps = trainer.train_steps()
    next(steps)
    before = [parameter.clone() for parameter in trainer.model.parameters()]
    trainer.scaler.load_state_dict(trainer.scaler.state_dict() | {"scale": 2.0**40})
    assert torch.isfinite(next(steps))
    assert all(map(torch.equal, before, trainer.model.parameters())) and trainer.scaler.get_scale() == 2.0**39


def test_float16_resumed_takes_the_steps_of_one_that_never_stopped(dataset, tmp_path, monkeypatch):
    # a scale that grows every third step is state that a resumed run needs
    monkeypatch.setattr(
        "cifarcore.training.trainer.gradient_scaler", lambda config: torch.amp.GradScaler("cpu", growth_interval=3)
    )
    whole = load_checkpoint(fit(CONFIG, dataset, tmp_path / "whole"))
    taken = iter(range(1000))
    with pytest.raises(Stopped):
        fit(CONFIG, dataset, tmp_path / "parts", should_stop=lambda: next(taken) == 4)
    state = torch.load(tmp_path / "parts" / f"{CONFIG.name}.resume.pt", weights_only=True)
    assert state["scaler"]["scale"] > 2.0**16
    parts = load_checkpoint(fit(CONFIG, dataset, tmp_path / "parts", resume=True))
    assert all(torch.equal(parts.weights[name], weight) for name, weight in whole.weights.items())


@pytest.mark.parametrize("bfloat16, precision", [(True, "bfloat16"), (False, "float16")])
def test_a_gpu_without_bfloat16_takes_float16(monkeypatch, bfloat16, precision):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: bfloat16)
    found = hardware.resolve(replace(CONFIG, device="auto", precision="auto", batch_size=0))
    assert (found.device, found.precision, found.batch_size) == ("cuda", precision, 128)


def test_an_apple_gpu_is_taken_where_it_is_asked_for(monkeypatch):
    asked = replace(CONFIG, device="mps", precision="auto", batch_size=0)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    with pytest.raises(CifarcoreError, match="no Apple GPU; use --device cpu or auto"):
        hardware.resolve(asked)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    found = hardware.resolve(asked)
    assert (found.device, found.precision, found.batch_size) == ("mps", "float32", 128)
    assert hardware.resolve(replace(asked, device="auto")).device == "cpu"  # nothing was tried on one
    assert hardware.hardware("mps", 1).startswith("Apple GPU")
    assert hardware.sum_type("mps") == torch.float32  # it has no float64
    with pytest.raises(CifarcoreError, match="trains in one process"):
        World(0, 2).own_gpu("mps")


def test_an_apple_gpu_keeps_its_random_state(monkeypatch):
    state = [torch.tensor([1])]
    monkeypatch.setattr(torch.mps, "get_rng_state", lambda: state[0])
    monkeypatch.setattr(torch.mps, "set_rng_state", lambda value: state.__setitem__(0, value))
    with pytest.raises(Stopped), hardware.own_randomness(replace(CONFIG, device="mps")):
        state[0] = torch.tensor([2])
        raise Stopped
    assert state[0].item() == 1
