"""Letters to many people, one a row: each in files of its own, with nothing of anybody else's in them.

Begun again it goes on: a letter that is there whole is kept, one that is half there is written anew.
"""

import hashlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from access.desk import Desk
from core.errors import UserFacingError
from core.nouns import Dataset, ModelFile, Query, Reference, Subject, Target
from core.results import Result
from engine.engine import Question
from engine.predict import Predict
from engine.questions import (
    default_class,
    default_pair,
    explain_query,
    prediction_query,
)
from engine.together import ask_each
from engine.worker import Method
from reports.bundle import read
from reports.gather import grounds_of
from reports.letter import Letter, check_reference, report, title
from reports.manifest import unstamped
from reports.report import Stamp
from reports.signing import draft, publish
from storage.files import write_whole

_TOGETHER = 25
"""Letters whose questions are asked together."""
_PLAIN = re.compile(r"[a-z0-9][a-z0-9-]{0,39}")
Progress = Callable[[int], None]


@dataclass(frozen=True)
class Mailing:
    """What all letters have in common, and the rows (n, *shape) that they are about, by their ids.

    `target` None: the class that the cut-off is about, else the decided one of each row. `command` says for a row's id
    how to ask for its letter again.
    """

    subject: Subject
    model: ModelFile
    rows: np.ndarray
    row_ids: tuple[str, ...]
    reference: Reference
    stamp: Stamp
    command: Callable[[str], str] = lambda row_id: ""
    target: int | None = None

    def __post_init__(self) -> None:
        twice = sorted({each for each in self.row_ids if self.row_ids.count(each) > 1})
        if twice:
            raise UserFacingError(
                "There would be two letters of one name",
                f"More than one row is called {twice[0]!r}",
                "Give every row an id of its own",
            )
        check_reference(self.model.spec, self.reference)

    def __len__(self) -> int:
        return len(self.row_ids)

    @cached_property
    def asked(self) -> Subject:
        """The subject with these rows in the place of its data, to ask about them by position."""
        count = len(self)
        numbers = self.subject.dataset.labels.dtype.kind == "f"
        labels = np.full(count, np.nan if numbers else -1)
        return replace(self.subject, dataset=Dataset(self.rows, self.row_ids, labels, np.zeros(count)))


# --- asking ----------------------------------------------------------------------------------------------------------


def letters(
    desk: Desk, mailing: Mailing, positions: Sequence[int], heard: Callable[[float], None] | None = None
) -> list[Letter]:
    """The letters on these rows of a mailing, by position. `heard` hears the share done of each question in turn."""
    subject, model, spec = mailing.asked, mailing.model, mailing.model.spec

    def ask(method: Method, queries: Sequence[Query]) -> list[Result]:
        questions = [Question(model, method, query) for query in queries]
        return ask_each(lambda each: desk.ask(each, heard), desk.engine.store, questions)

    method = default_pair(spec)[0]()
    targets = [Target(output, method.scales(spec)[0]) for output in _explained(mailing, positions, ask)]
    queries = [
        explain_query(subject, model, [position], target, mailing.reference)
        for position, target in zip(positions, targets, strict=True)
    ]
    explained = ask(method, queries)
    grounds = grounds_of(ask, mailing.subject, spec, method, explained)
    return [Letter(mailing.subject, model, each) for each in grounds]


def _explained(
    mailing: Mailing, positions: Sequence[int], ask: Callable[[Method, Sequence[Query]], list[Result]]
) -> list[int]:
    """The class whose score is explained, for each row."""
    spec = mailing.model.spec
    if mailing.target is not None:
        return [mailing.target] * len(positions)
    if len(spec.classes) <= 2:
        return [max(len(spec.classes) - 1, 0)] * len(positions)
    subject, model = mailing.asked, mailing.model
    found = ask(Predict(), [prediction_query(subject, model, [position]) for position in positions])
    return [default_class(mailing.subject, model, each.outputs) for each in found]


# --- writing ---------------------------------------------------------------------------------------------------------


def write(desk: Desk, mailing: Mailing, folder: Path, progress: Progress) -> int:
    """Writes a letter a row into the folder, and returns how many were there already. Raises UserFacingError.

    `progress` hears how many are done; what is done stays done when it raises.
    """
    open_ones = [place for place in range(len(mailing)) if not _is_whole(mailing, place, folder)]
    kept = done = len(mailing) - len(open_ones)
    progress(done)
    for start in range(0, len(open_ones), _TOGETHER):
        for letter in letters(desk, mailing, open_ones[start : start + _TOGETHER]):
            _write(desk, mailing, letter, folder)
            done += 1
            progress(done)
    return kept


def _write(desk: Desk, mailing: Mailing, letter: Letter, folder: Path) -> None:
    """One letter's files, the PDF last: where it is, the others are."""
    made = report(letter, mailing.stamp, mailing.command(letter.row_id))
    published, name = publish(desk, made) if mailing.stamp.final else draft(made), file_name(letter.row_id)
    (folder / f"{name}.pdf").unlink(missing_ok=True)
    for ending, body in (("assay", published.bundle), ("assay.sig", published.signature), ("pdf", published.pdf)):
        if body is not None:
            write_whole(folder / f"{name}.{ending}", body)


def file_name(row_id: str) -> str:
    """What a row's files are called, whatever its id is: one name an id, in any folder."""
    if _PLAIN.fullmatch(row_id):
        return f"letter-{row_id}"
    readable = re.sub(r"[^a-z0-9]+", "-", row_id.lower())[:24].strip("-")
    return f"letter-{readable}.{hashlib.sha256(row_id.encode()).hexdigest()[:32]}"


def _is_whole(mailing: Mailing, place: int, folder: Path) -> bool:
    """Whether a letter is there with all its files, and is the one that would be written, its date apart."""
    name = file_name(mailing.row_ids[place])
    endings = ("assay", "pdf", *(["assay.sig"] if mailing.stamp.final else []))
    try:
        bundle, pdf, *_ = ((folder / f"{name}.{ending}").read_bytes() for ending in endings)
        return pdf.rstrip().endswith(b"%%EOF") and _is_about(mailing, place, bundle)
    except (OSError, UserFacingError):
        return False


def _is_about(mailing: Mailing, place: int, bundle: bytes) -> bool:
    """Whether a bundle is of a letter about this very row, asked in the same way, with the same answer and stamp."""
    held, row_id = read(bundle), mailing.row_ids[place]
    explained, decided = held.exhibit("explanation"), held.exhibit("decision-and-swaps")
    if held.audience != "letter" or explained is None or decided is None:
        return False
    stamp = replace(unstamped(held.manifest["stamp"]), as_of=mailing.stamp.as_of, log=None)
    target = Target(**explained.target)
    query = explain_query(mailing.asked, mailing.model, [place], target, mailing.reference)
    said = title(mailing.subject, mailing.model, row_id, decided.result.outputs[:1])
    asked = (query.digest, said, mailing.target in (None, target.output))
    return stamp == mailing.stamp and asked == (explained.query, held.sheet["title"], True)
