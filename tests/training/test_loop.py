"""Training on the synthetic set: what it promises (same weights, resumable, each switch does what it says)."""

import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from cifarcore import files
from cifarcore.cli.terminal import watched
from cifarcore.config import TrainConfig
from cifarcore.data.cifar100 import sample_ids, split_validation
from cifarcore.data.synthetic import make_synthetic
from cifarcore.errors import CifarcoreError
from cifarcore.training import hardware
from cifarcore.training.augment import to_float
from cifarcore.training.batches import MemoryBatches
from cifarcore.training.checkpoints import load_checkpoint
from cifarcore.training.loop import Stopped, fit
from cifarcore.training.optimization import distillation_loss, scheduler
from cifarcore.training.predict import predict
from cifarcore.training.trainer import Trainer

TINY = TrainConfig(
    preset="tiny",
    dataset="synthetic",
    widths=(8, 8, 8),
    hidden=16,
    epochs=2,
    batch_size=100,
    learning_rate=0.02,
    validation_size=200,
    precision="float32",
    device="cpu",
    threads=1,
)
#: everything that has a state or a random draw of its own
EVERYTHING = replace(
    TINY,
    schedule="cosine",
    mix="both",
    policy="trivialaugment",
    erasing=0.5,
    ema_decay=0.9,
    label_smoothing=0.1,
    nesterov=True,
)
#: what only the ResNet-18 has, small
RESNET = TrainConfig(
    model="resnet18",
    preset="tiny",
    dataset="synthetic",
    init="random",
    stem="3x3",
    image_size=12,
    first_size=8,
    first_epochs=1,
    epochs=2,
    batch_size=20,
    learning_rate=0.02,
    validation_size=100,
    layer_decay=0.7,
    ema_decay=0.9,
    mix="mixup",
    precision="float32",
    device="cpu",
    threads=1,
)


@pytest.fixture(scope="module")
def dataset():
    return make_synthetic(1000, 100)


def weights(path):
    return load_checkpoint(path).weights


def same(a: dict, b: dict) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def test_a_loss_that_is_no_number_ends_the_training_with_one_line(dataset, tmp_path):
    with pytest.raises(CifarcoreError, match="no longer a number in epoch 1; start again with a lower --learning-rate"):
        fit(replace(TINY, learning_rate=1e6), dataset, tmp_path)
    assert not list(tmp_path.glob("*.pt"))


def test_same_seed_same_weights_and_another_seed_others(dataset, tmp_path):
    first = weights(fit(TINY, dataset, tmp_path / "a"))
    assert same(first, weights(fit(TINY, dataset, tmp_path / "b")))
    assert not same(first, weights(fit(replace(TINY, seed=1), dataset, tmp_path / "c")))


def test_training_leaves_the_callers_random_numbers_alone(dataset, tmp_path):
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    fit(replace(TINY, epochs=1), dataset, tmp_path)
    assert torch.equal(torch.rand(3), expected)


@pytest.mark.parametrize(
    "config",
    [
        TINY,
        EVERYTHING,
        replace(TINY, loader="dataloader"),
        replace(TINY, schedule="onecycle"),
        replace(EVERYTHING, muon=0.02),
    ],
    ids=["plain", "everything", "dataloader", "onecycle", "muon"],
)
def test_stopped_and_resumed_is_bit_for_bit_the_same(dataset, tmp_path, config):
    whole = load_checkpoint(fit(config, dataset, tmp_path / "whole"))
    for more in (3, 5, 5, 3):  # to the middle of an epoch, its last step, the middle of the next, the last of all 16
        steps = iter(range(1, 1000))
        with pytest.raises(Stopped):
            fit(config, dataset, tmp_path / "parts", resume=True, should_stop=lambda: next(steps) == more)
    path = fit(config, dataset, tmp_path / "parts", resume=True)
    found = load_checkpoint(path)
    assert same(whole.weights, found.weights)
    for column in ("epoch", "train_loss", "val_accuracy", "lr"):
        assert found.history[column] == whole.history[column]
    assert not list(path.parent.glob("*.resume.pt"))


def test_resuming_what_is_finished_trains_nothing(dataset, tmp_path):
    path = fit(replace(TINY, epochs=1), dataset, tmp_path)
    before = path.read_bytes()
    assert fit(replace(TINY, epochs=1), dataset, tmp_path, resume=True, should_stop=lambda: True) == path
    assert path.read_bytes() == before


