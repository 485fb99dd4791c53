"""The accuracy study's plan: for each model a base of about five minutes on two CPU cores, and one change at a time.

Knows settings alone, no torch: `study` trains the plan, `study_table` reads what came out.
"""

from dataclasses import dataclass, field, replace

from cifarcore.config import MODELS, TrainConfig
from cifarcore.errors import CifarcoreError
from cifarcore.presets import PRESETS, preset_config

BASE = "base"
MIRROR = "mirror"
VALIDATION_SIZE = 5000
#: model -> what its base has in place of the `quick` preset, which has taken over since what the study found
BASES: dict[str, dict] = {
    "cnn": {"dropout": 0.2},
    "resnet18": {"image_size": 64, "first_size": 0, "first_epochs": 0, "layer_decay": 1.0},
}
#: whose outputs the CNN learns from in the distilled changes; trained on the same 45,000 images
TEACHER = "checkpoints/resnet18-longer-0.pt"


@dataclass(frozen=True)
class Change:
    """One entry: the base of `model`, from its `quick` preset, for `epochs`, with `changes` (fields of TrainConfig) on
    top.
    """

    model: str
    name: str
    epochs: int
    what: str
    group: str
    changes: dict = field(default_factory=dict)
    arithmetic: float = 1.0  #: multiplications of the whole training, of the base's

    def config(self, seed: int = 0, teacher: str = TEACHER) -> TrainConfig:
        """The training of this entry, `teacher` in place of the plan's. Raises CifarcoreError for a value out of
        range.
        """
        settings = dict(validation_size=VALIDATION_SIZE, epochs=self.epochs, seed=seed) | BASES[self.model]
        settings |= self.changes
        if "teacher" in settings:
            settings["teacher"] = teacher
        return replace(preset_config(self.model, "quick", **settings), preset=f"study-{self.name}")

    def meta(self) -> dict:
        """What the run file keeps of the plan, so that the table is made from run files alone."""
        return {"change": self.name, "what": self.what, "group": self.group, "arithmetic": self.arithmetic}


def mirrored(base: Change) -> Change:
    """The base's own network scored on image and mirror; it is not trained, but written beside the base."""
    return replace(base, name=MIRROR, what="mean of the logits of image and mirror", group="test time")


def chosen(model: str = "", names: tuple[str, ...] = ()) -> list[Change]:
    """The entries of `model` (both: ""), only those of `names` where any are given, in the plan's order.

    Raises CifarcoreError for a model or a name that is not in the plan.
    """
    if model and model not in MODELS:
        raise CifarcoreError(f"model is {model!r}; choose one of {', '.join(MODELS)}")
    plan = [change for change in PLAN if model in ("", change.model)]
    for name in names:
        if name not in {change.name for change in plan}:
            there = ", ".join(dict.fromkeys(change.name for change in plan))
            raise CifarcoreError(f"no change is named {name!r}; choose among {there}")
    return [change for change in plan if not names or change.name in names]


def _of_both(model: str, epochs: int, double_epochs: int) -> tuple[Change, ...]:
    """The changes that cost nothing and mean the same for both models, and the control that costs twice as much."""
    rate = PRESETS["quick"][model]["learning_rate"]

    def entry(name: str, group: str, what: str, **changes) -> Change:
        return Change(model, name, epochs, what, group, changes)

    return (
        entry("cosine", "schedule", "cosine with warm-up instead of OneCycle", schedule="cosine"),
        entry("lr-half", "schedule", "half the learning rate", learning_rate=rate / 2),
        entry("lr-double", "schedule", "twice the learning rate", learning_rate=rate * 2),
        entry("batch-32", "schedule", "batches of 32, learning rate halved", batch_size=32, learning_rate=rate / 2),
        entry("batch-128", "schedule", "batches of 128, learning rate doubled", batch_size=128, learning_rate=rate * 2),
        entry("no-smoothing", "regularisation", "without label smoothing (base: 0.1)", label_smoothing=0.0),
        entry("ema", "regularisation", "averaged weights, decay 0.998 per step", ema_decay=0.998),
        entry("cutmix", "augmentation", "CutMix on every batch", mix="cutmix"),
        entry("mixup", "augmentation", "MixUp on every batch", mix="mixup"),
        entry("randaugment", "augmentation", "RandAugment", policy="randaugment"),
        entry("trivialaugment", "augmentation", "TrivialAugment", policy="trivialaugment"),
        entry("erasing", "augmentation", "random erasing of every fourth image", erasing=0.25),
        Change(model, "longer", double_epochs, "the base for twice as long", "schedule", {}, 2.0),
    )


