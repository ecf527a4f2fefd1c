"""The operators that are taken, by family; importing this package fills their table."""

from models.onnx_network.operators import (  # noqa: F401
    activations,
    arithmetic,
    convolutions,
    indexing,
    matrices,
    normalisation,
    pooling,
    recurrent,
    reductions,
    resize,
    sampling,
    shapes,
)
from models.onnx_network.registry import builder

__all__ = ["builder"]
