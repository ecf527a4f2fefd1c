"""Columns whose values a person may not see: hidden in what is shown, blank in what is taken away.

The rows that the model is asked about stay whole, so that every answer and its digest is the same for whoever asks. A
masked column's effects stay visible too: they are what was granted, and they tell something of the values behind them.
"""

from collections.abc import Iterable
from dataclasses import replace
from typing import TypeVar

import numpy as np

from core.errors import UserFacingError
from core.nouns import ModelSpec, Query, Reference, Subject
from core.results import Attacked, Result

R = TypeVar("R", bound=Result)


def maskable(subject: Subject) -> tuple[str, ...]:
    """The columns that can be masked, by name: those of a table; none of pictures and texts."""
    spec = subject.model().spec
    return tuple(feature.name for feature in spec.features) if spec.modality == "table" else ()


def masked(subject: Subject, columns: Iterable[str]) -> Subject:
    """`subject` with the values of these columns hidden from whoever is shown it.

    Raises UserFacingError for a name that is no column of its table.
    """
    wanted = frozenset(columns)
    unknown = sorted(wanted - set(maskable(subject)))
    if unknown:
        raise UserFacingError(
            f"The column {unknown[0]!r} cannot be masked",
            f"{subject.title} has no table with a column of that name",
            "Choose columns that it has; of pictures and texts nothing can be masked",
        )
    if not wanted:
        return subject
    models = tuple(replace(model, spec=_hiding(model.spec, wanted)) for model in subject.models)
    return replace(subject, models=models)


def hidden(spec: ModelSpec) -> tuple[int, ...]:
    """The positions of the features whose values are hidden. Pictures and texts have none and are not gone through."""
    if spec.modality != "table":
        return ()
    return tuple(place for place, feature in enumerate(spec.features) if feature.hidden)


def masked_result(result: R, spec: ModelSpec) -> R:
    """`result` with NaN in the hidden features of `spec`: in its rows, its reference and the rows an attack made.

    Its digest is another than that of the whole result, which a download has to name beside it.
    """
    places = list(hidden(spec))
    if not places:
        return result
    changed = {"query": _blank_query(result.query, places)}
    if isinstance(result, Attacked):
        changed |= {name: _blank(getattr(result, name), places) for name in ("perturbed", "noise")}
    return replace(result, **changed)


def _hiding(spec: ModelSpec, columns: frozenset[str]) -> ModelSpec:
    features = tuple(replace(each, hidden=True) if each.name in columns else each for each in spec.features)
    return replace(spec, features=features)


def _blank_query(query: Query, places: list[int]) -> Query:
    reference = query.reference
    if reference is not None:
        reference = Reference(_blank(reference.rows, places), reference.row_ids, reference.seed)
    return replace(query, rows=_blank(query.rows, places), reference=reference)


def _blank(rows: np.ndarray, places: list[int]) -> np.ndarray:
    """A copy of `rows` (n, d) with NaN at these positions."""
    blank = rows.copy()
    blank[:, places] = np.nan
    return blank
