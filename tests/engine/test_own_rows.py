"""Rows of somebody's own: read in a worker, held to the model's columns, refused in words."""

import numpy as np
import pytest

from core.errors import UserFacingError
from core.nouns import Feature, ModelSpec
from data_files import inspect_data
from engine import own_rows
from engine.own_rows import own_rows as read
from engine.tasks import as_bytes

FEATURES = (
    Feature("income", upper=90_000),
    Feature("purpose", "category", categories=("car", "house"), upper=1, missing=True),
    Feature("guarantor", "boolean"),
)
TABLE = b"income,purpose,guarantor\n1,car,yes\n"
SPEC = ModelSpec("table", (3,), FEATURES, ("no", "yes"), "margin", "a" * 64)


def test_rows_are_read_in_the_models_order_whatever_order_they_come_in() -> None:
    rows, ids = read(b"guarantor,extra,purpose,income\nyes,1,house,1000\nno,2,,2500.5\n", SPEC)
    assert np.array_equal(rows, [[1000, 1, 1], [2500.5, np.nan, 0]], equal_nan=True)
    assert ids == ("own 1", "own 2")


def test_rows_go_by_their_own_names() -> None:
    _, ids = read(b"row_id,income,purpose,guarantor\nx,1,car,yes\ny,2,car,no\n", SPEC)
    assert ids == ("own x", "own y")


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"income,purpose\n1,car\n", "has no column 'guarantor'"),
        (b"income,purpose,guarantor\n90001,car,yes\n", "outside 0 to 90000"),
        (b"income,purpose,guarantor\n1,boat,yes\n", "none of the column's categories"),
        (b"income,purpose,guarantor\n,car,yes\n", "is missing"),
        (b"row_id,income,purpose,guarantor\na,1,car,yes\na,2,car,yes\n", "both called"),
        (b"\x80\x04\x95 a pickle, say", "not taken"),
    ],
)
def test_what_does_not_fit_is_refused(body: bytes, why: str) -> None:
    with pytest.raises(UserFacingError, match=why):
        read(body, SPEC)


def test_too_many_and_too_large_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(own_rows, "MOST", 2)
    with pytest.raises(UserFacingError, match="3 rows are too many"):
        read(b"income,purpose,guarantor\n" + b"1,car,yes\n" * 3, SPEC)
    monkeypatch.setattr(own_rows, "LARGEST", 8)
    with pytest.raises(UserFacingError, match="too large"):
        read(TABLE, SPEC)


def test_pictures_are_no_rows() -> None:
    with pytest.raises(UserFacingError, match="reads no table"):
        read(b"", ModelSpec("image", (2, 2, 1), (Feature("p", "pixel"),) * 4, ("a", "b"), "logit", "b" * 64))


LIES = (
    {"rows": np.zeros((1, 9))},
    {"rows": np.zeros((1, 3), dtype=np.int64)},
    {"rows": np.full((1, 3), np.inf)},
    {"rows": np.zeros((2, 3))},
    {"row_ids": np.zeros(2), "row_ids.ends": np.zeros(2)},
)


@pytest.mark.parametrize("lie", LIES)
def test_what_a_worker_says_is_not_trusted(monkeypatch: pytest.MonkeyPatch, lie: dict[str, np.ndarray]) -> None:
    honest = {"rows": np.zeros((1, 3)), **as_bytes("row_ids", ["1"])}
    monkeypatch.setattr(own_rows, "look_at_data", lambda file, *_ways: inspect_data(file))
    monkeypatch.setattr(own_rows, "run_task", lambda *_asked: ({}, honest))
    assert read(TABLE, SPEC)[1] == ("own 1",)
    monkeypatch.setattr(own_rows, "run_task", lambda *_asked: ({}, honest | lie))
    with pytest.raises(UserFacingError, match="sent something else"):
        read(TABLE, SPEC)