def test_a_resnet_with_all_of_its_switches_and_a_teacher_resumes_bit_for_bit(tmp_path):
    small = make_synthetic(200, 100)
    teacher = fit(replace(RESNET, preset="teacher", epochs=1), small, tmp_path)
    config = replace(RESNET, teacher=str(teacher), train_layers="last_block")
    whole = weights(fit(config, small, tmp_path / "whole"))
    steps = iter(range(1000))
    with pytest.raises(Stopped):
        fit(config, small, tmp_path / "parts", should_stop=lambda: next(steps) == 6)
    assert same(whole, weights(fit(config, small, tmp_path / "parts", resume=True)))


def train_command(folder, **flags):
    """The real command, training a small CNN."""
    command = [sys.executable, "-m", "cifarcore", "train", "--model", "cnn", "--dataset", "synthetic"]
    settings = [text for name, value in flags.items() for text in (f"--{name.replace('_', '-')}", str(value))]
    return [*command, "--folder", str(folder), *settings]


def test_killed_at_random_moments_the_resumed_run_ends_the_same(tmp_path):
    """kill -9 of the real command, three times, wherever it happens to be."""

    def command(folder):
        small = dict(widths="8,8,8", hidden=16, epochs=6, batch_size=100, validation_size=200)
        machine = dict(precision="float32", device="cpu", threads=1)
        return [*train_command(folder, save_every=0.05, **small, **machine), "--resume"]

    subprocess.run(command(tmp_path / "whole"), check=True, capture_output=True, timeout=600)
    chance = random.Random(1)
    killed = 0
    folder = tmp_path / "killed"
    for _ in range(3):
        process = subprocess.Popen(command(folder), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 120
        while not list(folder.glob("*.resume.pt")) and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(chance.uniform(0, 1.0))
        killed += process.poll() is None
        process.kill()
        process.wait()
    subprocess.run(command(folder), check=True, capture_output=True, timeout=600)
    name = "cnn-quick-0.pt"
    assert killed, "at least one kill hit a running training"
    assert same(weights(tmp_path / "whole" / name), weights(folder / name))


def test_ctrl_c_saves_and_says_how_to_go_on(tmp_path):
    command = train_command(tmp_path, epochs=500, validation_size=200, save_every=0)
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=os.environ | {"PYTHONUNBUFFERED": "1"})
    deadline = time.monotonic() + 120
    while not list(tmp_path.glob("*.resume.pt")) and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=600)
    assert process.returncode == 130 and "--resume" in output and "Traceback" not in output
    assert list(tmp_path.glob("*.resume.pt")) and not list(tmp_path.glob(".*.tmp"))


def test_resume_refuses_other_settings_and_other_data(dataset, tmp_path):
    with pytest.raises(Stopped):
        fit(TINY, dataset, tmp_path, should_stop=lambda: True)
    with pytest.raises(CifarcoreError, match="learning_rate"):
        fit(replace(TINY, learning_rate=0.01), dataset, tmp_path, resume=True)
    with pytest.raises(CifarcoreError, match="other training images"):
        fit(TINY, make_synthetic(1000, 100, seed=1), tmp_path, resume=True)


@pytest.mark.parametrize(
    "damage",
    [
        {"history": {}},
        {"history": 3},
        {"step": None},
        {"step": [1]},
        {"seconds": 10**400},
        {"scheduler": 1},
        {"model": 7},
    ],
)
def test_a_damaged_state_is_refused_in_one_line(dataset, tmp_path, damage):
    with pytest.raises(Stopped):
        fit(TINY, dataset, tmp_path, should_stop=lambda: True)
    state = tmp_path / f"{TINY.name}.resume.pt"
    torch.save(torch.load(state, weights_only=True) | damage, state)
    with pytest.raises(CifarcoreError, match=r"resume\.pt: damaged \(.*\); --overwrite starts over"):
        fit(TINY, dataset, tmp_path, resume=True)


def test_a_bundled_run_without_its_weights_is_not_overwritten_unasked(dataset, tmp_path):
    """As seeds 1 and 2 of the bundled ones: evaluating the new training would replace its run file."""
    config = replace(TINY, epochs=1)
    run = tmp_path / f"{config.name}.npz"
    run.write_bytes(b"a run")
    with pytest.raises(CifarcoreError, match="without its weights; --overwrite replaces it, --name or --folder keep"):
        fit(config, dataset, tmp_path)
    assert [path.name for path in tmp_path.iterdir() if path.suffix in (".npz", ".pt")] == [run.name]
    assert fit(config, dataset, tmp_path, overwrite=True).exists() and run.read_bytes() == b"a run"


