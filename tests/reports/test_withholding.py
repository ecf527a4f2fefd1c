"""A letter's reader gets nothing computed for others, and all that is their own."""

from dataclasses import replace

import numpy as np
import pytest

from access.masks import masked
from core.nouns import Target
from reports.withholding import others, seen, withheld
from tests.reports.conftest import LOAN_EFFECTS, LOAN_ROW, World

MARGIN = Target(1, "margin")


def test_what_is_of_others_is_blank_and_what_is_their_own_is_whole(loans: World) -> None:
    found = loans.attribution(LOAN_ROW, LOAN_EFFECTS, MARGIN)
    query = replace(found.query, rows=np.stack([LOAN_ROW, LOAN_ROW + 1]), row_ids=("1042", "1042, part 1 as in 7"))
    both = replace(
        found,
        query=query,
        values=np.stack([LOAN_EFFECTS, LOAN_EFFECTS]),
        base=np.zeros(2),
        output=np.ones(2),
        error=np.ones((2, 6)),
    )
    assert others(query, ("1042",)).tolist() == [False, True]
    shown = withheld(both, ("1042",))
    for name in ("values", "base", "output", "error"):
        own, other = getattr(shown, name)
        assert np.isnan(other).all() and np.array_equal(own, getattr(both, name)[0])
    assert np.array_equal(shown.query.rows[0], LOAN_ROW, equal_nan=True) and np.isnan(shown.query.rows[1]).all()
    assert np.isnan(shown.query.reference.rows).all()
    assert (shown.query.row_ids, shown.query.reference.row_ids) == (query.row_ids, query.reference.row_ids)


def test_classes_of_others_are_blank_too(loans: World) -> None:
    outputs = (np.array([0.9]), np.array([-0.5]), np.array([0.8]))
    attacked = loans.attacked(LOAN_ROW, LOAN_ROW + 1, LOAN_ROW, outputs, MARGIN)
    shown = withheld(attacked, ("another",))
    assert (shown.clean_class.tolist(), shown.attacked_class.tolist()) == ([-1], [-1])
    assert np.isnan(shown.perturbed).all() and np.isnan(shown.clean_outputs).all()
    own = withheld(attacked, ("1042",))
    assert np.array_equal(own.perturbed, attacked.perturbed, equal_nan=True) and own.clean_class == attacked.clean_class


@pytest.mark.parametrize("audience", ["decision", "full", "summary", "letter"])
def test_masks_hold_for_everybody_and_other_people_for_letters(loans: World, audience: str) -> None:
    limited = masked(loans.subject, ["income"]).model().spec
    found = loans.attribution(LOAN_ROW, LOAN_EFFECTS, MARGIN)
    shown = seen(found, limited, audience, ("1042",))
    assert np.isnan(shown.query.rows[0, 0]) and shown.query.rows[0, 1] == LOAN_ROW[1]
    assert np.isnan(shown.query.reference.rows[:, 1]).all() == (audience == "letter")
