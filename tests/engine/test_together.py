"""Questions asked together: what is kept of each row is, to the last bit, what asking about it alone gives."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from core.nouns import Target
from engine import together
from engine.engine import Engine, Question
from engine.predict import Predict
from engine.questions import explain_query, prediction_query
from engine.subjects import load_subject
from engine.together import apart, ask_each
from explainers import explainer
from storage.evidence import EvidenceStore
from storage.stores import stores


@pytest.fixture(scope="module")
def homes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Engine, Path]]:
    with pytest.MonkeyPatch.context() as patch:
        home = tmp_path_factory.mktemp("together") / "home"
        patch.setenv("ASSAY_HOME", str(home))
        engine = Engine(EvidenceStore(stores().vault))
        yield engine, home
        engine.close()


def questions(name: str, method: str, places: range) -> list[Question]:
    subject = load_subject(name)
    model = subject.model()
    if method == "predict":
        return [Question(model, Predict(), prediction_query(subject, model, [place, place + 50])) for place in places]
    target, reference = Target(1, "margin"), subject.reference(20)
    queries = [explain_query(subject, model, [place], target, reference) for place in places]
    return [Question(model, explainer(method), query) for query in queries]


@pytest.mark.parametrize("name", ["loans", "tumours"])
@pytest.mark.parametrize("method", ["predict", "tree_shap"])
def test_an_answer_is_the_one_it_would_be_alone(homes, monkeypatch, name: str, method: str) -> None:
    engine, _ = homes
    monkeypatch.setattr(together, "_MOST", 120)  # so that there are several batches
    asked: list[Question] = []

    def ask(question: Question):
        asked.append(question)
        return engine.ask(question)

    each = questions(name, method, range(7, 19))
    found = ask_each(ask, engine.store, each)
    assert 1 < len([one for one in asked if one.method == each[0].method]) < len(each)
    for question, answer in zip(each, found, strict=True):
        alone = engine.submit(question, fresh=True).result()
        assert answer.digest == alone.digest
        assert engine.store.answer(question.key).digest == alone.digest


def test_what_is_known_is_not_asked_again(homes) -> None:
    engine, _ = homes
    each = questions("loans", "tree_shap", range(30, 34))
    ask_each(engine.ask, engine.store, each[:2])
    asked: list[int] = []

    def ask(question: Question):
        asked.append(len(question.query))
        return engine.ask(question)

    assert [answer.query.row_ids for answer in ask_each(ask, engine.store, each)] == [q.query.row_ids for q in each]
    assert 4 not in asked, "only the two that were new went together"
    assert 2 in asked


def test_a_network_is_asked_about_each_row_by_itself(homes) -> None:
    subject = load_subject("tumours")
    model = subject.model("mlp")
    each = [Question(model, Predict(), prediction_query(subject, model, [place])) for place in (3, 4)]
    assert not apart(each[0])
    assert [len(answer.query) for answer in ask_each(homes[0].ask, homes[0].store, each)] == [1, 1]
