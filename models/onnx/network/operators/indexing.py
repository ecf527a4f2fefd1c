"""Picking and placing: slices, gathering and scattering by positions."""

from collections.abc import Sequence

import torch

from models.onnx.network.registry import Node, Step, bounded, operator

_REDUCTIONS = {"none": "", "add": "sum", "mul": "prod", "max": "amax", "min": "amin"}


@operator("Slice")
def slice_by_attributes(node: Node) -> Step:
    starts, ends = node["starts"], node["ends"]
    axes = node.get("axes") or list(range(len(starts)))
    return lambda x: _slice(x, starts, ends, axes, [1] * len(starts))


@operator("Slice", since=10)
def slice_by_inputs(node: Node) -> Step:
    def run(
        x: torch.Tensor,
        starts: torch.Tensor,
        ends: torch.Tensor,
        axes: torch.Tensor | None = None,
        steps: torch.Tensor | None = None,
    ) -> torch.Tensor:
        count = len(starts)
        chosen = list(range(count)) if axes is None else axes.tolist()
        return _slice(x, starts.tolist(), ends.tolist(), chosen, [1] * count if steps is None else steps.tolist())

    return run


def _slice(
    x: torch.Tensor, starts: Sequence[int], ends: Sequence[int], axes: Sequence[int], steps: Sequence[int]
) -> torch.Tensor:
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        taken = range(*slice(start, end, step).indices(x.shape[axis]))
        low, high = (taken[0], taken[-1]) if taken else (0, -1)
        span = slice(min(low, high), max(low, high) + 1, abs(step)) if taken else slice(0, 0)
        x = x[(slice(None),) * (axis % x.dim()) + (span,)]
        if step < 0:
            x = x.flip(axis)
    return x


def _from_start(positions: torch.Tensor, size: int) -> torch.Tensor:
    """Positions with those that count from the end made to count from the start; int64."""
    positions = positions.long()
    return torch.where(positions < 0, positions + size, positions)


@operator("Gather")
def gather(node: Node) -> Step:
    def run(x: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
        axis = node["axis"] % x.dim()
        shape = [*x.shape[:axis], *positions.shape, *x.shape[axis + 1 :]]
        found = x.index_select(axis, _from_start(positions, x.shape[axis]).reshape(-1))
        return found.reshape(bounded(shape))

    return run


@operator("GatherElements")
def gather_elements(node: Node) -> Step:
    axis = node["axis"]
    return lambda x, positions: torch.gather(x, axis, _from_start(positions, x.shape[axis]))


@operator("GatherND")
def gather_nd(node: Node) -> Step:
    shared = node.get("batch_dims", 0)

    def run(x: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
        batch = x.shape[:shared]
        depth = positions.shape[-1]
        rows = x.reshape(batch.numel(), *x.shape[shared:])
        wanted = positions.long().reshape(batch.numel(), -1, depth)
        each = torch.arange(batch.numel(), device=x.device)[:, None]
        found = rows[(each, *wanted.unbind(-1))]
        return found.reshape(*positions.shape[:-1], *x.shape[shared + depth :])

    return run


@operator("ScatterElements")
@operator("Scatter")
def scatter_elements(node: Node) -> Step:
    axis, reduction = node["axis"], _reduction(node)

    def run(x: torch.Tensor, positions: torch.Tensor, updates: torch.Tensor) -> torch.Tensor:
        return _scatter(x, axis, _from_start(positions, x.shape[axis]), updates, reduction)

    return run


@operator("ScatterND")
def scatter_nd(node: Node) -> Step:
    """Each position names a part of the input; parts are the rows of a matrix in which they are replaced."""
    reduction = _reduction(node)

    def run(x: torch.Tensor, positions: torch.Tensor, updates: torch.Tensor) -> torch.Tensor:
        depth = positions.shape[-1]
        row = torch.zeros(positions.shape[:-1], dtype=torch.int64, device=x.device)
        for at, size in enumerate(x.shape[:depth]):
            row = row * size + _from_start(positions[..., at], size)
        parts = x.reshape(x.shape[:depth].numel(), x.shape[depth:].numel())
        rows = row.reshape(-1, 1).expand(-1, parts.shape[1])
        return _scatter(parts, 0, rows, updates.reshape(rows.shape), reduction).reshape(x.shape)

    return run


def _reduction(node: Node) -> str:
    """torch's name for what is done with the number that is there; empty where it is replaced."""
    return _REDUCTIONS[node.one_of("reduction", _REDUCTIONS)] if node.get("reduction") else ""


def _scatter(
    x: torch.Tensor, axis: int, positions: torch.Tensor, updates: torch.Tensor, reduction: str
) -> torch.Tensor:
    if not reduction:
        return x.scatter(axis, positions, updates)
    return x.scatter_reduce(axis, positions, updates, reduction)


@operator("OneHot")
def one_hot(node: Node) -> Step:
    """The second of two values at each position, the first elsewhere."""

    def run(positions: torch.Tensor, depth: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
        count = int(depth)
        axis = node["axis"] % (positions.dim() + 1)
        bounded([*positions.shape, count])
        steps = torch.arange(count, device=positions.device).reshape(-1, *[1] * (positions.dim() - axis))
        return torch.where(_from_start(positions, count).unsqueeze(axis) == steps, values[1], values[0])

    return run


@operator("Trilu")
def triangle(node: Node) -> Step:
    function = torch.triu if node["upper"] else torch.tril
    return lambda x, k=None: function(x, 0 if k is None else int(k))


@operator("NonZero")
def non_zero(node: Node) -> Step:
    return lambda x: torch.nonzero(x).T


@operator("Compress")
def compress(node: Node) -> Step:
    axis = node.get("axis")

    def run(x: torch.Tensor, condition: torch.Tensor) -> torch.Tensor:
        kept = torch.nonzero(condition).reshape(-1)
        return x.reshape(-1)[kept] if axis is None else x.index_select(axis, kept)

    return run


@operator("ReverseSequence")
def reverse_sequence(node: Node) -> Step:
    """The first numbers of each row along time turned round, as many as the row's length says."""
    time, batch = node["time_axis"], node["batch_axis"]

    def run(x: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        rows = x.movedim((batch, time), (0, 1))
        at = torch.arange(rows.shape[1], device=x.device).expand(rows.shape[:2])
        ends = lengths.long()[:, None]
        order = torch.where(at < ends, ends - 1 - at, at)
        each = torch.arange(rows.shape[0], device=x.device)[:, None]
        return rows[each, order].movedim((0, 1), (batch, time))

    return run
