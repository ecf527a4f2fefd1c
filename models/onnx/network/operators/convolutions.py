"""Convolutions in one, two and three dimensions."""

from collections.abc import Sequence

import torch
from torch.nn import functional

from models.onnx.network.registry import Node, Step, bounded, operator, refuse

_CONVOLUTIONS = {1: functional.conv1d, 2: functional.conv2d, 3: functional.conv3d}
_TRANSPOSED = {1: functional.conv_transpose1d, 2: functional.conv_transpose2d, 3: functional.conv_transpose3d}


def padding(node: Node, sizes: Sequence[int], kernel: Sequence[int]) -> list[tuple[int, int]]:
    """Padding before and after each spatial axis of `sizes` for windows of `kernel`, as the node asks for it."""
    count = len(sizes)
    auto = node["auto_pad"]
    if auto == "NOTSET":
        pads = node.get("pads") or [0] * (2 * count)
        return list(zip(pads[:count], pads[count:], strict=True))
    if auto == "VALID":
        return [(0, 0)] * count
    strides, dilations = per_axis(node, "strides", count), per_axis(node, "dilations", count)
    totals = [
        max(0, (-(-size // stride) - 1) * stride + dilation * (width - 1) + 1 - size)
        for size, width, stride, dilation in zip(sizes, kernel, strides, dilations, strict=True)
    ]
    return [halved(total, auto) for total in totals]


def halved(total: int, auto: str) -> tuple[int, int]:
    """`total` in two halves; SAME_UPPER puts the odd one after, SAME_LOWER before."""
    small, large = total // 2, total - total // 2
    return (small, large) if auto == "SAME_UPPER" else (large, small)


def per_axis(node: Node, attribute: str, count: int) -> list[int]:
    """An attribute that has a whole number for each spatial axis, one where it is left out."""
    return list(node.get(attribute) or [1] * count)


def pad(x: torch.Tensor, pads: Sequence[tuple[int, int]], value: float = 0.0) -> torch.Tensor:
    """`x` (n, channels, *spatial) padded before and after each spatial axis; negative numbers cut off."""
    if not any(any(pair) for pair in pads):
        return x
    check_size(x, pads)
    return functional.pad(x, [each for pair in reversed(pads) for each in pair], value=value)


def check_size(x: torch.Tensor, pads: Sequence[tuple[int, int]]) -> None:
    """Refuses padding that makes of `x` too large a tensor."""
    bounded([*x.shape[:2], *(size + sum(pair) for size, pair in zip(x.shape[2:], pads, strict=True))])


def check(node: Node) -> None:
    """Refuses padding of an unknown kind, and more than three spatial axes where the node says how many it has."""
    node.one_of("auto_pad", ("NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER"))
    if len(node.get("kernel_shape") or ()) > 3:
        raise refuse(node, "in more than three dimensions")


@operator("Conv")
def convolution(node: Node) -> Step:
    def run(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None = None) -> torch.Tensor:
        kernel = weight.shape[2:]
        count = len(kernel)
        pads = padding(node, x.shape[2:], kernel)
        check_size(x, pads)
        even = all(before == after for before, after in pads)
        return _CONVOLUTIONS[count](
            x if even else pad(x, pads),
            weight,
            bias,
            per_axis(node, "strides", count),
            [before for before, _ in pads] if even else 0,
            per_axis(node, "dilations", count),
            node["group"],
        )

    check(node)
    return run


@operator("ConvTranspose")
def transposed_convolution(node: Node) -> Step:
    """The whole result, cut where the padding is; output padding is more of it, which holds the bias only."""

    def run(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None = None) -> torch.Tensor:
        kernel = weight.shape[2:]
        count = len(kernel)
        strides, dilations = per_axis(node, "strides", count), per_axis(node, "dilations", count)
        sizes = zip(x.shape[2:], kernel, strides, dilations, strict=True)
        spatial = [(size - 1) * stride + dilation * (width - 1) + 1 for size, width, stride, dilation in sizes]
        bounded([len(x), weight.shape[1] * node["group"], *spatial])
        whole = _TRANSPOSED[count](x, weight, None, strides, 0, 0, node["group"], dilations)
        y = pad(whole, _cuts(node, x.shape[2:], whole.shape[2:], strides))
        return y if bias is None else y + bias.reshape(-1, *[1] * count)

    check(node)
    return run


def _cuts(node: Node, sizes: Sequence[int], whole: Sequence[int], strides: Sequence[int]) -> list[tuple[int, int]]:
    """What is added (negative: cut) before and after each spatial axis of a whole transposed convolution."""
    count = len(sizes)
    more = node.get("output_padding") or [0] * count
    wanted = node.get("output_shape")
    auto = node["auto_pad"]
    if wanted is None and auto.startswith("SAME"):
        wanted = [size * stride for size, stride in zip(sizes, strides, strict=True)]
    if wanted is None:
        pads = node.get("pads") or [0] * (2 * count)
        return [(-before, extra - after) for before, after, extra in zip(pads[:count], pads[count:], more, strict=True)]
    cuts = []
    for full, extra, size in zip(whole, more, wanted[-count:], strict=True):
        before, after = halved(full + extra - size, auto)
        cuts.append((-before, extra - after))
    return cuts
