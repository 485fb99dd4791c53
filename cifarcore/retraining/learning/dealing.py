"""Which images a step of a retraining learns from: shuffled decks of the focus, of its rivals, and of the rest."""

import numpy as np
import torch
from torch import Tensor

from cifarcore.config import RetrainConfig
from cifarcore.data.known_images import known_images
from cifarcore.presets import KEPT, MOST_KEPT, RIVAL_SHARE, RIVALS
from cifarcore.training.batches import step_seed


class Deck:
    """Rows of the training images, dealt in an order shuffled anew each time that all were dealt."""

    def __init__(self, rows: np.ndarray, seed: int):
        self.rows, self.seed = torch.from_numpy(rows), seed
        self.round, self.order = -1, self.rows

    def deal(self, start: int, count: int) -> Tensor:
        """The `count` rows from place `start` on of the endless sequence; the same for every process."""
        dealt = []
        while count:
            number, place = divmod(start, len(self.rows))
            if number != self.round:
                generator = torch.Generator().manual_seed(step_seed(self.seed, number))
                self.round, self.order = number, self.rows[torch.randperm(len(self.rows), generator=generator)]
            part = self.order[place : place + count]
            dealt.append(part)
            start, count = start + len(part), count - len(part)
        return torch.cat(dealt) if dealt else self.rows[:0]


def rows_to_learn(ids: np.ndarray | None, n: int, val_rows: np.ndarray, config: RetrainConfig) -> np.ndarray:
    """Rows of the `n` training images that may be learned from, sorted: none of `val_rows`, nor, where `config` leaves
    them out, one that by its id, of `ids` (n,), is a duplicate of a test image.
    """
    may = np.ones(n, bool)
    if config.leave_out_duplicates:
        may = ~np.isin(ids, known_images().twins)
    may[val_rows] = False
    return np.flatnonzero(may)


def batch_shares(focus_share: float, batch: int, rivals: bool = False) -> tuple[int, int, int]:
    """Images of the focus, of its rivals and of the rest in a batch; where there are `rivals`, they get RIVAL_SHARE of
    what the focus leaves.
    """
    focus = min(batch - 1, max(1, round(focus_share * batch))) if focus_share else 0
    theirs = round(RIVAL_SHARE * (batch - focus)) if rivals else 0
    return focus, theirs, batch - focus - theirs


def choose_rivals(labels: np.ndarray, predicted: np.ndarray, n_classes: int, focus: tuple[int, ...]) -> tuple[int, ...]:
    """The RIVALS classes, or half of those not in focus, most often misclassified as one of the focus or the other way
    round, most often first; `labels` and `predicted` (V,) are class indices of the validation split.
    """
    confused = np.zeros((n_classes, n_classes), int)
    np.add.at(confused, (labels.astype(int), predicted), 1)
    often = (confused + confused.T)[list(focus)].sum(axis=0)
    often[list(focus)] = 0
    order = np.argsort(-often, kind="stable")[: min(RIVALS, (n_classes - len(focus)) // 2)]
    return tuple(int(index) for index in order if often[index])


def rows_to_keep(
    labels: np.ndarray, train_rows: np.ndarray, focus: tuple[int, ...], rivals: tuple[int, ...]
) -> np.ndarray:
    """Rows of the training images of which the last block's inputs are kept, sorted: of the focus and of its rivals
    MOST_KEPT each, of the rest what makes KEPT in all, drawn once where there are more. `labels` are of all images.
    """
    generator = np.random.default_rng(0)
    in_focus, are_rivals = (np.isin(labels[train_rows], classes) for classes in (focus, rivals))
    kept: list[np.ndarray] = []
    for group, most in ((in_focus, MOST_KEPT), (are_rivals, MOST_KEPT), (~in_focus & ~are_rivals, KEPT)):
        rows = train_rows[group]
        kept.append(generator.permutation(rows)[: min(most, KEPT - sum(map(len, kept)))])
    return np.sort(np.concatenate(kept))
