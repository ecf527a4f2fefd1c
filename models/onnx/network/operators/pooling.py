"""Pooling: over windows and over all of a picture."""

import math
from collections.abc import Callable, Sequence

import torch
from torch import nn
from torch.nn import functional

from models.onnx.network.operators.convolutions import check, pad, padding, per_axis
from models.onnx.network.registry import Node, Step, operator, refuse

_MAXIMUM = {1: nn.MaxPool1d, 2: nn.MaxPool2d, 3: nn.MaxPool3d}
_AVERAGE = {1: functional.avg_pool1d, 2: functional.avg_pool2d, 3: functional.avg_pool3d}

Pads = list[tuple[int, int]]


def window_padding(node: Node, sizes: Sequence[int], kernel: Sequence[int]) -> tuple[Pads, Pads]:
    """The padding that a node asks for, and what more after each axis lets the last window end."""
    pads = padding(node, sizes, kernel)
    more = []
    strides, dilations = per_axis(node, "strides", len(kernel)), per_axis(node, "dilations", len(kernel))
    for size, (before, after), width, stride, dilation in zip(sizes, pads, kernel, strides, dilations, strict=True):
        span = dilation * (width - 1) + 1
        last = 0
        if node.get("ceil_mode"):
            last = -(-(size + before + after - span) // stride) * stride
            if last >= size + before:
                last -= stride  # a window that would begin in the padding after the axis is left out
        more.append((0, max(0, last + span - size - before - after)))
    return pads, more


class MaximumPool(nn.Module):
    """torch's own pooling, with its own padding where it has such, else of an input padded with minus infinity."""

    def __init__(self, node: Node) -> None:
        super().__init__()
        kernel = node["kernel_shape"]
        count = len(kernel)
        pads = node.get("pads") or [0] * (2 * count)
        self.node = node
        self.kernel = kernel
        self.pads_itself = node["auto_pad"] == "NOTSET" and pads[:count] == pads[count:]
        self.pads_itself &= all(2 * before <= width for before, width in zip(pads, kernel, strict=False))
        self.pool = _MAXIMUM[count](
            tuple(kernel),
            tuple(per_axis(node, "strides", count)),
            tuple(pads[:count]) if self.pads_itself else 0,
            tuple(per_axis(node, "dilations", count)),
            ceil_mode=self.pads_itself and bool(node.get("ceil_mode")),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        numbers = x if x.is_floating_point() else x.float()
        if not self.pads_itself:
            pads, more = window_padding(self.node, x.shape[2:], self.kernel)
            numbers = pad(pad(numbers, pads, -math.inf), more, -math.inf)
        return self.pool(numbers).to(x.dtype)


@operator("MaxPool")
def maximum_pool(node: Node) -> Step:
    if node.has_output(1):
        raise refuse(node, "with its indices")
    _check_windows(node)
    return MaximumPool(node)


@operator("AveragePool")
def average_pool(node: Node) -> Step:
    """Sums over windows, divided by how many numbers of the input (or its padding) each window holds."""
    _check_windows(node)
    if any(each != 1 for each in node.get("dilations") or ()):
        raise refuse(node, "with dilations")
    sums = _sums(node)

    def run(x: torch.Tensor) -> torch.Tensor:
        pads, more = window_padding(node, x.shape[2:], node["kernel_shape"])
        ones = torch.ones((1, 1, *x.shape[2:]), dtype=x.dtype, device=x.device)
        counted = pad(ones, pads, float(bool(node.get("count_include_pad"))))
        return sums(pad(pad(x, pads), more)) / sums(pad(counted, more))

    return run


@operator("LpPool")
def power_pool(node: Node) -> Step:
    _check_windows(node)
    if any(each != 1 for each in node.get("dilations") or ()):
        raise refuse(node, "with dilations")
    sums = _sums(node)
    power = node["p"]

    def run(x: torch.Tensor) -> torch.Tensor:
        pads, more = window_padding(node, x.shape[2:], node["kernel_shape"])
        return sums(pad(pad(x, pads), more).abs() ** power) ** (1 / power)

    return run


@operator("GlobalAveragePool")
def global_average_pool(node: Node) -> Step:
    return lambda x: x.mean(_spatial(x), keepdim=True)


@operator("GlobalMaxPool")
def global_maximum_pool(node: Node) -> Step:
    return lambda x: x.amax(_spatial(x), keepdim=True)


@operator("GlobalLpPool")
def global_power_pool(node: Node) -> Step:
    power = node["p"]
    return lambda x: torch.linalg.vector_norm(x, power, _spatial(x), keepdim=True)


def _spatial(x: torch.Tensor) -> list[int]:
    return list(range(2, x.dim()))


def _sums(node: Node) -> Callable[[torch.Tensor], torch.Tensor]:
    """Sums over the windows of a node, of an input that is already padded."""
    kernel = node["kernel_shape"]
    strides = per_axis(node, "strides", len(kernel))
    return lambda x: _AVERAGE[len(kernel)](x, kernel, strides) * math.prod(kernel)


def _check_windows(node: Node) -> None:
    check(node)
    if node.get("storage_order"):
        raise refuse(node, "in column-major order")
