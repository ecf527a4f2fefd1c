"""Shapes: what reads, changes or makes them, and tensors that are made from nothing but a shape."""

import math
from collections.abc import Sequence

import torch
from torch.nn import functional

from models.onnx.network.registry import Node, Step, bounded, dtype, operator

_PAD_MODES = ("constant", "reflect", "edge", "wrap")


@operator("Shape")
def shape(node: Node) -> Step:
    span = slice(node.get("start"), node.get("end"))
    return lambda x: torch.tensor(x.shape[span], dtype=torch.int64, device=x.device)


@operator("Size")
def size(node: Node) -> Step:
    return lambda x: torch.tensor(x.numel(), device=x.device)


@operator("Reshape", since=5)
def reshape(node: Node) -> Step:
    """A zero keeps the axis of the input, unless `allowzero` makes it an axis of nothing."""
    keeps = not node.get("allowzero")

    def run(x: torch.Tensor, shape: torch.Tensor) -> torch.Tensor:
        wanted = shape.tolist()
        return x.reshape([x.shape[at] if each == 0 and keeps else each for at, each in enumerate(wanted)])

    return run


@operator("Flatten")
def flatten(node: Node) -> Step:
    axis = node["axis"]
    return lambda x: x.reshape(x.shape[:axis].numel(), x.shape[axis:].numel())


@operator("Transpose")
def transpose(node: Node) -> Step:
    order = node.get("perm")
    return lambda x: x.permute(order or list(range(x.dim()))[::-1])


@operator("Squeeze")
def squeeze(node: Node) -> Step:
    attribute = node.get("axes")

    def run(x: torch.Tensor, axes: torch.Tensor | None = None) -> torch.Tensor:
        chosen = attribute if axes is None else axes.tolist()
        if chosen is None:
            return x.squeeze()
        if any(x.shape[axis] != 1 for axis in chosen):
            raise ValueError(f"the axes {chosen} of {tuple(x.shape)} are not all of size 1")
        return x.squeeze(chosen)

    return run


@operator("Unsqueeze")
def unsqueeze(node: Node) -> Step:
    attribute = node.get("axes")

    def run(x: torch.Tensor, axes: torch.Tensor | None = None) -> torch.Tensor:
        chosen = attribute if axes is None else axes.reshape(-1).tolist()
        rank = x.dim() + len(chosen)
        for axis in sorted(each % rank for each in chosen):
            x = x.unsqueeze(axis)
        return x

    return run


@operator("Concat")
def concatenate(node: Node) -> Step:
    axis = node["axis"]
    return lambda *xs: torch.cat(xs, axis)


