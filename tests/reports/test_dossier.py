"""Cases are chosen by rule, and every answer of a dossier is an exhibit once."""

from dataclasses import replace

import numpy as np
import pytest

from core.likeness import unlike
from core.nouns import Subject
from core.results import Prediction
from core.scores import decide
from reports.dossier import KINDS, KINDS_OF_NUMBERS, Chosen, choose, rule
from tests.reports.conftest import World
from tests.reports.dossiers import dossier
from tests.reports.test_words import FORBIDDEN


def labelled(world: World, labels: np.ndarray) -> Subject:
    return replace(world.subject, dataset=replace(world.subject.dataset, labels=labels))


def judged(world: World, places: np.ndarray, outputs: np.ndarray) -> Prediction:
    data = world.subject.dataset
    found = world.prediction(data.rows[places], outputs)
    return replace(found, query=replace(found.query, row_ids=tuple(data.row_ids[place] for place in places)))


def kinds(chosen: tuple[Chosen, ...]) -> list[str]:
    return [each.kind for each in chosen]


def test_cases_of_two_classes(loans: World) -> None:
    places = np.arange(5, 65)
    odds = np.concatenate([np.linspace(-5, -1, 39), np.linspace(1, 4, 20), [0.5]])  # the cut-off 0.6 is at 0.41
    labels = np.zeros(200, dtype=int)
    labels[5 + 39 : 65] = 1
    labels[[7, 30, 50]] = 1 - labels[[7, 30, 50]]
    subject = labelled(loans, labels)
    found = choose(subject, loans.model, judged(loans, places, odds[:, None]))
    assert kinds(found) == ["typical", "typical", "borderline", "wrong", "unlike"]
    positions = [each.position for each in found]
    assert positions[0] == 5 + 19, "the median of those approved"
    assert positions[1] in (5 + 48, 5 + 49), "the median of those declined"
    assert positions[2] == 64, "nearest to the cut-off"
    assert positions[3] == 7, "the surest of the wrong ones"
    ids = [subject.dataset.row_ids[place] for place in places]
    strange = unlike(subject.dataset, loans.model.spec, subject.dataset.rows[places], ids).distance
    assert positions[4] == places[strange.argmax()]


def test_a_row_is_chosen_once(loans: World) -> None:
    places = np.arange(3)
    labels = np.ones(200, dtype=int)
    found = choose(labelled(loans, labels), loans.model, judged(loans, places, np.array([[-3.0], [-2.0], [-1.0]])))
    assert kinds(found) == ["typical", "borderline", "wrong"], "one class is decided, and no row is left"
    assert [each.position for each in found] == [1, 2, 0]


def test_without_true_answers_none_is_wrong(loans: World) -> None:
    subject = labelled(loans, np.full(200, -1))
    found = choose(subject, loans.model, judged(loans, np.arange(20), np.linspace(-2, 2, 20)[:, None]))
    assert kinds(found) == ["typical", "typical", "borderline", "unlike"]


def test_cases_of_many_classes(scans: World) -> None:
    outputs = np.random.default_rng(4).normal(size=(120, 3)) * 3
    labels = np.random.default_rng(5).integers(0, 3, 120)
    subject = labelled(scans, labels)
    found = choose(subject, scans.model, judged(scans, np.arange(120), outputs))
    decided = decide(outputs, scans.model.spec, None)
    most = np.argsort(-np.bincount(decided), kind="stable")[:2]
    assert [decided[each.position] for each in found[:2]] == most.tolist()
    gaps = np.diff(np.sort(outputs, axis=1)[:, -2:], axis=1)[:, 0]
    assert gaps[found[2].position] == gaps.min()
    wrong = decided != labels
    assert wrong[found[3].position] and gaps[found[3].position] == gaps[wrong].max()


def test_cases_of_a_predicted_number(houses: World) -> None:
    values = np.linspace(100, 220, 101)
    labels = np.full(120, np.nan)
    labels[:90] = values[:90] + 1
    labels[33] += 500
    found = choose(labelled(houses, labels), houses.model, judged(houses, np.arange(101), values[:, None]))
    assert kinds(found) == ["typical", "wrong", "unlike"]
    assert [each.position for each in found[:2]] == [50, 33]


@pytest.mark.parametrize("name", ["loans", "scans", "houses", "reviews"])
def test_every_answer_is_an_exhibit_once(name: str, request: pytest.FixtureRequest) -> None:
    found = dossier(request.getfixturevalue(name))
    exhibits = list(found.exhibits())
    names, digests = [each.name for each in exhibits], [each.result.digest for each in exhibits]
    assert len(set(names)) == len(names) and len(set(digests)) == len(digests)
    assert all(name == name.lower() and " " not in name for name in names)
    behind = [found.judged, found.population, *found.seconds, *found.attacked, *found.shifted]
    for each in found.grounds:
        behind += [each.explained, each.swapped, *each.resampled]
    behind += [each for each in (found.surveyed, found.extreme) if each is not None]
    assert {each.digest for each in behind} == set(digests)


def test_the_strongest_attack_is_told_from_the_others(loans: World) -> None:
    found = dossier(loans)
    other = replace(found.attacked[1], method=replace(found.attacked[1].method, name="pgd"))
    both = replace(found, attacked=(*found.attacked, other))
    assert both.strongest == found.attacked and both.others == (other,)
    assert replace(found, attacked=()).strongest == ()


def test_the_rule_is_said_in_plain_words(loans: World, houses: World) -> None:
    for world, kinds in ((loans, KINDS), (houses, KINDS_OF_NUMBERS)):
        said = rule(world.subject, world.model, judged(world, np.arange(60), np.zeros((60, 1))))
        assert said.startswith("Among 60 ") and said.endswith("Nobody picked them.") and not FORBIDDEN.search(said)
        assert all(text in said for text in kinds.values())
