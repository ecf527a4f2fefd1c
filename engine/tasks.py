"""What a worker can find out about a file that nobody has opened yet.

A task takes the file's bytes, progress and its options; it gives JSON values and arrays by name. It raises
UserFacingError for a file that is not taken.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from core.facts import as_json
from models import inspect_model

Progress = Callable[[float], None]
Finding = tuple[Mapping[str, Any], Mapping[str, np.ndarray]]


def _inspect_model(file: bytes, _progress: Progress) -> Finding:
    return as_json(inspect_model(file)), {}


TASKS: dict[str, Callable[..., Finding]] = {
    "inspect_model": _inspect_model,
}