def test_nothing_is_overwritten_unasked(dataset, tmp_path):
    config = replace(TINY, epochs=1)
    with pytest.raises(Stopped):
        fit(config, dataset, tmp_path, should_stop=lambda: True)
    state = tmp_path / f"{config.name}.resume.pt"
    before = state.read_bytes()
    with pytest.raises(CifarcoreError, match="unfinished training of this name; --resume"):
        fit(config, dataset, tmp_path)
    assert state.read_bytes() == before and os.listdir(tmp_path) == [state.name]
    path = fit(config, dataset, tmp_path, overwrite=True)
    before = path.read_bytes()
    with pytest.raises(CifarcoreError, match="exists already; --overwrite"):
        fit(config, dataset, tmp_path)
    with pytest.raises(CifarcoreError, match=r"other settings \(learning_rate\); --overwrite"):
        fit(replace(config, learning_rate=0.01), dataset, tmp_path, resume=True)
    assert path.read_bytes() == before and os.listdir(tmp_path) == [path.name]
    fit(replace(config, learning_rate=0.01), dataset, tmp_path, overwrite=True)
    assert path.read_bytes() != before


def test_of_two_trainings_of_one_name_the_second_is_refused(dataset, tmp_path, monkeypatch):
    monkeypatch.setattr(files, "PATIENCE", 0.05)
    refused = []

    def another(progress):
        if not refused:
            left = tmp_path / f".{TINY.name}.pt.x.tmp"  # as the first has it while it writes
            left.touch()
            with pytest.raises(CifarcoreError, match="is being written by another process") as error:
                fit(TINY, dataset, tmp_path, resume=True)
            refused.append(error)
            assert left.exists()
            left.unlink()

    fit(replace(TINY, epochs=1), dataset, tmp_path, on_progress=another)
    assert refused


def test_it_learns_and_the_checkpoint_tells_how(dataset, tmp_path):
    config = replace(
        TINY,
        widths=(16, 32, 64),
        hidden=128,
        dropout=0.0,
        epochs=8,
        batch_size=50,
        schedule="onecycle",
        learning_rate=0.05,
    )
    seen = []
    checkpoint = load_checkpoint(fit(config, dataset, tmp_path, on_progress=seen.append))
    assert checkpoint.history["val_accuracy"][-1] > 0.05, "five times chance"
    assert checkpoint.history["train_loss"][-1] < checkpoint.history["train_loss"][0]
    assert checkpoint.history["epoch"] == list(range(1, 9))
    assert (
        checkpoint.meta["initialised_from"] == "random"
        and checkpoint.meta["config"] == hardware.resolve(config).to_dict()
    )
    assert checkpoint.meta["train_seconds"] > 0 and "threads" in checkpoint.meta["device"]
    assert checkpoint.meta["training_data"]["images"] == 800
    assert seen[-1].step == seen[-1].steps and seen[-1].val_accuracy == checkpoint.history["val_accuracy"][-1]


def test_step_schedule_drops_every_twenty_epochs(dataset, tmp_path):
    small = make_synthetic(200, 100)
    history = load_checkpoint(
        fit(replace(TINY, epochs=41, validation_size=0, learning_rate=0.1), small, tmp_path)
    ).history
    assert (
        history["lr"][18] == pytest.approx(0.1)
        and history["lr"][19] == pytest.approx(0.01)
        and history["lr"][40] == pytest.approx(0.001)
    )


def test_averaged_weights_equal_their_definition(dataset):
    with torch.random.fork_rng():
        trainer = Trainer(replace(TINY, ema_decay=0.8), dataset, None)
        expected = {name: value.clone() for name, value in trainer.model.state_dict().items()}
        for number, _ in enumerate(trainer.train_steps()):
            current = trainer.model.state_dict()
            for name, value in expected.items():
                expected[name] = current[name].clone() if number == 0 else 0.8 * value + 0.2 * current[name]
        averaged = trainer.evaluated_model().state_dict()
    counted = "num_batches_tracked"  # whole numbers, which evaluation does not use
    assert all(
        torch.allclose(averaged[name], value, atol=1e-6) for name, value in expected.items() if counted not in name
    )


