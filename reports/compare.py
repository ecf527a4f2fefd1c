"""What differs between two versions of a subject, in words: its files, rows, rule, models and answers.

Values are never said, so that a version with masked columns can be compared too; of a row that changed its id is.
"""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from access.belonging import belonging
from access.desk import Desk
from access.sharing import Snapshot, answer
from core.nouns import ModelFile, Subject
from core.results import Prediction, Result
from core.scores import decide
from engine.predict import Predict
from engine.questions import prediction_query
from engine.subjects import files_of
from reports.numbers import counted, listed, plural
from reports.words import capital, figures, row_name
from storage.evidence import question_key

_NAMED = 5


@dataclass(frozen=True)
class Version:
    """One version: its subject, the digest of each file by name, of each answer by its question's key.

    `result` gives the answer to a question that is among `answers`.
    """

    subject: Subject
    files: Mapping[str, str]
    answers: Mapping[str, str]
    result: Callable[[str], Result]


def changes(desk: Desk, old: Snapshot, new: Snapshot | None = None) -> list[str]:
    """What differs between two frozen versions; without a new one, from the live subject as it is now."""
    return differences(_frozen(desk, old), _live(desk, old.subject) if new is None else _frozen(desk, new))


def _frozen(desk: Desk, snapshot: Snapshot) -> Version:
    subject = desk.subject(snapshot.short)
    return Version(subject, snapshot.files, snapshot.answers, lambda key: answer(desk.vault, snapshot, key))


def _live(desk: Desk, name: str) -> Version:
    subject, store = desk.subject(name), desk.engine.store
    files = {file: hashlib.sha256(body).hexdigest() for file, body in files_of(name).items()}
    answers: dict[str, str] = {}
    for model in subject.models:
        answers |= belonging(store, subject, model.spec.digest)
    return Version(subject, files, answers, lambda key: store.result(answers[key]))


def differences(old: Version, new: Version) -> list[str]:
    """What is different in the new version, a sentence each; one sentence where nothing is."""
    said = [
        *_files(old.files, new.files),
        *_rows(old.subject, new.subject),
        *_rule(old.subject, new.subject),
        *_models(old.subject, new.subject),
        *_answers(old.answers, new.answers),
        *_example(old, new),
    ]
    return said or ["Nothing differs: files, rows, models and answers are the same."]


def _files(old: Mapping[str, str], new: Mapping[str, str]) -> list[str]:
    changed = [name for name in old if name in new and old[name] != new[name]]
    parts = [
        (changed, "changed"),
        ([name for name in new if name not in old], "added"),
        ([name for name in old if name not in new], "removed"),
    ]
    return [f"{_some(names)} {_was(names)} {what}." for names, what in parts if names]


def _rows(old: Subject, new: Subject) -> list[str]:
    """Rows by their ids: those that came, went and changed, and those whose true answer changed."""
    before, after = old.dataset, new.dataset
    if before.digest == after.digest:
        return []
    place = {row_id: i for i, row_id in enumerate(before.row_ids)}
    added = [row_id for row_id in after.row_ids if row_id not in place]
    there = set(after.row_ids)
    removed = [row_id for row_id in before.row_ids if row_id not in there]
    kept = [(row_id, place[row_id], i) for i, row_id in enumerate(after.row_ids) if row_id in place]
    ids = [row_id for row_id, _, _ in kept]
    was, now = ([each[side] for each in kept] for side in (1, 2))
    parts = [(added, "added"), (removed, "removed")]
    if before.rows.shape[1:] != after.rows.shape[1:]:
        parts.append((ids, "given other columns"))
    else:
        parts.append((_picked(ids, _differ(before.rows[was], after.rows[now])), "changed"))
    labels = _picked(ids, _differ(before.labels[was], after.labels[now]))
    parts.append((labels, "given another true answer"))
    said = [_row_sentence(new, names, what) for names, what in parts if names]
    return said or [f"The {plural(new.row_noun)} are the same and stand in another order, or are held out otherwise."]


