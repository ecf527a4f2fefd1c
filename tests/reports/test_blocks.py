"""Blocks: said once, folded where long, with the words that they need explained."""

import numpy as np

from core.nouns import Feature
from reports import blocks


def test_what_all_ledgers_share_is_said_once() -> None:
    first, second = [("Seed", "1"), ("Method", "a")], [("Seed", "1"), ("Method", "b")]
    shared, one, other = blocks.ledgers([("One", first), ("Other", second)])
    assert shared["rows"] == [["Seed", "1"]] and one["rows"] == [["Method", "a"]] and other["rows"] == [["Method", "b"]]
    assert [block["title"] for block in blocks.ledgers([("One", first)])] == ["One"]


def test_long_narrow_tables_are_folded() -> None:
    rows = [["a", "b"]] * 20
    assert blocks.table(["x", "y"], rows)["folded"] and not blocks.table(["x", "y"], rows[:5])["folded"]
    assert not blocks.table(["x", "y"], rows, folded=False)["folded"]
    assert not blocks.table(["x"] * 5, [["a"] * 5] * 20)["folded"]


def test_what_is_usual_is_the_median_or_the_most_frequent() -> None:
    assert blocks.usual(Feature("a", "integer"), np.array([1.0, 2.0, 9.0, np.nan])) == "2"
    assert blocks.usual(Feature("a", "category", categories=("x", "y")), np.array([0.0, 1.0, 1.0])) == "y"
    assert blocks.usual(Feature("a"), np.array([np.nan])) == "missing"
    assert blocks.usual(Feature("a", hidden=True), np.array([1.0])) == "hidden"


def test_the_glossary_holds_the_words_that_are_printed() -> None:
    printed = blocks.with_glossary({"sections": [blocks.section("?", "By SHAP", [blocks.text("In log-odds.")])]})
    assert [term for term, _ in printed["glossary"]] == ["log-odds", "SHAP"]


def test_shares_of_a_matrix_are_those_of_its_rows() -> None:
    block = blocks.matrix(np.array([[3, 1], [0, 0]]), ("a", "b"), "what it says")
    assert [cell["share"] for row in block["rows"] for cell in row] == [0.75, 0.25, 0.0, 0.0]
