import numpy as np
import pytest
import torch
from PIL import Image

from cifarcore.config import TrainConfig
from cifarcore.training import augment


def numbered_image() -> np.ndarray:
    """Every pixel tells its own place, so that a crop and a flip can be read off the result."""
    rows, columns = np.meshgrid(np.arange(32), np.arange(32), indexing="ij")
    return np.stack([rows + 1, columns + 1, np.full((32, 32), 7)], axis=-1).astype(np.uint8)


def read_off(image: np.ndarray) -> tuple[int, int, bool]:
    """(row shift, column shift, mirrored) of an image made from `numbered_image`."""
    centre = image[12:20, 12:20].astype(int)
    mirrored = bool(centre[0, 1, 1] < centre[0, 0, 1])
    row = centre[0, 0, 0] - 1 - 12
    column = (centre[0, 0, 1] - 1 - 12) if not mirrored else (centre[0, -1, 1] - 1 - 12)
    return row, column, mirrored


def test_crop_pads_with_black_and_keeps_the_rest():
    images = torch.from_numpy(numbered_image()).repeat(64, 1, 1, 1)
    cropped = augment.random_crop(images, 4).numpy()
    for image in cropped:
        row, column, _ = read_off(image)
        expected = np.zeros((40, 40, 3), np.uint8)
        expected[4:36, 4:36] = numbered_image()
        assert np.array_equal(image, expected[4 + row : 36 + row, 4 + column : 36 + column])


def test_batch_and_image_by_image_pipelines_give_the_same_distribution():
    """Chi-squared test of the two against each other over all 81 crops and 2 flips; 4,000 draws each."""
    from scipy.stats import chi2_contingency

    torch.manual_seed(0)
    config = TrainConfig()
    draws = 4000
    images = torch.from_numpy(numbered_image()).repeat(draws, 1, 1, 1)
    batch = augment.random_flip(augment.random_crop(images, config.crop_padding))[0].numpy()
    pipeline = augment.pil_pipeline(config)
    picture = Image.fromarray(numbered_image())
    single = [(pipeline(picture) * 255).round().byte().permute(1, 2, 0).numpy() for _ in range(draws)]
    kinds = {}
    table = np.zeros((2, 162), int)
    for which, result in enumerate((batch, single)):
        for image in result:
            table[which, kinds.setdefault(read_off(image), len(kinds))] += 1
    assert len(kinds) == 162, "every crop and flip turns up, and no other"
    assert chi2_contingency(table).pvalue > 1e-3


@pytest.mark.parametrize("policy", ["randaugment", "trivialaugment"])
def test_groups_of_a_batch_draw_operations_as_single_images_do(policy, monkeypatch):
    """The same operations at the same magnitudes, and as often: chi-squared test of the two against each other."""
    from scipy.stats import chi2_contingency
    from torchvision.transforms import v2

    drawn = []

    def noted(self, image, name, magnitude, **others):
        drawn.append((isinstance(image, Image.Image), name, bool(magnitude < 0), round(abs(float(magnitude)), 3)))
        return image

    for kind in (v2.RandAugment, v2.TrivialAugmentWide):
        monkeypatch.setattr(kind, "_apply_image_or_video_transform", noted)
    torch.manual_seed(3)
    config, draws = TrainConfig(policy=policy, crop_padding=0, flip=False), 6000
    batch = torch.zeros((draws * augment.POLICY_GROUP, 1, 1, 3), dtype=torch.uint8)
    augment.Augment(config, 10).after_flip(batch, torch.zeros(len(batch)))
    pipeline, picture = augment.pil_pipeline(config), Image.new("RGB", (1, 1))
    for _ in range(draws):
        pipeline(picture)
    by_kind = [[draw[1:] for draw in drawn if draw[0] == of_pil] for of_pil in (False, True)]
    assert {(name, size) for name, _, size in by_kind[0]} == {(name, size) for name, _, size in by_kind[1]}
    kinds = sorted({draw[:2] for draws in by_kind for draw in draws})
    table = np.zeros((2, len(kinds)), int)
    for which, of_kind in enumerate(by_kind):
        for draw in of_kind:
            table[which, kinds.index(draw[:2])] += 1
    assert table[0].sum() == table[1].sum() and len({name for name, _ in kinds}) == 14
    assert chi2_contingency(table).pvalue > 1e-3


def test_float_images_are_channels_last_in_0_to_1():
    images = torch.randint(0, 256, (4, 32, 32, 3), dtype=torch.uint8)
    result = augment.to_float(images)
    assert result.shape == (4, 3, 32, 32) and result.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal((result * 255).round().byte().permute(0, 2, 3, 1), images)


@pytest.mark.parametrize("mix", ["cutmix", "mixup", "both"])
def test_mixed_targets_are_the_shares_of_the_images(mix):
    torch.manual_seed(1)
    images = torch.randint(0, 256, (16, 32, 32, 3), dtype=torch.uint8)
    labels = torch.arange(16) % 10
    mixed, targets = augment.Augment(TrainConfig(mix=mix, crop_padding=0, flip=False), 10)(images, labels)
    assert targets.shape == (16, 10) and torch.allclose(targets.sum(1), torch.ones(16))
    plain = augment.to_float(images)
    share = targets[torch.arange(16), labels]
    other = plain.roll(1, 0)  # torchvision mixes each image with its neighbour in the batch
    for index in range(16):
        if mix == "mixup":
            assert torch.allclose(
                mixed[index], share[index] * plain[index] + (1 - share[index]) * other[index], atol=1e-5
            )
        elif mix == "cutmix":
            kept = (mixed[index] == plain[index]).all(0).float().mean()
            assert abs(kept - share[index]) < 0.02


@pytest.mark.parametrize("changes", [{"policy": "randaugment"}, {"policy": "trivialaugment"}, {"erasing": 1.0}])
def test_policies_change_images_and_keep_the_form(changes):
    torch.manual_seed(2)
    images = torch.randint(0, 256, (40, 32, 32, 3), dtype=torch.uint8)
    result, targets = augment.Augment(TrainConfig(crop_padding=0, flip=False, **changes), 10)(
        images, torch.zeros(40, dtype=torch.int64)
    )
    assert result.shape == (40, 3, 32, 32) and 0 <= result.min() and result.max() <= 1
    assert not torch.equal(result, augment.to_float(images)) and torch.equal(
        targets, torch.zeros(40, dtype=torch.int64)
    )