@operator("Split")
def split(node: Node) -> Step:
    attribute, count = node.get("split"), node.get("num_outputs", len(node.outputs))

    def run(x: torch.Tensor, sizes: torch.Tensor | None = None) -> tuple[torch.Tensor, ...]:
        axis = node.get("axis", 0)
        wanted = attribute if sizes is None else sizes.tolist()
        if wanted is None:
            each = -(-x.shape[axis] // count)
            wanted = [each] * (count - 1) + [x.shape[axis] - each * (count - 1)]
        return x.split(wanted, axis)

    return run


@operator("Expand")
def expand(node: Node) -> Step:
    return lambda x, shape: x.expand(bounded(torch.broadcast_shapes(x.shape, shape.tolist())))


@operator("Tile", since=6)
def tile(node: Node) -> Step:
    def run(x: torch.Tensor, repeats: torch.Tensor) -> torch.Tensor:
        times = repeats.tolist()
        bounded([size * each for size, each in zip(x.shape, times, strict=True)])
        return x.repeat(times)

    return run


@operator("DepthToSpace")
def depth_to_space(node: Node) -> Step:
    block, by_depth = node["blocksize"], _by_depth(node)

    def run(x: torch.Tensor) -> torch.Tensor:
        n, c, h, w = x.shape
        inner = c // block**2
        if by_depth:
            y = x.reshape(n, block, block, inner, h, w).permute(0, 3, 4, 1, 5, 2)
        else:
            y = x.reshape(n, inner, block, block, h, w).permute(0, 1, 4, 2, 5, 3)
        return y.reshape(n, inner, h * block, w * block)

    return run


@operator("SpaceToDepth")
def space_to_depth(node: Node) -> Step:
    block, by_depth = node["blocksize"], _by_depth(node)

    def run(x: torch.Tensor) -> torch.Tensor:
        n, c, h, w = x.shape
        y = x.reshape(n, c, h // block, block, w // block, block)
        y = y.permute(0, 3, 5, 1, 2, 4) if by_depth else y.permute(0, 1, 3, 5, 2, 4)
        return y.reshape(n, c * block**2, h // block, w // block)

    return run


def _by_depth(node: Node) -> bool:
    """Whether blocks come before the depth in the order of channels; always, in versions without `mode`."""
    return node.get("mode") is None or node.one_of("mode", ("DCR", "CRD")) == "DCR"


@operator("Pad")
def pad_by_attribute(node: Node) -> Step:
    mode, pads, value = node.one_of("mode", _PAD_MODES), node["pads"], node["value"]
    return lambda x: _pad(x, list(range(x.dim())), pads, mode, value)


@operator("Pad", since=11)
def pad(node: Node) -> Step:
    mode = node.one_of("mode", _PAD_MODES)

    def run(
        x: torch.Tensor, pads: torch.Tensor, value: torch.Tensor | None = None, axes: torch.Tensor | None = None
    ) -> torch.Tensor:
        chosen = range(x.dim()) if axes is None else axes.tolist()
        return _pad(x, [each % x.dim() for each in chosen], pads.tolist(), mode, 0 if value is None else value.item())

    return run


def _pad(x: torch.Tensor, axes: Sequence[int], pads: Sequence[int], mode: str, value: float) -> torch.Tensor:
    """`x` with numbers before and after each of `axes`; negative counts cut off."""
    pairs = {axis: (pads[at], pads[at + len(axes)]) for at, axis in enumerate(axes)}
    bounded([max(0, size + sum(pairs.get(axis, (0, 0)))) for axis, size in enumerate(x.shape)])
    if mode == "constant":
        flat = [each for axis in reversed(range(x.dim())) for each in pairs.get(axis, (0, 0))]
        return functional.pad(x, flat, value=value)
    for axis, (before, after) in pairs.items():
        if before or after:
            x = x.index_select(axis, _padded_positions(x.shape[axis], before, after, mode, x.device))
    return x


def _padded_positions(size: int, before: int, after: int, mode: str, device: torch.device) -> torch.Tensor:
    """Where along an axis of `size` each padded position takes its number from."""
    at = torch.arange(-before, size + after, device=device)
    if mode == "edge":
        return at.clamp(0, size - 1)
    if mode == "wrap":
        return at % size
    period = max(1, 2 * (size - 1))
    return (size - 1) - ((at % period) - (size - 1)).abs()


@operator("ConstantOfShape")
def constant_of_shape(node: Node) -> Step:
    value = node.get("value", torch.zeros(1))
    return lambda shape: torch.full(bounded(shape.tolist()), value.item(), dtype=value.dtype, device=shape.device)


@operator("Range")
def arithmetic_progression(node: Node) -> Step:
    def run(start: torch.Tensor, limit: torch.Tensor, step: torch.Tensor) -> torch.Tensor:
        distance, stride = limit.item() - start.item(), step.item()
        (count,) = bounded([max(0, math.ceil(distance / stride))])
        wide = torch.promote_types(start.dtype, torch.float32) if start.is_floating_point() else start.dtype
        return (start.to(wide) + torch.arange(count, dtype=wide, device=start.device) * step).to(start.dtype)

    return run


@operator("EyeLike")
def eye_like(node: Node) -> Step:
    kind = dtype(node["dtype"]) if node.get("dtype") else None

    def run(x: torch.Tensor) -> torch.Tensor:
        rows, columns = x.shape
        at = torch.arange(columns, device=x.device) - torch.arange(rows, device=x.device)[:, None]
        return (at == node["k"]).to(kind or x.dtype)

    return run
