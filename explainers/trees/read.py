"""Which library's trees these are, and their forest."""

from typing import Any

import numpy as np

from explainers.trees import read_catboost, read_lightgbm, read_onnx, read_sklearn, read_xgboost
from explainers.trees.forest import Forest, join, unsupported


def read_forest(native: Any, column: int, features: int) -> Forest:
    """The trees that add up to output `column` of a booster or estimator, for rows of `features` values.

    The library is told by the module of the type, so that none is imported that is not in use.
    """
    return join(_reader(native).read(native, column), features)


def as_seen(native: Any, rows: np.ndarray) -> np.ndarray:
    """Rows (n, d) by column (d, n), rounded as the library rounds them before it compares."""
    return _reader(native).as_seen(native, np.ascontiguousarray(rows.T, np.float64))


def _reader(native: Any) -> Any:
    if type(native).__module__ == "models.catboost":
        return read_catboost
    library = type(native).__module__.split(".")[0]
    readers = {"xgboost": read_xgboost, "lightgbm": read_lightgbm, "sklearn": read_sklearn, "onnx": read_onnx}
    kinds = {"xgboost": "Booster", "lightgbm": "Booster", "onnx": "ModelProto"}
    if library not in readers or type(native).__name__ != kinds.get(library, type(native).__name__):
        raise unsupported(f"Its trees are a {library} {type(native).__name__}, which it does not read")
    return readers[library]
