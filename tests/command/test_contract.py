"""What the command line gives is what the pages give away, but for a few keys."""

from collections.abc import Mapping

import numpy as np
import pytest

from command import contract
from core.nouns import Feature, ModelSpec, Target
from reports import evidence
from tests.reports.conftest import LOAN_EFFECTS, LOAN_FEATURES, LOAN_ROW, World, world

MARGIN = Target(1, "margin")


@pytest.fixture
def loans() -> World:
    spec = ModelSpec("table", (6,), LOAN_FEATURES, ("approved", "declined"), "margin", "a" * 64)
    return world("Loans", "application", spec, np.random.default_rng(0).random((120, 6)), 0.6)


def same(one: Mapping[str, object], other: Mapping[str, object], but: set[str]) -> None:
    """Two contracts say the same, and are said in the same order, apart from some keys."""
    kept = [[key for key in each if key not in but] for each in (one, other)]
    assert kept[0] == kept[1]
    for key in kept[0]:
        np.testing.assert_equal(one[key], other[key])


def test_an_explanation_leaves_the_rows_out(loans: World) -> None:
    found = loans.attribution(LOAN_ROW, LOAN_EFFECTS, MARGIN)
    told, given = (
        contract.explained(loans.subject, loans.model, found, True),
        evidence.contract(loans.subject, loans.model, found),
    )
    same(told, given, {"inputs"})
    assert "inputs" not in told
    assert told["reference"]["digest"] == found.query.reference.digest


def test_a_method_that_compares_with_nothing_has_no_reference(loans: World) -> None:
    found = loans.attribution(LOAN_ROW, LOAN_EFFECTS, MARGIN)
    assert contract.explained(loans.subject, loans.model, found, False)["reference"] is None


def test_an_attack_is_called_one(loans: World) -> None:
    moved = LOAN_ROW + [1.0, 0, 0, 0, 0, 0]
    outputs = (np.array([0.9]), np.array([-0.5]), np.array([0.8]))
    found = loans.attacked(LOAN_ROW, moved, moved, outputs, MARGIN)
    told = contract.attacked(loans.subject, loans.model, found)
    given = evidence.contract(loans.subject, loans.model, found)
    same(told, given, {"attack", "method"})
    assert told["attack"] == given["method"] and "method" not in told


def test_a_pictures_pixels_are_named() -> None:
    pixels = tuple(Feature(f"pixel_{place}", "pixel", upper=16) for place in range(4))
    spec = ModelSpec("image", (2, 2, 1), pixels, ("3", "8"), "margin", "b" * 64)
    scans = world("Scans", "scan", spec, np.random.default_rng(1).random((120, 2, 2, 1)))
    found = scans.attribution(scans.subject.dataset.rows[0], np.zeros(4), MARGIN)
    told = contract.explained(scans.subject, scans.model, found, True)
    same(told, evidence.contract(scans.subject, scans.model, found), {"inputs", "features"})
    assert told["features"] == [feature.name for feature in pixels]
