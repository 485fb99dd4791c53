"""SGD whose momentum is made orthogonal: each step turns all directions of a weight matrix by the same amount.

K. Jordan et al., "Muon: An optimizer for hidden layers in neural networks", 2024.
"""

import torch
from torch import Tensor

#: of the odd polynomial a x + b x^3 + c x^5 that brings singular values from above 0.003 to between 0.7 and 1.2
COEFFICIENTS = (3.4445, -4.7750, 2.0315)
TIMES = 5


class Muon(torch.optim.SGD):
    """torch.optim.SGD, and Muon in the groups that have a momentum `muon`; their own `momentum` has to be 0.

    A kernel (O, I, H, W) is taken as a matrix of O rows. Weight decay is that of SGD, on top of the orthogonal step.
    """

    def __init__(self, groups: list[dict], kind: torch.dtype | None, **settings):
        """`kind` is what the products are computed in, by default the weights' own type."""
        super().__init__(groups, **settings)
        self.kind = kind
        self._step_supports_amp_scaling = False  # gradients have to come without the scaler's factor

    @torch.no_grad()
    def step(self, closure=None):
        """Take a step; every parameter of Muon's groups has a gradient, which is replaced by the orthogonal step."""
        for group in self.param_groups:
            for parameter in group["params"] if "muon" in group else ():
                momentum = self.state[parameter].setdefault("momentum_buffer", torch.zeros_like(parameter))
                momentum.mul_(group["muon"]).add_(parameter.grad)
                ahead = torch.add(parameter.grad, momentum, alpha=group["muon"])  # Nesterov's
                parameter.grad.copy_(orthogonal(ahead.flatten(1), self.kind).view(parameter.shape))
        return super().step(closure)


def orthogonal(matrix: Tensor, kind: torch.dtype | None = None) -> Tensor:
    """`matrix` (M, N) with all singular values near 1, and near the square root of M / N where M is larger.

    By Newton and Schulz's iteration, which needs products alone; directions that are almost absent stay so.
    """
    rows, columns = matrix.shape
    x = (matrix if rows <= columns else matrix.T).to(kind or matrix.dtype)
    x = x / (x.norm() + 1e-7)
    a, b, c = COEFFICIENTS
    for _ in range(TIMES):
        gram = x @ x.T
        x = torch.addmm(x, torch.addmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    x = x.to(matrix.dtype)
    return x if rows <= columns else x.T * (rows / columns) ** 0.5
