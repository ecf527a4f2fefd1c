"""What was measured: charts by the figures, groups and attacks as they were, what is missing said."""

from dataclasses import replace

import numpy as np
import pytest

from reports import measured
from reports.whole import Whole
from tests.reports.conftest import World
from tests.reports.dossiers import dossier


@pytest.fixture
def whole(loans) -> Whole:
    return Whole(dossier(loans))


def kinds(section: dict) -> list[str]:
    return [block["kind"] for block in section["blocks"]]


def test_the_curve_falls_with_the_size_and_keeps_noise_beside_it(whole: Whole) -> None:
    drawn = measured.curve(whole).drawn
    noise, attack = (line["points"] for line in drawn["lines"])
    assert [x for x, _ in noise] == [x for x, _ in attack] and len(attack) == 4
    held = [whole.held(each) for each in whole.dossier.strongest]
    assert [y for _, y in attack] == pytest.approx([held[0].accuracy, *(each.attacked for each in held)])
    assert [y for _, y in noise] == pytest.approx([held[0].accuracy, *(each.noise for each in held)])
    assert {label["text"] for label in drawn["labels"]} == {"noise of the same size", "Random search"}


def test_importance_is_ordered_and_says_what_is_left_out(whole: Whole) -> None:
    block = measured.importance(whole, whole.dossier.surveyed, most=2)
    sizes = np.abs(whole.dossier.surveyed.values).mean(axis=0)
    order = np.argsort(-sizes)[:2]
    titles = [whole.spec.features[i].title for i in order]
    assert [label.lower() for label, _ in block["labels"]] == [title.lower() for title in titles]
    assert "without the 4 smallest" in block["columns"][0]["title"]


def test_groups_are_those_of_protected_features_and_categories(loans: World) -> None:
    spec = loans.model.spec
    features = tuple(replace(each, protected=each.name == "income") for each in spec.features)
    model = replace(loans.model, spec=replace(spec, features=features))
    whole = Whole(dossier(World(replace(loans.subject, models=(model,)), model)))
    section = measured.groups(whole)
    tables = [block for block in section["blocks"] if block["kind"] == "table"]
    assert [table["head"][0] for table in tables] == ["Income, protected", "Purpose", "Guarantor"]
    for table in tables:
        assert sum(int(row[1]) for row in table["rows"]) == 40
    assert "no verdict" in section["heading"]


def test_what_cannot_be_measured_is_missing(request) -> None:
    scans, houses, reviews = (Whole(dossier(request.getfixturevalue(name))) for name in ("scans", "houses", "reviews"))
    assert "missing" in kinds(measured.groups(scans)) and "missing" in kinds(measured.attacks(houses))
    assert "missing" in kinds(measured.behaviour(reviews)) and "missing" not in kinds(measured.performance(houses))
    assert "matrix" in kinds(measured.performance(scans)) and "charts" in kinds(measured.performance(houses))
