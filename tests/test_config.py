import pytest

from cifarcore import CifarcoreError
from cifarcore.config import MODELS, PRESETS, ProjectConfig, TrainConfig, preset_config


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
