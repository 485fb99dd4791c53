"""Which images a step of a retraining learns from: shuffled decks of the focus and of the other classes."""

import numpy as np
import torch
from torch import Tensor

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


def batch_shares(focus_share: float, batch: int) -> tuple[int, int]:
    """Images of the focus and of the other classes in a batch."""
    focus = min(batch - 1, max(1, round(focus_share * batch))) if focus_share else 0
    return focus, batch - focus
