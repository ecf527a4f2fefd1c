"""Sampling a picture at points between its pixels."""

from torch.nn import functional

from models.onnx.network.registry import Node, Step, bounded, operator

_MODES = {
    "nearest": "nearest",
    "linear": "bilinear",
    "bilinear": "bilinear",
    "cubic": "bicubic",
    "bicubic": "bicubic",
}


@operator("GridSample")
def grid_sample(node: Node) -> Step:
    mode = _MODES[node.one_of("mode", _MODES)]
    node.one_of("padding_mode", ("zeros", "border", "reflection"))
    corners = bool(node["align_corners"])
    return lambda x, grid: functional.grid_sample(x, grid, mode, node["padding_mode"], corners)


@operator("AffineGrid")
def affine_grid(node: Node) -> Step:
    corners = bool(node["align_corners"])
    return lambda theta, size: functional.affine_grid(theta, bounded(size.tolist()), corners)
