"""Rows of somebody's own, for a model that is there: read in a worker of their own, held to its columns."""

import numpy as np

from core.errors import UserFacingError
from core.facts import Wanted
from core.nouns import ModelSpec
from engine.intake import Cancelled, Progress, look_at_data
from engine.limits import limits
from engine.oneshot import distrust, run_task
from engine.tasks import from_bytes

MOST = 2_000
"""Rows of one file."""
LARGEST = 20 << 20
"""Bytes of one file."""
ID = "row_id"
OWN = "own "
"""What the ids of such rows begin with, so that none is taken for a row of the data."""


def own_rows(
    file: bytes, spec: ModelSpec, progress: Progress | None = None, cancelled: Cancelled | None = None
) -> tuple[np.ndarray, tuple[str, ...]]:
    """The rows (n, d) of a file with the columns of a table, in raw units, and what they are called.

    They go by the column `row_id` where there is one, else by their number, with "own" before it. Raises
    UserFacingError for what is no table, for a column that is missing and a value outside its feature's bounds.
    """
    if spec.modality != "table":
        raise UserFacingError(
            "Rows of your own cannot be asked about",
            "This model reads no table, and pictures and texts are only taken with a whole subject",
            "Bring them as a subject on the Subjects page, or ask an analyst to",
        )
    if len(file) > LARGEST:
        raise UserFacingError(
            "The file is too large", f"{LARGEST >> 20} MiB are taken at most here", "Bring fewer rows"
        )
    facts = look_at_data(file, progress, cancelled)
    if facts.rows > MOST:
        raise UserFacingError(
            f"{facts.rows:,} rows are too many", f"{MOST:,} are asked about at most here", "Bring fewer rows"
        )
    named = ID if any(column.name == ID for column in facts.columns) else ""
    options = {
        "format": facts.format,
        "dialect": dict(facts.dialect),
        "wanted": Wanted(tuple(spec.features), classes=spec.classes, id=named),
    }
    _, arrays = run_task("extract", options, file, limits().seconds, progress, cancelled)
    return _checked(arrays, spec)


def _checked(arrays: dict[str, np.ndarray], spec: ModelSpec) -> tuple[np.ndarray, tuple[str, ...]]:
    """What the worker sent. It is not trusted: what makes no sense is refused in words."""
    try:
        rows, ids = arrays["rows"], from_bytes("row_ids", arrays)
        sound = rows.dtype == np.float64 and rows.shape == (len(ids), *spec.shape) and 0 < len(ids) <= MOST
        if not sound or np.isinf(rows).any():
            raise ValueError("rows of another form")
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise distrust() from error
    return rows, tuple(f"{OWN}{each}" for each in ids)