@pytest.mark.parametrize(
    ("train_layers", "changing"),
    [("head", ("fc2",)), ("last_block", ("fc1", "fc2")), ("last_two_blocks", ("blocks.2", "fc1", "fc2"))],
)
def test_frozen_stages_stay_with_their_batch_norm(dataset, train_layers, changing):
    with torch.random.fork_rng():
        trainer = Trainer(replace(TINY, train_layers=train_layers), dataset, None)
        before = {name: value.clone() for name, value in trainer.model.state_dict().items()}
        for _ in trainer.train_steps():
            pass
    moved = {
        name.rsplit(".", 2 if "blocks" in name else 1)[0]
        for name, value in trainer.model.state_dict().items()
        if not torch.equal(value, before[name])
    }
    assert moved == set(changing)


def test_the_first_epochs_are_at_the_first_size_and_scores_at_the_last():
    with torch.random.fork_rng():
        trainer = Trainer(RESNET, make_synthetic(200, 100), None)
        seen = []
        trainer.model.conv1.register_forward_hook(lambda module, inputs, output: seen.append(inputs[0].shape[-1]))
        for _ in range(2):
            for _ in trainer.train_steps():
                pass
            trainer.finish_epoch()
        model = trainer.checkpoint().model()
    assert seen == [8] * 5 + [12] * 5, "of the average, which is scored, there is no hook"
    assert trainer.evaluated_model().prepare.image_size == model.prepare.image_size == 12
    assert len(trainer.history["val_accuracy"]) == 2
    with pytest.raises(CifarcoreError, match="first_size"):
        replace(TINY, first_epochs=1, first_size=16)


def test_layer_decay_slows_the_layers_near_the_input(dataset):
    with torch.random.fork_rng():
        trainer = Trainer(replace(TINY, layer_decay=0.5), dataset, None)
    rates = [group["lr"] for group in trainer.optimizer.param_groups]
    assert rates == pytest.approx([0.02 * 0.5**power for power in (4, 3, 2, 1, 0)])


def test_the_history_keeps_the_learning_rate_of_the_head(dataset):
    with torch.random.fork_rng():
        trainer = Trainer(replace(TINY, layer_decay=0.5), dataset, None)
        list(trainer.train_steps())
    rates = [group["lr"] for group in trainer.optimizer.param_groups]
    trainer.finish_epoch()
    assert trainer.history["lr"] == [max(rates)] and max(rates) > 1.5 * sorted(rates)[-2]


def test_progress_extrapolates_the_rate_since_the_start_or_the_resume(dataset):
    with torch.random.fork_rng():
        trainer = Trainer(replace(TINY, epochs=5), dataset, None)  # 8 steps of 100 images an epoch
    trainer.started_at_step, trainer.step = 10, 15
    trainer.history["epoch"] = [1.0]
    trainer.started = time.monotonic() - 10.0
    progress = trainer.progress()
    assert (progress.epoch, progress.finished_epochs, progress.step, progress.steps) == (2, 1, 15, 40)
    assert progress.images_per_second == pytest.approx(50, rel=0.05), "5 steps of 100 images in 10 s"
    assert progress.seconds_left == pytest.approx(50, rel=0.05), "25 steps of 2 s"


def test_trained_on_and_validated_are_the_training_images_and_no_test_image(dataset):
    with torch.random.fork_rng():
        trainer = Trainer(TINY, dataset, None)
    trained, validated = (sample_ids(images.numpy()) for images in (trainer.train_images, trainer.val_images))
    train_rows, val_rows = split_validation(dataset.y_train, TINY.validation_size)
    ids = sample_ids(dataset.x_train)
    assert np.array_equal(trained, ids[train_rows]) and np.array_equal(validated, ids[val_rows])
    assert np.array_equal(trainer.train_labels.numpy(), dataset.y_train[train_rows])
    assert np.array_equal(trainer.val_labels.numpy(), dataset.y_train[val_rows])
    assert not set(sample_ids(dataset.x_test)) & (set(trained) | set(validated))


def test_distillation_follows_the_teacher(dataset, tmp_path):
    teacher = fit(replace(TINY, epochs=1), dataset, tmp_path)
    student = replace(
        TINY,
        preset="student",
        teacher=str(teacher),
        teacher_weight=1.0,
        seed=3,
        dropout=0.0,
        epochs=6,
        learning_rate=0.05,
    )
    history = load_checkpoint(fit(student, dataset, tmp_path)).history
    assert history["train_loss"][-1] < 0.5 * history["train_loss"][0]
    logits = torch.randn(5, 7)
    assert distillation_loss(logits, logits, 3.0).item() == pytest.approx(0, abs=1e-6)
    other = torch.randn(5, 7)
    by_hand = 9 * (F.softmax(other / 3, 1) * (F.log_softmax(other / 3, 1) - F.log_softmax(logits / 3, 1))).sum(1).mean()
    assert distillation_loss(logits, other, 3.0).item() == pytest.approx(by_hand.item(), rel=1e-5)


