"""Normalisation, with the statistics that the file holds or those of the input."""

import torch
from torch.nn import functional

from models.onnx.network.registry import Node, Step, operator, refuse


@operator("BatchNormalization")
def batch_normalisation(node: Node) -> Step:
    if node.get("training_mode") or any(node.has_output(position) for position in (1, 2, 3, 4)):
        raise refuse(node, "in training mode")
    if not node.get("spatial", 1):
        raise refuse(node, "with statistics for each position")

    def run(
        x: torch.Tensor, scale: torch.Tensor, bias: torch.Tensor, mean: torch.Tensor, variance: torch.Tensor
    ) -> torch.Tensor:
        kinds = [each.to(x.dtype) for each in (mean, variance, scale, bias)]
        return functional.batch_norm(x, *kinds, training=False, eps=node["epsilon"])

    return run


@operator("InstanceNormalization")
def instance_normalisation(node: Node) -> Step:
    """Each channel is a group of its own."""
    epsilon = node["epsilon"]
    return lambda x, scale, bias: torch.group_norm(x, x.shape[1], scale, bias, epsilon)


@operator("LayerNormalization")
def layer_normalisation(node: Node) -> Step:
    """The input normalised over the axes from `axis` on, and if wanted its mean and inverse deviation."""
    axis, epsilon = node["axis"], node["epsilon"]

    def run(x: torch.Tensor, scale: torch.Tensor, bias: torch.Tensor | None = None) -> tuple[torch.Tensor, ...]:
        wide = x.to(torch.promote_types(x.dtype, torch.float32))
        axes = list(range(axis % x.dim(), x.dim()))
        mean = wide.mean(axes, keepdim=True)
        inverse = torch.rsqrt(((wide - mean) ** 2).mean(axes, keepdim=True) + epsilon)
        y = ((wide - mean) * inverse).to(x.dtype) * scale
        return (y if bias is None else y + bias), mean, inverse

    return run


@operator("LpNormalization")
def power_normalisation(node: Node) -> Step:
    """Divided by the norm along an axis; zeros stay zeros."""
    axis, power = node["axis"], node["p"]

    def run(x: torch.Tensor) -> torch.Tensor:
        norm = torch.linalg.vector_norm(x, power, axis, keepdim=True)
        return x / torch.where(norm == 0, 1, norm)

    return run


@operator("LRN")
def local_response_normalisation(node: Node) -> Step:
    """Each channel divided by a power of the mean square of those around it."""
    size = node["size"]
    before, after = (size - 1) // 2, size // 2

    def run(x: torch.Tensor) -> torch.Tensor:
        squares = functional.pad(x.movedim(1, -1) ** 2, (before, after))
        sums = squares.unfold(-1, size, 1).sum(-1).movedim(-1, 1)
        return x / (node["bias"] + node["alpha"] / size * sums) ** node["beta"]

    return run


@operator("Dropout")
def dropout(node: Node) -> Step:
    """Nothing, as always outside training."""
    if node.has_input(2):
        raise refuse(node, "with a training mode")
    return lambda x, ratio=None: (x, torch.ones_like(x, dtype=torch.bool))
