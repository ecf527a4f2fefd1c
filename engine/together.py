"""Many questions of one kind asked as one, where every row's answer is the same whatever is asked with it."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import numpy as np

from core.digest import digest
from core.nouns import Query
from core.results import Attribution, Prediction, Result
from core.scores import score
from engine.predict import Predict
from engine.questions import population_query
from engine.queue import Question
from explainers.base import score_range
from explainers.tree_shap import TreeShap
from storage.evidence import EvidenceStore

_MOST = 4_000_000
"""Numbers in the rows of one question."""
Ask = Callable[[Question], Result]


def apart(question: Question) -> bool:
    """Whether each row's answer is the same, to the last bit, as that of asking about it alone.

    So it is where trees are walked row by row; a network's sums may come out otherwise beside other rows.
    """
    return "trees" in question.model.spec.capabilities and isinstance(question.method, Predict | TreeShap)


def ask_each(ask: Ask, store: EvidenceStore, questions: Sequence[Question]) -> list[Result]:
    """The answers in order, each kept as if it had been asked for by itself.

    Those that have none yet are asked for in as few questions as there may be: what differs in its rows alone goes
    together.
    """
    fresh: dict[str, Result] = {}
    for batch in _batches([each for each in questions if apart(each) and not store.has(each.key)]):
        answers = dict(zip([each.key for each in batch], _split(ask, batch), strict=True))
        store.keep_all(answers)
        fresh |= answers
    return [fresh[each.key] if each.key in fresh else ask(each) for each in questions]


def _batches(questions: Sequence[Question]) -> Iterator[list[Question]]:
    """Lists of questions that differ in their rows alone, none with more numbers than one question may have."""
    alike: dict[str, list[Question]] = {}
    for each in questions:
        alike.setdefault(_but_rows(each), []).append(each)
    for several in alike.values():
        batch: list[Question] = []
        for question in several:
            if batch and sum(each.query.rows.size for each in (*batch, question)) > _MOST:
                yield batch
                batch = []
            batch.append(question)
        yield batch


def _but_rows(question: Question) -> str:
    """The digest of a question without its rows."""
    query = question.query
    reference = query.reference and query.reference.digest
    return digest(question.method.method.digest, query.model, query.target, reference, query.seed, query.cutoff)


def _split(ask: Ask, batch: list[Question]) -> Iterator[Result]:
    """The answer to all of them, cut into that of each."""
    first = batch[0]
    rows = np.concatenate([each.query.rows for each in batch])
    ids = tuple(row_id for each in batch for row_id in each.query.row_ids)
    lane = "long" if len(batch) > 1 else first.lane
    found = ask(replace(first, query=replace(first.query, rows=rows, row_ids=ids), lane=lane))
    usual = _usual(ask, first) if isinstance(found, Attribution) else None
    start = 0
    for each in batch:
        part = slice(start, start := start + len(each.query))
        yield _part(found, each.query, part, usual)


def _part(found: Prediction | Attribution, query: Query, part: slice, usual: np.ndarray | None) -> Result:
    """The rows of an answer that `query` asks about."""
    if isinstance(found, Prediction):
        return replace(found, query=query, outputs=found.outputs[part])
    output = found.output[part]
    return replace(
        found,
        query=query,
        values=found.values[part],
        base=found.base[part],
        output=output,
        spread=score_range(np.concatenate([output, usual])),
    )


def _usual(ask: Ask, question: Question) -> np.ndarray:
    """The scores of the reference rows (m,), over which an explanation's spread is taken."""
    model, query = question.model, question.query
    population = ask(replace(question, method=Predict(), query=population_query(model, query.reference)))
    return score(population.outputs, query.target, model.spec)
