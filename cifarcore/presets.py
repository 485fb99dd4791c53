"""Settings found by trials on the validation split: the presets of training, and the recipes of retraining."""

from dataclasses import dataclass, replace

from cifarcore.config import MODELS, TrainConfig
from cifarcore.errors import CifarcoreError

_QUICK = dict(validation_size=5000, batch_size=64, schedule="onecycle", nesterov=True, label_smoothing=0.1)
_BEST = dict(
    validation_size=5000,
    batch_size=256,
    schedule="cosine",
    warmup=0.1,
    nesterov=True,
    label_smoothing=0.1,
    mix="both",
    policy="trivialaugment",
    ema_decay=0.999,
)

#: preset -> model -> what differs from TrainConfig's defaults
PRESETS: dict[str, dict[str, dict]] = {
    "report": {"cnn": {}, "resnet18": {}},
    "quick": {
        "cnn": _QUICK | dict(epochs=40, learning_rate=0.05, dropout=0.1),
        "resnet18": _QUICK
        | dict(
            epochs=9,
            learning_rate=0.02,
            layer_decay=0.5,
            first_epochs=3,
            first_size=64,
            image_size=128,
            normalize="imagenet",
        ),
    },
    "best": {
        "cnn": _BEST | dict(epochs=200, learning_rate=0.1, widths=(256, 512, 1024), hidden=512, dropout=0.3),
        "resnet18": _BEST | dict(epochs=40, learning_rate=0.02, image_size=160, normalize="imagenet"),
    },
}


def preset_config(model: str, preset: str, **changes) -> TrainConfig:
    """The named preset for `model` with `changes` on top. Raises CifarcoreError for an unknown name or value."""
    if preset not in PRESETS:
        raise CifarcoreError(f"preset is {preset!r}; choose one of {', '.join(PRESETS)}")
    if model not in MODELS:
        raise CifarcoreError(f"model is {model!r}; choose one of {', '.join(MODELS)}")
    settings = PRESETS[preset][model] | changes
    if settings.get("dataset") == "synthetic" and "validation_size" not in changes:
        settings["validation_size"] = settings.get("validation_size", 0) // 10  # it has a tenth of CIFAR-100's images
    return replace(TrainConfig(model=model, preset=preset), **settings)


@dataclass(frozen=True)
class Recipe:
    """What a retraining does besides its settings, found by trials on the validation split."""

    learning_rate: float
    adjustment: float  #: 0: a batch's share of the focus makes the model favour it; 1: that is taken out again


#: trained layers -> recipe
RECIPES: dict[str, Recipe] = {
    "all": Recipe(0.003, 0.85),
    "last_two_blocks": Recipe(0.003, 0.85),  # had no trials of its own: what all layers and the last block agree in
    "last_block": Recipe(0.003, 0.85),
    "head": Recipe(0.05, 0.85),
}
#: classes that count as rivals of a retraining's focus, and the share of a batch that they get of what it leaves
RIVALS, RIVAL_SHARE = 12, 0.43
#: of what a parent's last block sees, so much is kept: augmented views, training images of the focus and of its rivals
#: each at most, and training images in all
VIEWS, MOST_KEPT, KEPT = 2, 5_400, 14_000
#: how often each of these is seen on average at most: more of it gave nothing on the validation split
MOST_PASSES = 10
#: shares of the way from the parent to what was learned, of which the first that holds is kept
WEIGHTS = (0.5, 0.25)
#: by which the accuracy of all classes may fall on the validation split then: half its standard error on 5,000 images
TOLERANCE = 0.002
#: of a budget in seconds that the learning has, however long the scoring takes
LEAST_SHARE = 0.25
