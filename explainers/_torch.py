"""What the explainers that follow gradients share."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from core.models import Differentiable
from core.nouns import ModelSpec, Query, Target

if TYPE_CHECKING:
    import torch


def refuse_without_gradients(spec: ModelSpec) -> str | None:
    """The sentence for a model whose outputs have no gradients; None where they have."""
    if "gradients" in spec.capabilities:
        return None
    if spec.modality == "text":
        return "It follows gradients, and words have none: use occlusion or permutation_shap."
    whose = "which tree ensembles do not have" if "trees" in spec.capabilities else "which this model does not have"
    return f"It follows gradients, {whose}: use occlusion or permutation_shap."


def score_module(model: Differentiable, target: Target) -> "torch.nn.Module":
    """`core.scores.score` with gradients: a module from float32 rows (n, *shape) to scores (n,).

    Every non-linearity is a module, so that DeepLIFT can put its rule in the place of its gradient.
    """
    from torch import nn

    spec = model.spec
    sign = -1.0 if spec.output == "margin" and target.output == 0 else 1.0
    column = target.output if spec.columns > 1 else 0
    link = nn.Identity()
    if target.scale == "probability" and spec.output != "probability":
        link = nn.Sigmoid() if spec.output == "margin" else nn.Softmax(dim=1)

    class Score(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = model.module()
            self.link = link

        def forward(self, rows: "torch.Tensor") -> "torch.Tensor":
            return self.link(sign * self.network(rows))[:, column]

    return Score().eval()


def tensor(rows: np.ndarray, device: str) -> "torch.Tensor":
    """`rows` as the network reads them, float32 on its device, ready to be followed to."""
    import torch

    return torch.tensor(rows, dtype=torch.float32, device=device, requires_grad=True)


def mean_over_reference(
    attribute: Callable[["torch.Tensor", "torch.Tensor"], "torch.Tensor"],
    query: Query,
    device: str,
    batch: int,
    progress: Callable[[float], None],
) -> np.ndarray:
    """The mean attribution (n, *shape) of each row over the reference, every reference row as baseline once.

    `attribute` takes `batch` rows and as many baselines, (batch, *shape) float32 each, and gives
    attributions alike; they are summed as float64.
    """
    size = len(query.reference)
    values = np.zeros(query.rows.shape)
    total = len(query) * size
    for start in range(0, total, batch):
        stop = min(start + batch, total)
        row, baseline = np.divmod(np.arange(start, stop), size)
        found = attribute(tensor(query.rows[row], device), tensor(query.reference.rows[baseline], device))
        np.add.at(values, row, found.detach().cpu().numpy().astype(np.float64))
        progress(stop / total)
    return values / size
