"""Reductions over axes, and what looks for the largest or adds up along one."""

from collections.abc import Callable

import torch

from models.onnx.network.registry import Node, Step, operator

Reduction = Callable[[torch.Tensor, list[int], bool], torch.Tensor]
Map = Callable[[torch.Tensor], torch.Tensor]


def _same(x: torch.Tensor) -> torch.Tensor:
    return x


def _register(name: str, reduction: Reduction, before: Map = _same, after: Map = _same) -> None:
    """Registers a reduction: `before` and `after` apply even where there is no axis to reduce."""

    def build(node: Node) -> Step:
        attribute = node.get("axes")

        def run(x: torch.Tensor, axes: torch.Tensor | None = None) -> torch.Tensor:
            chosen = attribute if axes is None else axes.tolist()
            y = before(x)
            if chosen or not node.get("noop_with_empty_axes"):
                y = reduction(y, [each % x.dim() for each in chosen or range(x.dim())], bool(node["keepdims"]))
            return after(y)

        return run

    operator(name)(build)


def _sum(x: torch.Tensor, axes: list[int], keep: bool) -> torch.Tensor:
    return x.sum(axes, keep, dtype=x.dtype) if axes else x


def _mean(x: torch.Tensor, axes: list[int], keep: bool) -> torch.Tensor:
    if x.is_floating_point():
        return x.mean(axes, keep) if axes else x
    count = torch.Size([x.shape[axis] for axis in axes]).numel()
    return torch.div(x.sum(axes, keep), count, rounding_mode="trunc").to(x.dtype)


def _product(x: torch.Tensor, axes: list[int], keep: bool) -> torch.Tensor:
    for axis in sorted(axes, reverse=True):
        x = x.prod(axis, keep, dtype=x.dtype)
    return x


def _largest(x: torch.Tensor, axes: list[int], keep: bool) -> torch.Tensor:
    return _extreme(x, axes, keep, torch.amax, lowest=True)


def _smallest(x: torch.Tensor, axes: list[int], keep: bool) -> torch.Tensor:
    return _extreme(x, axes, keep, torch.amin, lowest=False)


def _extreme(
    x: torch.Tensor, axes: list[int], keep: bool, function: Callable[..., torch.Tensor], lowest: bool
) -> torch.Tensor:
    """The largest or smallest; of nothing at all, the lowest or highest number of the type."""
    if not axes:
        return x
    if any(x.shape[axis] == 0 for axis in axes):
        if x.is_floating_point():
            value = float("-inf") if lowest else float("inf")
        elif x.dtype == torch.bool:
            value = not lowest
        else:
            value = torch.iinfo(x.dtype).min if lowest else torch.iinfo(x.dtype).max
        return torch.full_like(x.sum(axes, keep), value, dtype=x.dtype)
    return function(x, axes, keep)


def _norm(x: torch.Tensor, axes: list[int], keep: bool) -> torch.Tensor:
    """The square root of the sum of squares, whose slope at zero is zero."""
    wide = x if x.is_floating_point() else x.double()
    return torch.linalg.vector_norm(wide, 2, axes, keep).to(x.dtype) if axes else x.abs()


def _log_of_sum_of_exponentials(x: torch.Tensor, axes: list[int], keep: bool) -> torch.Tensor:
    wide = x if x.is_floating_point() else x.double()
    return torch.logsumexp(wide, axes, keep).to(x.dtype) if axes else x


_register("ReduceSum", _sum)
_register("ReduceMean", _mean)
_register("ReduceProd", _product)
_register("ReduceMax", _largest)
_register("ReduceMin", _smallest)
_register("ReduceL1", _sum, before=torch.abs)
_register("ReduceL2", _norm)
_register("ReduceSumSquare", _sum, before=torch.square)
_register("ReduceLogSum", _sum, after=torch.log)
_register("ReduceLogSumExp", _log_of_sum_of_exponentials)


@operator("ArgMax")
def arg_max(node: Node) -> Step:
    return _position(node, torch.argmax)


@operator("ArgMin")
def arg_min(node: Node) -> Step:
    return _position(node, torch.argmin)


def _position(node: Node, function: Callable[..., torch.Tensor]) -> Step:
    """The first position of an extreme, or the last one where the node asks for it."""
    axis, keep = node["axis"], bool(node["keepdims"])
    if not node.get("select_last_index"):
        return lambda x: function(x, axis, keep)
    return lambda x: x.shape[axis] - 1 - function(x.flip(axis), axis, keep)


@operator("TopK")
def top_k_of_attribute(node: Node) -> Step:
    count = node["k"]
    return lambda x: _top(x, node["axis"], count, largest=True)


@operator("TopK", since=10)
def top_k(node: Node) -> Step:
    largest = bool(node.get("largest", 1))
    return lambda x, count: _top(x, node["axis"], int(count), largest)


def _top(x: torch.Tensor, axis: int, count: int, largest: bool) -> tuple[torch.Tensor, torch.Tensor]:
    """The first `count` values and positions in order; of equal ones the earlier comes first."""
    values, positions = torch.sort(x, dim=axis, descending=largest, stable=True)
    return values.narrow(axis, 0, count), positions.narrow(axis, 0, count)


@operator("CumSum")
def cumulative_sum(node: Node) -> Step:
    return _cumulative(node, torch.cumsum, 0)


@operator("CumProd")
def cumulative_product(node: Node) -> Step:
    return _cumulative(node, torch.cumprod, 1)


def _cumulative(node: Node, function: Callable[..., torch.Tensor], nothing: int) -> Step:
    """Along an axis, from the end if `reverse`; `exclusive` begins with `nothing` and leaves the last out."""

    def run(x: torch.Tensor, axis: torch.Tensor) -> torch.Tensor:
        dim = int(axis)
        y = x.flip(dim) if node["reverse"] else x
        if node["exclusive"]:
            first = torch.full_like(y.narrow(dim, 0, 1), nothing)
            y = torch.cat([first, y.narrow(dim, 0, y.shape[dim] - 1)], dim)
        y = function(y, dim, dtype=x.dtype)
        return y.flip(dim) if node["reverse"] else y

    return run
