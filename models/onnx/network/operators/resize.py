"""Resizing, one axis after the other: nearest picks positions, linear and cubic multiply by weights."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from models.onnx.network.registry import Node, Step, bounded, operator

_NEAREST: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "round_prefer_floor": lambda at: torch.ceil(at - 0.5),
    "round_prefer_ceil": lambda at: torch.floor(at + 0.5),
    "floor": torch.floor,
    "ceil": torch.ceil,
}
_COORDINATES = ("half_pixel", "half_pixel_symmetric", "pytorch_half_pixel", "align_corners", "asymmetric")
_REACH = {"linear": 1, "cubic": 2}
_MODES = ("nearest", *_REACH)


@dataclass(frozen=True)
class Manner:
    """How numbers between the pixels are found; the words are those of the operator's attributes."""

    mode: str
    coordinates: str
    nearest: str = "round_prefer_floor"
    cubic: float = -0.75
    exclude_outside: bool = False
    antialias: bool = False


@operator("Upsample", since=7)
def upsample_by_attribute(node: Node) -> Step:
    manner, scales = _simple(node), node["scales"]
    return lambda x: _resize(x, manner, scales, _scaled(x.shape, scales))


@operator("Upsample", since=9)
@operator("Resize", since=10)
def resize_by_scales(node: Node) -> Step:
    manner = _simple(node)
    return lambda x, scales: _resize(x, manner, scales.tolist(), _scaled(x.shape, scales.tolist()))


@operator("Resize", since=11)
def resize(node: Node) -> Step:
    manner = Manner(
        node.one_of("mode", _MODES),
        node.one_of("coordinate_transformation_mode", _COORDINATES),
        node.one_of("nearest_mode", _NEAREST),
        node["cubic_coeff_a"],
        bool(node["exclude_outside"]),
        bool(node.get("antialias")),
    )
    policy = "stretch"
    if node.get("keep_aspect_ratio_policy"):
        policy = node.one_of("keep_aspect_ratio_policy", ("stretch", "not_larger", "not_smaller"))

    def run(
        x: torch.Tensor,
        roi: torch.Tensor | None = None,
        scales: torch.Tensor | None = None,
        sizes: torch.Tensor | None = None,
    ) -> torch.Tensor:
        axes = [axis % x.dim() for axis in node.get("axes") or range(x.dim())]
        lengths = [x.shape[axis] for axis in axes]
        if sizes is not None and sizes.numel():
            given, found = _fitted(lengths, sizes.tolist(), policy)
        else:
            given, found = scales.tolist(), _scaled(lengths, scales.tolist())
        factors, wanted = [1.0] * x.dim(), list(x.shape)
        for axis, factor, size in zip(axes, given, found, strict=True):
            factors[axis], wanted[axis] = factor, size
        return _resize(x, manner, factors, wanted)

    return run


def _simple(node: Node) -> Manner:
    """What the older versions do: positions times the scale, rounded down."""
    return Manner(node.one_of("mode", ("nearest", "linear")), "asymmetric", "floor")


def _scaled(lengths: Sequence[int], scales: list[float]) -> list[int]:
    """Scaled lengths, rounded down as float32: 10 times 0.7 is 7."""
    return (torch.tensor(lengths) * torch.tensor(scales, dtype=torch.float32)).floor().long().tolist()


def _fitted(lengths: list[int], sizes: list[int], policy: str) -> tuple[list[float], list[int]]:
    """The factor of each axis and its new length, for `sizes` that the proportions may have to keep within."""
    factors = [size / length for size, length in zip(sizes, lengths, strict=True)]
    if policy == "stretch":
        return factors, sizes
    factor = min(factors) if policy == "not_larger" else max(factors)
    return [factor] * len(sizes), [math.floor(factor * length + 0.5) for length in lengths]


def _resize(x: torch.Tensor, manner: Manner, factors: list[float], wanted: list[int]) -> torch.Tensor:
    for axis, (factor, size) in enumerate(zip(factors, wanted, strict=True)):
        if factor == 1 and size == x.shape[axis]:
            continue
        bounded([*x.shape[:axis], size, *x.shape[axis + 1 :]])
        at = _positions(manner, x.shape[axis], factor, size)
        if manner.mode == "nearest":
            chosen = _NEAREST[manner.nearest](at).clamp(0, x.shape[axis] - 1).long()
            x = x.index_select(axis, chosen.to(x.device))
        else:
            weights = _weights(manner, at, x.shape[axis], factor).to(x.device, x.dtype)
            x = torch.matmul(x.movedim(axis, -1), weights.T).movedim(-1, axis)
    return x


def _positions(manner: Manner, size: int, factor: float, wanted: int) -> torch.Tensor:
    """Where on an axis of `size` each of the `wanted` positions lies; rounded as float32, as elsewhere."""
    kind = torch.float32 if manner.mode == "nearest" else torch.float64
    at = torch.arange(wanted, dtype=kind)
    exact = factor * size
    if manner.coordinates == "asymmetric":
        return at / factor
    if manner.coordinates == "align_corners":
        return at * ((size - 1) / (exact - 1)) if exact != 1 else at * 0
    if manner.coordinates == "pytorch_half_pixel" and exact == 1:
        return at * 0 - 0.5
    offset = size / 2 * (1 - wanted / exact) if manner.coordinates == "half_pixel_symmetric" else 0.0
    return offset + (at + 0.5) / factor - 0.5


def _weights(manner: Manner, at: torch.Tensor, size: int, factor: float) -> torch.Tensor:
    """The weight (wanted, size) of each number on an axis for each position; beyond its ends the last one counts."""
    bounded([len(at), size])
    narrow = min(factor, 1.0) if manner.antialias else 1.0
    reach = math.ceil(_REACH[manner.mode] / narrow)
    bounded([len(at), 2 * reach])
    taps = torch.floor(at)[:, None] + torch.arange(1 - reach, reach + 1)
    weights = _kernel(manner, ((taps - at[:, None]) * narrow).abs())
    if manner.exclude_outside:
        weights = torch.where((taps < 0) | (taps >= size), 0, weights)
    if manner.exclude_outside or manner.antialias:
        weights = weights / weights.sum(1, keepdim=True)
    matrix = torch.zeros(len(at), size, dtype=torch.float64)
    return matrix.scatter_add(1, taps.clamp(0, size - 1).long(), weights)


def _kernel(manner: Manner, distance: torch.Tensor) -> torch.Tensor:
    if manner.mode == "linear":
        return (1 - distance).clamp(min=0)
    a = manner.cubic
    near = ((a + 2) * distance - (a + 3)) * distance**2 + 1
    far = ((a * distance - 5 * a) * distance + 8 * a) * distance - 4 * a
    return torch.where(distance <= 1, near, torch.where(distance < 2, far, 0))
