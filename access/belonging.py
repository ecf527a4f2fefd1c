"""Which answers belong to a subject: two subjects may have one model, and people ask about rows of their own.

An answer belongs to a subject where every row that it is about, and every row that it compares with, is in the
subject's data by its id and its values; a text may be compared with itself, every word hidden. So does an answer about
the one row that an attack made of a row in the data, or equal noise, where the attack's own answer belongs to it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from core.digest import digest
from core.errors import UserFacingError
from core.nouns import Dataset, Reference, Subject, Vocabulary
from core.results import Attacked, Result
from storage.evidence import EvidenceStore
from storage.vault import Damaged

_MOST = 20_000  # answers of which it is remembered what they are about
_HIDDEN = " hidden"  # after a text's id, as `Subject.masked` calls it with every word hidden


@dataclass(frozen=True)
class _About:
    """What one answer is about: nothing but the subject's rows (`ours`), or one `other` row, by its digest.

    `made` are the digests of the rows that an attack on one row made.
    """

    ours: bool = False
    other: str = ""
    made: tuple[str, ...] = ()


_known: dict[tuple, _About] = {}  # by the data, how a word of it is hidden, the question and the result


def belonging(evidence: EvidenceStore, subject: Subject, model: str, strict: bool = False) -> dict[str, str]:
    """The answers about the model of that digest that belong to `subject`: the results' digests by the questions' keys.

    Answers that cannot be read are left out; with `strict` they raise Damaged.
    """
    asked: dict[str, tuple[str, _About]] = {}
    for key in evidence.questions(model):
        try:
            found = _looked_up(evidence, subject, key)
        except Damaged:
            if strict:
                raise
            continue
        if found is not None:
            asked[key] = found
    made = {row for _, about in asked.values() if about.ours for row in about.made}
    return {key: named for key, (named, about) in asked.items() if about.ours or about.other in made}


def _looked_up(evidence: EvidenceStore, subject: Subject, key: str) -> tuple[str, _About] | None:
    """The digest of the result to a question, and what it is about; None where it is no longer kept.

    A result never changes under its digest, so that it is read once for each data set.
    """
    vocabulary = subject.model().spec.vocabulary
    rule = vocabulary and (vocabulary.mask, vocabulary.pad, vocabulary.special)
    named = evidence.named(key)
    known = _known.get((subject.dataset.digest, rule, key, named))
    if known is not None and evidence.keeps(named):
        return named, known
    result = evidence.answer(key)
    if result is None:
        return None
    if len(_known) >= _MOST:
        _known.clear()
    about = _about(result, subject.dataset, vocabulary)
    _known[subject.dataset.digest, rule, key, result.digest] = about
    return result.digest, about


def _about(result: Result, data: Dataset, vocabulary: Vocabulary | None) -> _About:
    query = result.query
    if not _compares_within(query.reference, data, vocabulary):
        return _About()
    if _within(query.rows, query.row_ids, data):
        return _About(ours=True, made=_made(result))
    return _About(other=_row(query.row_ids[0], query.rows[0]) if len(query) == 1 else "")


def _compares_within(reference: Reference | None, data: Dataset, vocabulary: Vocabulary | None) -> bool:
    """Whether every reference row is in the data, or is a text of it with every word hidden."""
    if reference is None or _within(reference.rows, reference.row_ids, data):
        return True
    if vocabulary is None or not all(each.endswith(_HIDDEN) for each in reference.row_ids):
        return False
    places = _places([each.removesuffix(_HIDDEN) for each in reference.row_ids], data)
    return places is not None and np.array_equal(vocabulary.masked(data.rows[places]), reference.rows)


def _within(rows: np.ndarray, row_ids: Sequence[str], data: Dataset) -> bool:
    """Whether the data has rows of these ids with these values; missing values are the same."""
    places = _places(row_ids, data)
    return places is not None and np.array_equal(data.rows[places], rows, equal_nan=True)


def _places(row_ids: Sequence[str], data: Dataset) -> list[int] | None:
    """Where the rows of these ids are in the data; None where one is not."""
    try:
        return [data.index(row_id) for row_id in row_ids]
    except UserFacingError:
        return None


def _made(result: Result) -> tuple[str, ...]:
    """The rows that an attack on a single row made, which is what the page Under attack asks about."""
    if not isinstance(result, Attacked) or len(result.query) != 1:
        return ()
    return tuple(_row(result.query.row_ids[0], rows[0]) for rows in (result.perturbed, result.noise) if len(rows) == 1)


def _row(row_id: str, row: np.ndarray) -> str:
    return digest("row", row_id, row)
