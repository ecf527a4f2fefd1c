"""An ONNX graph opened by onnxruntime, on the processor, from bytes, without telemetry."""

import contextlib
import os
import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from core.errors import UserFacingError
from models.base import THREADS, broken
from models.onnx.graph import with_any_batch
from models.onnx.rows import Intake
from models.onnx.words import TITLE, not_taken, shown


class Session:
    """A graph opened by onnxruntime on the processor: rows (n, *shape) to scores (n, columns) in double precision."""

    def __init__(self, model: Any, intake: Intake) -> None:
        os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = THREADS
        options.inter_op_num_threads = 1
        options.log_severity_level = 4
        self._intake = intake
        with _in_words("It cannot be opened by onnxruntime"):
            self._session = onnxruntime.InferenceSession(
                model.SerializeToString(), options, providers=["CPUExecutionProvider"], enable_fallback=0
            )

    def __call__(self, rows: np.ndarray) -> np.ndarray:
        return self.raw(rows).astype(np.float64)

    def raw(self, rows: np.ndarray) -> np.ndarray:
        """What the graph gives (n, columns), in its own type."""
        step = self._intake.step
        parts = [self._batch(rows[start : start + step]) for start in range(0, len(rows), step)]
        return np.concatenate(parts) if parts else np.zeros((0, 0))

    def _batch(self, rows: np.ndarray) -> np.ndarray:
        padded = rows
        if self._intake.batch and len(rows) < self._intake.batch:
            padded = np.concatenate([rows, np.repeat(rows[-1:], self._intake.batch - len(rows), axis=0)])
        with _in_words("It fails on an ordinary row"):
            (scores,) = self._session.run(None, self._intake.feeds(padded))
        if scores.size % len(padded) or scores.size < len(padded):
            raise not_taken(f"It gives {scores.size:,} numbers for {len(padded)} rows", "Export it to answer each row")
        return scores.reshape(len(padded), -1)[: len(rows)]


def free_batch(model: Any, intake: Intake, rows: np.ndarray) -> tuple[Any, Intake]:
    """The model for any number of rows where it gives the same answers so, else as it is, to be asked in its steps."""
    if intake.batch is None:
        return model, intake
    loose, free = with_any_batch(model), replace(intake, batch=None)
    try:
        found = Session(loose, free)(rows)
    except UserFacingError:
        return model, intake
    wanted = Session(model, intake)(rows)
    return (loose, free) if close(found, wanted) else (model, intake)


def close(found: np.ndarray, wanted: np.ndarray) -> bool:
    """Whether two tables of outputs differ by less than a ten-thousandth of their range."""
    if found.shape != wanted.shape:
        return False
    known = wanted[np.isfinite(wanted)]
    span = np.ptp(known) if known.size else 0.0
    allowed = 1e-4 * span + 1e-6 * np.abs(known).max(initial=0.0) + 1e-12
    return bool(np.allclose(found, wanted, rtol=0, atol=allowed, equal_nan=True))


@contextlib.contextmanager
def _in_words(what: str) -> Iterator[None]:
    """Turns what onnxruntime raises, errors that have no kind in common, into a sentence."""
    try:
        yield
    except Exception as error:
        if not (type(error).__module__.startswith("onnxruntime") or isinstance(error, RuntimeError | ValueError)):
            raise
        said = _said(error)
        raise broken(TITLE, f"{what}: {said}" if said else what) from error


def _said(error: BaseException) -> str:
    """What onnxruntime says, without its codes and the paths of its source; nothing where it speaks in C++."""
    said = re.sub(r"^\[ONNXRuntimeError\] : \d+ : \w+ : ", "", str(error)).split("Status Message:")[-1]
    words = [word for word in said.split() if "/" not in word and word != ":"]
    return "" if any("::" in word for word in words) else shown(" ".join(words), 160)
