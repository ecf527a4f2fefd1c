"""What a reader does not get: masked columns, and in a letter whatever is about other people than the one it is to.

Other people's rows and everything computed from them are blank, the rows of every reference too. Their names and the
digests of the whole answers stay, so that whoever holds the data can compute them again.
"""

from collections.abc import Collection
from dataclasses import fields, replace
from typing import TypeVar

import numpy as np

from access.masks import masked_result
from core.nouns import ModelSpec, Query, Reference
from core.results import Result

R = TypeVar("R", bound=Result)


def others(query: Query, row_ids: Collection[str]) -> np.ndarray:
    """Which rows of a query (n,) are not about these people. A row made of two people's values has another name."""
    return np.array([each not in row_ids for each in query.row_ids], dtype=bool)


def withheld(result: R, row_ids: Collection[str]) -> R:
    """`result` with everything blank that is not about these people: NaN, and -1 where a class is named."""
    query = result.query
    away = others(query, row_ids)
    arrays = {each.name: getattr(result, each.name) for each in fields(result)}
    blank = {name: _blank(value, away) for name, value in arrays.items() if isinstance(value, np.ndarray)}
    return replace(result, query=_withheld(query, away), **blank)


def _withheld(query: Query, away: np.ndarray) -> Query:
    reference = query.reference
    if reference is not None:
        reference = Reference(np.full_like(reference.rows, np.nan), reference.row_ids, reference.seed)
    return replace(query, rows=_blank(query.rows, away), reference=reference)


def _blank(array: np.ndarray, away: np.ndarray) -> np.ndarray:
    """A copy of `array` (n, ...) without the rows where `away` (n,) is true."""
    blank = array.copy()
    blank[away] = np.nan if array.dtype.kind == "f" else -1
    return blank


def seen(result: R, spec: ModelSpec, audience: str, row_ids: Collection[str]) -> R:
    """`result` as the reader of a report about `row_ids` may see it: without masked columns, in a letter others' rows.

    `spec` has the masked columns hidden.
    """
    shown = masked_result(result, spec)
    return withheld(shown, row_ids) if audience == "letter" else shown
