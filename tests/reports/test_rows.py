"""Lists of rows: which fit, counted a second time row by row; and what is said of them."""

from dataclasses import replace

import numpy as np
import pytest

from core.nouns import Target
from core.scores import probabilities
from reports import rows as listing
from reports.rows import Sought
from tests.reports.conftest import LOAN_EFFECTS, LOAN_ROW, World


def decided(world: World, rng: np.random.Generator, known: bool = True) -> listing.Decided:
    """All rows of a world with random outputs and random true answers, some of them unknown."""
    count, spec = len(world.subject.dataset), world.model.spec
    labels = rng.integers(-1, max(len(spec.classes), 2), count) if spec.classes else rng.normal(size=count)
    outputs = rng.normal(size=(count, spec.columns))
    return listing.decided_rows(world.subject, world.model, np.arange(count), outputs, labels if known else None)


SOUGHT = (
    Sought(),
    Sought(decided=1),
    Sought(right=True),
    Sought(right=False, scores=(0.2, 0.7)),
    Sought(feature=0, values=(10_000, 50_000)),
    Sought(decided=0, feature=4, values=(1, 1)),
    Sought(feature=2),
)


@pytest.mark.parametrize("sought", SOUGHT, ids=str)
def test_the_rows_that_fit_are_those_found_one_by_one(loans: World, rng, sought: Sought) -> None:
    found = decided(loans, rng)
    fits = listing.fitting(loans.subject, loans.model, found, sought)
    for i, row in enumerate(loans.subject.dataset.rows):
        chance = probabilities(found.outputs[[i]], loans.model.spec)[0, 1]
        said, label = int(chance >= 0.6), found.labels[i]
        assert found.classes[i] == said
        wanted = sought.decided in (None, said)
        wanted &= sought.right is None or (label >= 0 and (label == said) == sought.right)
        wanted &= sought.scores is None or sought.scores[0] <= chance <= sought.scores[1]
        wanted &= sought.values is None or sought.values[0] <= row[sought.feature] <= sought.values[1]
        assert fits[i] == wanted, i


def test_a_missing_value_is_in_no_range(loans: World, rng) -> None:
    data = loans.subject.dataset
    values = data.rows.copy()
    values[:, 3] = np.nan
    subject = replace(loans.subject, dataset=replace(data, rows=values))
    fits = listing.fitting(subject, loans.model, decided(loans, rng), Sought(feature=3, values=(-1e9, 1e9)))
    assert not fits.any()


def test_the_heading_counts_what_fits(loans: World, rng) -> None:
    found = decided(loans, rng)
    everything = np.ones(200, dtype=bool)
    declined = found.classes == 1
    said = listing.headline(loans.subject, loans.model, found, everything)
    known = found.labels >= 0
    right = int((found.classes == found.labels)[known].sum())
    more, less = ("approved", "declined") if declined.mean() < 0.5 else ("declined", "approved")
    counts = {"declined": declined.sum(), "approved": (~declined).sum()}
    assert said == (
        f"All 200 applications are listed: {counts[more]} {more} and {counts[less]} {less}; "
        f"{right} of {known.sum()} with a true answer are decided so."
    )
    one = np.arange(200) == np.flatnonzero(declined & ~known)[0]
    assert listing.headline(loans.subject, loans.model, found, one) == "1 of 200 applications fits: 1 declined."
    assert listing.headline(loans.subject, loans.model, found, ~everything) == "0 of 200 applications fit."


def test_the_table_shows_ids_decisions_and_one_feature(loans: World, rng) -> None:
    found = decided(loans, rng)
    fits = np.isin(np.arange(200), [4, 9])
    shown = listing.table(loans.subject, loans.model, found, fits, feature=4)
    assert shown["application"] == ["1004", "1009"]
    purposes = [loans.model.spec.features[4].show(loans.subject.dataset.rows[i, 4]) for i in (4, 9)]
    assert shown["purpose"] == purposes
    assert shown["decision"] == [loans.model.spec.classes[k] for k in found.classes[[4, 9]]]


def test_a_hidden_feature_is_hidden_in_the_table(loans: World, rng) -> None:
    features = tuple(replace(each, hidden=each.name == "purpose") for each in loans.model.spec.features)
    model = replace(loans.model, spec=replace(loans.model.spec, features=features))
    shown = listing.table(loans.subject, model, decided(loans, rng), np.arange(200) < 3, feature=4)
    assert shown["purpose"] == ["hidden"] * 3


def test_of_several_classes_the_score_is_that_of_the_decided_one(scans: World, rng) -> None:
    found = decided(scans, rng)
    chances = probabilities(found.outputs, scans.model.spec)
    assert np.array_equal(found.scores, chances.max(axis=1))
    fits = listing.fitting(scans.subject, scans.model, found, Sought(decided=2))
    assert np.array_equal(fits, chances.argmax(axis=1) == 2)


def test_a_predicted_number_has_no_right_and_wrong(houses: World, rng) -> None:
    found = decided(houses, rng)
    fits = listing.fitting(houses.subject, houses.model, found, Sought(right=True, scores=(0.0, 9.0)))
    assert np.array_equal(fits, found.outputs[:, 0] >= 0)
    shown = listing.table(houses.subject, houses.model, found, fits, None)
    assert list(shown) == ["house", "predicted price", "price in the data"]
    assert listing.headline(houses.subject, houses.model, found, fits) == f"{fits.sum()} of 120 houses fit."


def test_rows_that_somebody_brought_are_said(loans: World, houses: World) -> None:
    labels = np.full(3, -1)
    found = listing.decided_rows(loans.subject, loans.model, np.arange(3), np.array([[9.0], [-9.0], [8.0]]), labels)
    assert listing.own_headline(loans.subject, loans.model, found) == "Of your 3 rows: 2 declined and 1 approved."
    assert "true answer" not in listing.decisions(loans.model.spec, found, np.arange(3))
    numbers = listing.decided_rows(houses.subject, houses.model, np.arange(1), np.array([[5.0]]), np.array([np.nan]))
    assert listing.own_headline(houses.subject, houses.model, numbers) == "For your row the predicted price is 5 EUR."


def test_what_moved_each_row_is_said_or_that_nothing_stands_out(loans: World) -> None:
    found = loans.attribution(LOAN_ROW, LOAN_EFFECTS, Target(1, "margin"))
    (said,) = listing.moved_by(found, loans.subject, loans.model.spec)
    assert said.startswith("Debt ratio 61 % (+0.84)")
    nothing = loans.attribution(LOAN_ROW, np.zeros(6), Target(1, "margin"))
    assert listing.moved_by(nothing, loans.subject, loans.model.spec) == ["nothing stands out"]


def test_a_row_unlike_the_data_gets_no_reasons(loans: World) -> None:
    strange = LOAN_ROW * [9, 1, 1, 1, 1, 1]  # an income far beyond the bounds
    found = loans.attribution(strange, LOAN_EFFECTS, Target(1, "margin"))
    assert listing.moved_by(found, loans.subject, loans.model.spec) == [listing.UNLIKE]


def test_two_samples_are_compared(loans: World) -> None:
    found = loans.attribution(LOAN_ROW, LOAN_EFFECTS, Target(1, "margin"))
    same = listing.samples_sentence(found, found, loans.model.spec)
    assert "5 are the same" in same and "1.00" in same
    turned = loans.attribution(LOAN_ROW, LOAN_EFFECTS[::-1], Target(1, "margin"))
    other = listing.samples_sentence(found, turned, loans.model.spec)
    assert "4 are the same" in other
