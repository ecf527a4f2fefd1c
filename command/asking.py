"""What a command line asks about, from its words; and the line that asks for the same again."""

import re
import shlex
from collections.abc import Sequence
from datetime import date

from access.desk import Desk
from core.errors import UserFacingError
from core.nouns import ModelFile, ModelSpec, Reference, Subject, Target
from engine.engine import Lane, Question
from engine.predict import Predict
from engine.questions import default_class, prediction_query
from explainers.base import Explainer

_SLICE = re.compile(r"(-?\d+)?:(-?\d+)?")


def reference(subject: Subject, spec: ModelSpec, size: int | None, seed: int | None) -> Reference:
    """The rows to compare with; a text is compared with itself, so that none can be asked for."""
    if spec.modality == "text" and (size is not None or seed is not None):
        raise UserFacingError(
            "The reference cannot be chosen",
            "A text is compared with itself, every word hidden",
            "Leave --reference and --reference-seed out",
        )
    return subject.reference(size, seed)


def positions(subject: Subject, text: str) -> list[int]:
    """The rows named by a slice of positions ("0:100") or by their ids ("17,42")."""
    if not _SLICE.fullmatch(text):
        return [subject.position(row_id.strip()) for row_id in text.split(",")]
    rows = len(subject.dataset)
    ends = [int(end) if end else None for end in text.split(":")]
    if any(end is not None and abs(end) > rows for end in ends):
        raise UserFacingError(
            f"The rows {text} cannot be taken",
            f"This data set has {rows:,} rows, at positions 0 to {rows - 1}",
            f"Stay within 0:{rows}, or leave an end out to go as far as there are rows",
        )
    chosen = list(range(rows)[slice(*ends)])
    if not chosen:
        raise UserFacingError(
            f"The rows {text} are none", "The first position is not before the last", "Ask for one row or more"
        )
    return chosen


def target(
    desk: Desk, subject: Subject, model: ModelFile, row: int, name: str | None, method: Explainer, lane: Lane
) -> Target:
    """The class called `name`; where none is named, the one that the page shows first for this row."""
    spec = model.spec
    scale = method.scales(spec)[0]
    if name is not None:
        return Target(spec.class_index(name), scale)
    if len(spec.classes) <= 2:
        return Target(max(len(spec.classes) - 1, 0), scale)
    found = desk.ask(Question(model, Predict(), prediction_query(subject, model, [row]), lane))
    return Target(default_class(subject, model, found.outputs), scale)


def options(pairs: Sequence[str]) -> dict[str, str]:
    """NAME=VALUE pairs as a mapping."""
    named: dict[str, str] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or name in named:
            why = f"{name!r} is given twice" if equals else f"{pair!r} has no ="
            raise UserFacingError("The options cannot be read", why, "Give each once, as NAME=VALUE")
        named[name] = value
    return named


def line(words: Sequence[str], day: date, out: str, row: str | None = None, rows: str | None = None) -> str:
    """The command line of these words as of that day, about the row of that id or the rows of that file, if either is
    named, writing to `out`.

    The same request gives the same line, whatever the order in which these were given.
    """
    kept = _without(words, ("--out", "--as-of", "--row", "--rows"))
    about = [*_flag("--row", row), *_flag("--rows", rows)]
    return shlex.join(["python", "assay.py", *kept, *about, "--as-of", day.isoformat(), "--out", out])


def _flag(flag: str, value: str | None) -> list[str]:
    """A flag and its value in a command line's words; none where there is no value."""
    if value is None:
        return []
    return [f"{flag}={value}"] if value.startswith("-") else [flag, value]


def _without(words: Sequence[str], flags: Sequence[str]) -> list[str]:
    """A command line's words without these flags and what follows each."""
    kept: list[str] = []
    for word in words:
        if kept and kept[-1] in flags:
            kept.pop()
        elif "=" not in word or word.partition("=")[0] not in flags:
            kept.append(word)
    return kept
