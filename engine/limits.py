"""How large a file may be, and how long it may be looked at; `data_files.limits` bounds what is in it."""

import os
from dataclasses import dataclass

from core.errors import UserFacingError
from data_files.limits import MIB


@dataclass(frozen=True)
class Limits:
    """`model` and `data`: bytes of the largest file; `seconds`: the longest that one task may take."""

    model: int
    data: int
    seconds: int


def limits() -> Limits:
    """The limits as the environment sets them. Raises UserFacingError for a setting that is no number."""
    return Limits(
        model=_setting("ASSAY_MAX_MODEL", 1024 * MIB),
        data=_setting("ASSAY_MAX_DATA", 1024 * MIB),
        seconds=_setting("ASSAY_MAX_SECONDS", 120),
    )


def worker_memory() -> int:
    """The memory of a worker that answers questions, in MiB. Raises UserFacingError for a setting that is no number."""
    return _setting("ASSAY_WORKER_MEMORY", 8192)


def check_size(what: str, size: int) -> None:
    """Refuses a model or data file of no bytes, or of more than the limit."""
    if not size:
        raise UserFacingError(f"The {what} file is empty", "It holds no bytes", "Choose another one")
    most = limits().model if what == "model" else limits().data
    if size > most:
        raise UserFacingError(
            f"The {what} file is too large",
            f"It has {size:,} bytes and {most:,} are taken at most",
            f"Bring a smaller one, or raise ASSAY_MAX_{what.upper()} where Assay is started",
        )


def _setting(name: str, usual: int) -> int:
    text = os.environ.get(name, str(usual))
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise UserFacingError(
            f"The setting {name} cannot be used",
            f"It is {text!r} and should be a whole number above zero",
            "Correct it where Assay is started, or take it away",
        )
    return int(text)
