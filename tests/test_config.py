import math
from dataclasses import fields

import pytest

from cifarcore.config import MODELS, ImportConfig, ProjectConfig, RetrainConfig, TrainConfig
from cifarcore.errors import CifarcoreError
from cifarcore.options import allowed
from cifarcore.presets import PRESETS, preset_config


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("model", MODELS)
def test_presets_survive_the_way_through_meta(preset, model):
    config = preset_config(model, preset, seed=2)
    assert TrainConfig.from_dict(config.to_dict()) == config
    assert config.name == f"{model}-{preset}-2"


@pytest.mark.parametrize("preset", PRESETS)
def test_of_the_drawn_set_a_tenth_is_held_out_as_of_cifar(preset):
    real, drawn = preset_config("cnn", preset), preset_config("cnn", preset, dataset="synthetic")
    assert real.validation_size / 50_000 == drawn.validation_size / 5_000
    assert preset_config("cnn", preset, dataset="synthetic", validation_size=7).validation_size == 7


def test_report_is_the_protocol():
    config = preset_config("resnet18", "report")
    assert (config.epochs, config.learning_rate, config.momentum, config.weight_decay) == (120, 0.1, 0.9, 5e-4)
    assert (config.schedule, config.step_size, config.gamma, config.crop_padding) == ("step", 20, 0.1, 4)
    assert config.validation_size == 0 and config.label_smoothing == 0 and config.mix == "none"


@pytest.mark.parametrize(
    "changes",
    [
        {"schedule": "linear"},
        {"epochs": 0},
        {"dropout": 2.0},
        {"learning_rate": 0.0},
        {"widths": (1, 2)},
        {"widths": (0, 4, 4)},
        {"widths": ("x",) * 1000},
        {"widths": ("x", "y", "z")},
        {"batch_size": -5},
        {"threads": -1},
        {"crop_padding": -1},
        {"momentum": -1.0},
        {"weight_decay": float("nan")},
        {"learning_rate": float("nan")},
        {"temperature": 0.0},
        {"device": "gpu"},
        {"image_size": 4},
        {"seed": -1},
        {"dropout": 1.0},
        {"preset": "../x"},
        {"preset": ""},
    ],
)
def test_wrong_values_are_one_line_that_names_the_field(changes):
    with pytest.raises(CifarcoreError, match=next(iter(changes))) as caught:
        TrainConfig(**changes)
    assert len(str(caught.value)) < 300
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "changes", [{"perplexity": -3.0}, {"umap_neighbors": 0}, {"umap_min_dist": 9.0}, {"neighbors": 1001}, {"seed": -1}]
)
def test_maps_that_cannot_be_made_are_refused_before_any_is_begun(changes):
    with pytest.raises(CifarcoreError, match=next(iter(changes))):
        ProjectConfig(**changes)


def test_unknown_names_and_fields_are_refused():
    for call in (
        lambda: preset_config("vgg", "quick"),
        lambda: preset_config("cnn", "slow"),
        lambda: TrainConfig.from_dict({"colour": 1}),
    ):
        with pytest.raises(CifarcoreError):
            call()


CONFIGS = (TrainConfig, RetrainConfig, ProjectConfig, ImportConfig)
NUMBERS = [
    (config, item)
    for config in CONFIGS
    for item in fields(config)
    if isinstance(item.default, int | float) and not isinstance(item.default, bool)
]


@pytest.mark.parametrize("item", [item for _, item in NUMBERS], ids=lambda item: item.name)
def test_every_number_has_bounds_that_help_shows(item):
    assert any(character.isdigit() for character in allowed(item))


@pytest.mark.parametrize(
    ("config", "item"), NUMBERS, ids=lambda case: getattr(case, "name", getattr(case, "__name__", ""))
)
def test_bounds_are_held_to_the_last_one(config, item):
    low, high, above, below = (item.metadata[name] for name in ("low", "high", "above", "below"))
    refused = [math.nan, -math.inf, math.inf]
    refused += [low - 1] if low is not None else [above]
    refused += [high + 1] if high is not None else [below] if below is not None else []
    for value in refused:
        with pytest.raises(CifarcoreError, match=f"^{item.name} is ") as caught:
            config(**{item.name: value})
        assert "\n" not in str(caught.value)
    alone = {"image_size", "first_epochs", "seconds"}  # what else they need is checked by itself
    for value in (low, high):
        if value is not None and item.name not in alone:
            config(**{item.name: type(item.default)(value)})


def test_seeds_have_the_same_bounds_everywhere():
    for config in CONFIGS:
        config(seed=0), config(seed=2**32 - 1)
        with pytest.raises(CifarcoreError, match="seed is 4294967296; give (0|-1) to 4294967295"):
            config(seed=2**32)
    assert RetrainConfig(seed=-1).seed == -1


@pytest.mark.parametrize(
    ("config", "changes"),
    [
        (TrainConfig, {"epochs": "3"}),
        (TrainConfig, {"epochs": 1.5}),
        (TrainConfig, {"epochs": True}),
        (TrainConfig, {"flip": 1}),
        (TrainConfig, {"model": None}),
        (TrainConfig, {"widths": 3}),
        (RetrainConfig, {"seconds": "60"}),
        (ProjectConfig, {"perplexity": None}),
        (ImportConfig, {"order": 1}),
    ],
)
def test_another_type_is_refused(config, changes):
    (name,) = changes
    with pytest.raises(CifarcoreError, match=f"^{name} is .*; give a value like "):
        config(**changes)
    assert TrainConfig(momentum=1).momentum == 1, "a whole number is a number"


@pytest.mark.parametrize(
    ("config", "name", "shown"),
    [
        (TrainConfig, "model", "cnn or resnet18"),
        (TrainConfig, "schedule", "step, onecycle or cosine"),
        (TrainConfig, "epochs", "at least 1"),
        (TrainConfig, "dropout", "0 to 0.99"),
        (TrainConfig, "temperature", "above 0"),
        (RetrainConfig, "focus_share", "between 0 and 1"),
        (ImportConfig, "order", "torchvision, data, imagefolder, natural, paths or rows"),
        (ImportConfig, "labels", ""),
    ],
)
def test_choices_and_bounds_in_words(config, name, shown):
    assert allowed(config.__dataclass_fields__[name]) == shown


def test_a_retraining_lasts_for_some_time_or_epochs():
    assert RetrainConfig(seconds=0.0, epochs=1.0).epochs == 1
    for seconds in (0.0, 0.5):
        with pytest.raises(CifarcoreError, match="give 1 to 86400 seconds"):
            RetrainConfig(seconds=seconds)
    RetrainConfig(seconds=1.0)
