"""What each of the processes in test_distributed.py runs: trainings of a few steps, their losses and weights kept.

Also run alone, by the test itself, for what one process makes of the same configs.
"""

from dataclasses import replace

import torch

from cifarcore.config import TrainConfig
from cifarcore.data.synthetic import make_synthetic
from cifarcore.training import loop
from cifarcore.training.distributed import World, joined, leave
from cifarcore.training.hardware import resolve
from cifarcore.training.trainer import Trainer

SMALL = TrainConfig(
    preset="small", dataset="synthetic", widths=(8, 8, 8), hidden=16, dropout=0.5, epochs=2, batch_size=16,
    learning_rate=0.02, validation_size=100, precision="float32", device="cpu", threads=1,
)  # fmt: skip
#: what is trained and on how many images, 100 of them held out; the last batch is never whole
CONFIGS = {
    "plain": (SMALL, 301),
    "a last batch of one image, and a process with none": (replace(SMALL, dropout=0.0), 293),
    "everything random": (
        replace(SMALL, mix="both", policy="trivialaugment", erasing=0.5, ema_decay=0.9, label_smoothing=0.1), 301
    ),
    "dataloader": (replace(SMALL, loader="dataloader"), 301),
    "muon": (replace(SMALL, muon=0.02), 301),
    "frozen layers": (replace(SMALL, train_layers="last_block"), 301),
    "float32, distilled": (replace(SMALL, teacher="teacher.pt"), 301),  # in the folder in which the trainings run
    "float32, distilled from scores made once": (replace(SMALL, teacher="teacher.pt", teacher_once=True), 301),
    "resnet18": (replace(SMALL, model="resnet18", init="random", validation_size=0), 37),
    "bfloat16": (replace(SMALL, precision="bfloat16"), 293),
}  # fmt: skip


def train(name: str, world: World) -> dict:
    """Losses of all steps, history and last weights; in float64 but where the name says another precision.

    There a wrong sum cannot hide: in float32 a max pool or a ReLU that tips over makes steps differ by 1e-3 soon.
    """
    config, images = CONFIGS[name]
    torch.set_default_dtype(torch.float32 if "float" in name else torch.float64)
    try:
        with torch.random.fork_rng():
            trainer = Trainer(resolve(config), make_synthetic(images, 100), None, world)
            losses = []
            while trainer.step < trainer.total_steps:
                losses += [world.sum(loss) for loss in trainer.train_steps()]
                trainer.finish_epoch()
        weights = trainer.evaluated_model().state_dict()
    finally:
        torch.set_default_dtype(torch.float32)
    return {"losses": torch.stack(losses), "history": trainer.history, "weights": weights}


def stopped_and_resumed(world: World) -> None:
    """The same training twice, as `whole` and, stopped in its second epoch and gone on, as `resumed`."""
    config, images = CONFIGS["everything random"]
    dataset = make_synthetic(images, 100)
    loop.fit(replace(config, preset="whole"), dataset, world=world)
    config = replace(config, preset="resumed")
    steps = iter(range(20))
    try:
        loop.fit(config, dataset, should_stop=lambda: next(steps) == 16, world=world)
    except loop.Stopped:
        loop.fit(config, dataset, resume=True, world=world)


if __name__ == "__main__":
    torch.set_num_threads(1)
    with joined() as world:
        torch.save({name: train(name, world) for name in CONFIGS}, f"{world.rank}.pt")
        wishes = world.agree(world.first, not world.first, False, True)
        torch.save(torch.tensor(wishes), f"{world.rank}.agreed.pt")
        stopped_and_resumed(world)
    leave()
