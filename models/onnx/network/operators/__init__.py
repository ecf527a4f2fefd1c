"""The operators that are taken, by family; importing this package fills their table."""

from models.onnx.network.operators import (  # noqa: F401
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
from models.onnx.network.registry import builder

__all__ = ["builder"]