#: `arithmetic` is counted again by a test; where epochs are whole, equal arithmetic is not always to be had
PLAN: tuple[Change, ...] = (
    Change("resnet18", BASE, 2, "quick preset at 64 pixels with one learning rate, cut short", "base"),
    Change("resnet18", "size-32", 8, "images as they are, 32 pixels (base: upsampled to 64)", "input size",
           {"image_size": 32}),
    Change("resnet18", "size-96", 1, "upsampled to 96 pixels", "input size", {"image_size": 96}, 1.12),
    Change("resnet18", "size-128", 1, "upsampled to 128 pixels", "input size", {"image_size": 128}, 2.0),
    Change("resnet18", "growing", 5, "four epochs at 32 pixels, then one at 64", "input size",
           {"first_size": 32, "first_epochs": 4}),
    Change("resnet18", "stem-3x3", 1, "32 pixels and a 3x3 stem that keeps the centre of the pretrained kernel",
           "architecture", {"image_size": 32, "stem": "3x3"}, 1.87),
    Change("resnet18", "random-start", 2, "random weights instead of ImageNet's", "start", {"init": "random"}),
    Change("resnet18", "head-only", 6, "only the last layer learns", "start", {"train_layers": "head"}),
    Change("resnet18", "last-block", 4, "only the last block and the last layer learn", "start",
           {"train_layers": "last_block"}),
    Change("resnet18", "last-two-blocks", 3, "only the last two blocks and the last layer learn", "start",
           {"train_layers": "last_two_blocks"}, 0.95),
    Change("resnet18", "layer-rates", 2, "learning rate times 0.7 for each stage further from the head", "start",
           {"layer_decay": 0.7}),
    Change("resnet18", "layer-rates-half", 2, "learning rate times 0.5 for each stage further from the head", "start",
           {"layer_decay": 0.5}),
    Change("resnet18", "own-normalisation", 2, "normalised by CIFAR-100's channel means (base: ImageNet's)",
           "start", {"normalize": "cifar100"}),
    Change("resnet18", "step", 2, "StepLR, a tenth after each epoch, instead of OneCycle", "schedule",
           {"schedule": "step", "step_size": 1}),
    *_of_both("resnet18", 2, 4),
    Change("cnn", BASE, 8, "quick preset with dropout 0.2, cut short", "base"),
    Change("cnn", "distilled", 8, "learns from the ResNet-18's outputs for image and mirror, whose cost is counted",
           "teacher", {"teacher": TEACHER, "teacher_once": True}, 2.18),
    Change("cnn", "wider", 4, "96, 192 and 384 channels (base: 64, 128 and 256)", "architecture",
           {"widths": (96, 192, 384)}, 1.09),
    Change("cnn", "narrower", 14, "48, 96 and 192 channels", "architecture", {"widths": (48, 96, 192)}),
    Change("cnn", "no-dropout", 8, "without dropout (base: 0.2)", "regularisation", {"dropout": 0.0}),
    Change("cnn", "dropout-half", 8, "dropout 0.5, as in the report", "regularisation", {"dropout": 0.5}),
    Change("cnn", "step", 8, "StepLR, a tenth after every three epochs, instead of OneCycle", "schedule",
           {"schedule": "step", "step_size": 3}),
    Change("cnn", "batch-256", 8, "batches of 256, learning rate fourfold", "schedule",
           {"batch_size": 256, "learning_rate": 0.2}),
    Change("cnn", "muon", 4, "Muon, batches of 256, in half the epochs", "optimizer",
           {"muon": 0.03, "batch_size": 256, "learning_rate": 0.2}, 0.69),
    *_of_both("cnn", 8, 16),
)  # fmt: skip