def _differ(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Which rows of two arrays of one shape differ (n,); two missing values are the same."""
    same = (first == second) | (_missing(first) & _missing(second))
    return ~same.reshape(len(same), -1).all(axis=1)


def _missing(values: np.ndarray) -> np.ndarray:
    return np.isnan(values) if values.dtype.kind == "f" else np.zeros(values.shape, dtype=bool)


def _picked(ids: list[str], chosen: np.ndarray) -> list[str]:
    return [ids[i] for i in np.flatnonzero(chosen)]


def _row_sentence(subject: Subject, ids: list[str], what: str) -> str:
    return f"{counted(len(ids), subject.row_noun)} {_was(ids)} {what}: {_some(ids)}."


def _rule(old: Subject, new: Subject) -> list[str]:
    """The rule that turns scores into decisions, and the reference."""
    said = []
    if old.cutoff != new.cutoff:
        said.append(f"The cut-off was {_cutoff(old)} and is {_cutoff(new)}.")
    before, after = ((each.reference_size, each.reference_seed) for each in (old, new))
    if before != after:
        said.append(f"The reference was {before[0]:,} rows of seed {before[1]} and is {after[0]:,} of seed {after[1]}.")
    return said


def _cutoff(subject: Subject) -> str:
    return "none" if subject.cutoff is None else f"{subject.cutoff:g}"


def _models(old: Subject, new: Subject) -> list[str]:
    before, after = ({model.name: model for model in each.models} for each in (old, new))
    said = [f"The model {after[name].title} was added." for name in after if name not in before]
    said += [f"The model {before[name].title} was removed." for name in before if name not in after]
    for name in before.keys() & after.keys():
        was, now = before[name].spec.digest, after[name].spec.digest
        if was != now:
            said.append(f"The model {after[name].title} is another: digest {was[:8]} before, {now[:8]} now.")
    return said


def _answers(old: Mapping[str, str], new: Mapping[str, str]) -> list[str]:
    added, gone = len(new.keys() - old.keys()), len(old.keys() - new.keys())
    changed = [key for key in old.keys() & new.keys() if old[key] != new[key]]
    said = [f"{counted(added, 'answer')} {_were(added)} added."] if added else []
    said += [f"{counted(gone, 'answer')} {_were(gone)} left out."] if gone else []
    if changed:
        named = ", ".join(sorted(key[:8] for key in changed)[:_NAMED])
        said.append(f"{counted(len(changed), 'question')} got another answer: {named}.")
    return said


def _example(old: Version, new: Version) -> list[str]:
    """How the decision on the example row moved, for each model whose prediction of it both versions hold."""
    said = []
    names = {model.name for model in old.subject.models}
    for model in new.subject.models:
        if model.name not in names:
            continue
        before, after = _predicted(old, model.name), _predicted(new, model.name)
        if before is not None and after is not None and before != after:
            row = capital(row_name(new.subject, new.subject.example))
            said.append(f"{row}, by {model.title}: {before} before, {after} now.")
    return said


def _predicted(version: Version, name: str) -> str | None:
    """The decision on the example row and its figures; None where the version holds no prediction of it."""
    subject = version.subject
    model = subject.model(name)
    if subject.example not in subject.dataset.row_ids:
        return None
    query = prediction_query(subject, model, [subject.position(subject.example)])
    key = question_key(query, Predict().method)
    if key not in version.answers:
        return None
    found = version.result(key)
    return _decision(subject, model, found) if isinstance(found, Prediction) else None


def _decision(subject: Subject, model: ModelFile, found: Prediction) -> str:
    told = figures(subject, model, found.outputs[:1])
    if not model.spec.classes:
        return told
    decided = int(decide(found.outputs[:1], model.spec, subject.cutoff)[0])
    return f"{model.spec.classes[decided]} ({told})"


def _some(names: list[str]) -> str:
    """At most five by name, the others counted."""
    rest = len(names) - _NAMED
    return listed(names) if rest <= 0 else f"{', '.join(names[:_NAMED])} and {rest:,} more"


def _was(names: list[str]) -> str:
    return _were(len(names))


def _were(count: int) -> str:
    return "was" if count == 1 else "were"