def test_a_teacher_asked_once_teaches_what_it_says_of_each_uncropped_image(dataset, tmp_path):
    teacher = fit(replace(TINY, preset="teacher", epochs=1), dataset, tmp_path)
    student = replace(TINY, preset="student", teacher=str(teacher), crop_padding=0, seed=3)

    def losses(config):
        with torch.random.fork_rng():
            trainer = Trainer(config, dataset, None)
            assert not config.teacher_once or trainer.seconds > 0.001, "what scoring took counts as training"
            return torch.stack(list(trainer.train_steps())), trainer

    asked, _ = losses(student)
    once, trainer = losses(replace(student, teacher_once=True))
    assert torch.allclose(asked, once, rtol=1e-3), "mirrors included: half of the images are"
    assert trainer.taught.shape == (2, len(trainer.train_labels), 100)
    assert not torch.allclose(trainer.taught[0], trainer.taught[1], rtol=1e-3)


def test_a_teacher_asked_once_is_asked_of_the_images_first_and_then_of_their_mirrors(dataset, tmp_path):
    teacher = fit(replace(TINY, preset="teacher", epochs=1), dataset, tmp_path)
    config = replace(TINY, preset="student", teacher=str(teacher), teacher_once=True, crop_padding=0)
    with torch.random.fork_rng():
        trainer = Trainer(config, dataset, None)
        network = load_checkpoint(teacher).model()
        upright, mirrored = (
            predict(network, images, config)[0] for images in (trainer.train_images, trainer.train_images.flip(2))
        )
        apart = (upright - mirrored).abs().max().item()
        for taught, expected in zip(trainer.taught, (upright, mirrored), strict=True):
            assert (taught - expected).abs().max() < 0.01 * apart

        marks = torch.stack([torch.zeros(len(upright), 1), torch.ones(len(upright), 1)])
        batches = MemoryBatches(config, trainer.train_images, trainer.train_labels, trainer.augment, 0, 0, marks)
        flips = 0
        for (_, rows), (images, _, mark) in zip(batches.order, batches, strict=True):
            plain = to_float(trainer.train_images[rows])
            assert torch.allclose(images, torch.where(mark[:, :, None, None] == 1, plain.flip(3), plain), atol=1e-6)
            flips += int(mark.sum())
    assert 0 < flips < len(upright)


def test_a_student_of_a_teacher_asked_once_resumes_bit_for_bit(dataset, tmp_path):
    teacher = fit(replace(TINY, preset="teacher", epochs=1), dataset, tmp_path)
    config = replace(TINY, preset="student", teacher=str(teacher), teacher_once=True, ema_decay=0.9)
    whole = weights(fit(config, dataset, tmp_path / "whole"))
    steps = iter(range(1000))
    with pytest.raises(Stopped):
        fit(config, dataset, tmp_path / "parts", should_stop=lambda: next(steps) == 6)
    assert same(whole, weights(fit(config, dataset, tmp_path / "parts", resume=True)))


@pytest.mark.parametrize("once", [False, True])
def test_a_student_goes_on_with_the_teacher_that_it_began_with_alone(dataset, tmp_path, once):
    teacher = fit(replace(TINY, preset="teacher", epochs=1), dataset, tmp_path)
    config = replace(TINY, preset="student", teacher=str(teacher), teacher_once=once)
    steps = iter(range(1000))
    with pytest.raises(Stopped):
        fit(config, dataset, tmp_path, should_stop=lambda: next(steps) == 6)
    fit(replace(TINY, preset="teacher", epochs=1), dataset, tmp_path, overwrite=True)  # the same weights, written again
    if once:  # as earlier versions left it
        state = torch.load(part := next(tmp_path.glob("*-student-0.resume.pt")), weights_only=True)
        del state["teacher"]
        torch.save(state, part)
    with pytest.raises(Stopped):
        fit(config, dataset, tmp_path, resume=True, should_stop=lambda: True)
    first, other = teacher.read_bytes(), fit(replace(TINY, preset="other", epochs=1, seed=1), dataset, tmp_path)
    teacher.write_bytes(other.read_bytes())
    with pytest.raises(
        CifarcoreError, match=r"student-0\.resume\.pt: was started with another teacher than .*er-0\.pt"
    ):
        fit(config, dataset, tmp_path, resume=True)
    teacher.write_bytes(first)
    done = fit(config, dataset, tmp_path, resume=True)
    assert fit(config, dataset, tmp_path, resume=True) == done
    teacher.write_bytes(other.read_bytes())
    with pytest.raises(CifarcoreError, match=r"student-0\.pt: was started with another teacher"):
        fit(config, dataset, tmp_path, resume=True)


def test_a_finished_training_of_other_images_is_not_passed_off_as_this_one(dataset, tmp_path):
    fit(replace(TINY, epochs=1), dataset, tmp_path)
    with pytest.raises(CifarcoreError, match=r"tiny-0\.pt: was started on other training images"):
        fit(replace(TINY, epochs=1), make_synthetic(1000, 100, seed=1), tmp_path, resume=True)


def test_a_teacher_of_other_classes_or_that_learned_what_is_held_out_is_refused(dataset, tmp_path):
    teacher = fit(replace(TINY, preset="teacher", epochs=1, validation_size=0), dataset, tmp_path)
    student = replace(TINY, preset="student", teacher=str(teacher), epochs=1)
    with pytest.raises(CifarcoreError, match="held out 0 images where this training holds out 200"):
        fit(student, dataset, tmp_path)
    fit(student, make_synthetic(1000, 100, seed=1), tmp_path / "of other images")
    fit(replace(student, validation_size=0), dataset, tmp_path)
    for names, how in ((dataset.class_names[::-1], "the same classes in another"), (("x",) * 100, "of other classes")):
        with pytest.raises(CifarcoreError, match=how):
            fit(replace(student, seed=7), replace(dataset, class_names=names), tmp_path)


def test_a_resumed_training_says_what_weights_it_began_with(tmp_path):
    from torchvision.models import resnet18

    torch.save(resnet18().state_dict(), tmp_path / "first.pt")
    small = make_synthetic(300, 100)
    config = replace(RESNET, init="imagenet", stem="imagenet", image_size=16, weights=str(tmp_path / "first.pt"))
    with pytest.raises(Stopped):
        fit(config, small, tmp_path, should_stop=lambda: True)
    torch.save(resnet18().state_dict(), tmp_path / "first.pt")
    state = torch.load(tmp_path / f"{config.name}.resume.pt")
    assert (
        load_checkpoint(fit(config, small, tmp_path, resume=True)).meta["initialised_from"] == state["initialised_from"]
    )


def test_a_teacher_asked_once_is_refused_where_images_change_further():
    for changes in ({"mix": "cutmix"}, {"policy": "randaugment"}, {"erasing": 0.1}, {"loader": "dataloader"}):
        with pytest.raises(CifarcoreError, match="teacher_once"):
            replace(TINY, teacher="teacher.pt", teacher_once=True, **changes)
    with pytest.raises(CifarcoreError, match="without a teacher"):
        replace(TINY, teacher_once=True)


def test_a_gpu_that_is_not_there_is_one_clear_line():
    if torch.cuda.is_available():
        pytest.skip("there is a GPU, and the refusal without one is tested: run with CUDA_VISIBLE_DEVICES empty")
    with pytest.raises(CifarcoreError, match="--device cpu"):
        hardware.resolve(replace(TINY, device="cuda"))


@pytest.mark.parametrize("total_steps", [1, 3, 9, 19, 39, 99, 332])
def test_onecycle_divides_by_no_warm_up_of_one_step(total_steps):
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.1)
    config = replace(TINY, schedule="onecycle", warmup=1 / (total_steps + 1), learning_rate=0.1)
    schedule = scheduler(optimizer, config, 1, total_steps)
    rates = []
    for _ in range(total_steps):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    assert rates[0] == pytest.approx(0.1 / 25) and all(0 < rate <= 0.1 for rate in rates)
    assert total_steps == 1 or max(rates[1:]) == rates[1] > rates[0]


def test_a_second_ctrl_c_ends_a_validation_at_once():
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt), watched("cnn", "go on") as watch:
        os.kill(os.getpid(), signal.SIGINT)
        assert watch["should_stop"]()
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(5)
        raise AssertionError("the second was swallowed")
    assert signal.getsignal(signal.SIGINT) is before
