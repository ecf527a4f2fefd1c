"""The pages on which a model is shared and checked, drawn by Streamlit's own test runner for each role."""

import io
import json
import os
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from access import exchange, sharing
from access.desk import Desk
from access.log import Log
from access.notes import About
from access.people import Person
from access.sessions import Sessions
from core.errors import UserFacingError
from core.nouns import Query, Target
from engine.engine import Engine, Question
from engine.predict import Predict
from engine.subjects import files_of
from reports import evidence
from storage.stores import Stores, stores
from tests.access.house import SETTINGS, claims
from ui import checking

ANALYST = Person("a" * 16, "Grace", ("analyst",), mfa=True, session="1" * 64)
ADA = Person("b" * 16, "Ada", ("auditor",), email="ada@example.org", session="2" * 64)
KEEPER = Person("c" * 16, "Kay", ("admin",), mfa=True, session="3" * 64)
SECONDS = 120


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory):
    """One house for all of these tests, so that what was asked once is known."""
    place = tmp_path_factory.mktemp("house") / "home"
    before = os.environ.get("ASSAY_HOME")
    os.environ["ASSAY_HOME"] = str(place)
    yield place
    os.environ.pop("ASSAY_HOME") if before is None else os.environ.update(ASSAY_HOME=before)


@pytest.fixture(scope="module")
def house(home) -> Desk:
    engine = Engine.open()
    yield Desk(ANALYST, engine, stores(), Log(stores().database, stores().vault), SETTINGS)
    engine.close()


def screen(page: str, desk: Desk, subject: str = "", at: dict[str, str] | None = None) -> AppTest:
    """A page as a person sees it."""

    def draw(page, desk):
        import importlib

        import streamlit as st

        from ui import address, header, problems
        from ui.bench import Bench

        module = importlib.import_module(f"pages.{page}")
        address.begin()
        with problems.shown():
            landing = st.Page(lambda: None, title="Decision", url_path="d", default=True)
            st.navigation([landing], position="hidden")
            module.render(header.draw(desk, module.PAGE) if module.PAGE.about_row else Bench(desk, landing))
        address.end()

    app = AppTest.from_function(draw, default_timeout=SECONDS, args=(page, desk))
    for name, value in (({"subject": subject} if subject else {}) | (at or {})).items():
        app.query_params[name] = value
    return app.run()


def told(app: AppTest) -> str:
    """Everything that stands on the page."""
    kinds = (app.title, app.header, app.markdown, app.error, app.success, app.info, app.warning, app.caption)
    return "\n".join(str(each.value).replace("\\", "") for kind in kinds for each in kind)


def heading(app: AppTest) -> str:
    assert not app.exception, app.exception
    return app.title[0].value.replace("\\", "")


@pytest.fixture(scope="module")
def frozen(house: Desk) -> sharing.Snapshot:
    """The tumours, frozen on the page, and granted to Ada with the radius hidden."""
    app = screen("share", house)
    assert heading(app) == "Breast tumours is not frozen yet, so it cannot be shared."
    app.text_input[0].set_value("First audit")
    app = press(app, "Freeze it")
    assert heading(app) == "Breast tumours has 1 frozen version; outside this house nobody sees one."
    (made,) = exchange.versions(house)
    masks = [feature.name for feature in house.subject("tumours").model().spec.features if "radius" in feature.name]
    app.text_input(key="grant-to").set_value("Ada@Example.org")
    app.multiselect(key="grant-masks").set_value(masks)
    app.number_input(key="grant-budget").set_value(40)
    app = press(app, "Grant it")
    assert "1 person sees one" in heading(app)
    assert "ada@example.org sees First audit" in told(app)
    return made


def of(house: Desk, person: Person) -> Desk:
    """The desk of the same house for another person."""
    return Desk(person, house.engine, Stores(house.database, house.vault), house.log, house.rules)


def press(app: AppTest, label: str) -> AppTest:
    return next(each for each in app.button if each.label == label).click().run()


def values(app: AppTest) -> list[str]:
    """Every cell of every table on the page."""
    return [str(cell) for each in app.dataframe for cell in each.value.to_numpy().ravel()]


def test_rows_are_found_by_decision_answer_score_and_feature(house: Desk) -> None:
    every = screen("check", house, "tumours")
    assert heading(every).startswith("All 569 patients are listed: 358 benign and 211 malignant")
    wrong = screen("check", house, "tumours", {"right": "wrong", "decided": "malignant"})
    count = int(heading(wrong).split()[0])
    assert 0 < count < 30
    assert len(wrong.dataframe[0].value) == count
    assert set(wrong.dataframe[0].value["true answer"]) == {"benign"}
    none = screen("check", house, "tumours", {"decided": "malignant", "scores": "0..0.1"})
    assert heading(none) == "0 of 569 patients fit." and "Widen a range" in told(none)
    refused = screen("check", house, "tumours", {"scores": "0.9..0.1"})
    assert "cannot be used" in told(refused)


def test_a_granted_version_shows_no_hidden_value_and_offers_no_hidden_column(house: Desk, frozen) -> None:
    ada = of(house, ADA)
    left = ada.left(ada.grants()[0])
    app = screen("check", ada, frozen.short)
    assert heading(app).startswith("All 569 patients are listed")
    assert ada.left(ada.grants()[0]) == left == 40, "what the page shows first was frozen and costs nothing"
    offered = next(each for each in app.selectbox if each.label == "Feature").options
    assert "smoothness" in " ".join(offered) and "radius" not in " ".join(offered)
    radius = next(f for f in house.subject("tumours").model().spec.features if "radius" in f.name)
    asked = screen("check", ada, frozen.short, {"by": radius.name})
    assert f"no feature '{radius.name}'" in told(asked)


def test_a_sample_of_ones_own_takes_of_the_budget_and_too_large_a_one_is_refused(house: Desk, frozen) -> None:
    ada = of(house, ADA)
    app = screen("check", ada, frozen.short, {"check": "sample", "own-sample": "20", "own-seed": "5"})
    assert heading(app) == "20 rows drawn with seed 5 can be explained."
    assert "This takes 20 of the 40 rows that you may still have computed." in told(app)
    assert ada.left(ada.grants()[0]) == 40, "nothing is asked before a person says so"
    app = press(app, "Explain them")
    assert heading(app).startswith("On average over 20 patients")
    assert "are the same in your sample" in told(app)
    assert ada.left(ada.grants()[0]) == 20
    again = screen("check", ada, frozen.short, {"check": "sample", "own-sample": "20", "own-seed": "5"})
    assert heading(again).startswith("On average over 20 patients"), "what was answered takes nothing"
    app = screen("check", ada, frozen.short, {"check": "sample", "own-sample": "200", "own-seed": "5"})
    app = press(app, "Explain them")
    assert "The budget is not enough for this" in told(app)
    assert ada.left(ada.grants()[0]) == 20


def test_answers_asked_again_are_the_same(house: Desk, frozen) -> None:
    ada = of(house, ADA)
    app = screen("check", ada, frozen.short, {"check": "again", "again": "1", "again-seed": "3"})
    assert "can be computed again" in heading(app)
    model = ada.subject(frozen.short).model()
    keys = checking.drawn(exchange.asked(ada, frozen.short, model), 1, 3)
    rows = len(exchange.stored(ada, frozen.short, model, keys[0]).query)
    assert f"This takes {rows} of the {ada.left(ada.grants()[0])} rows" in told(app)
    again = screen("check", house, frozen.short, {"check": "again", "again": "3"})
    again = press(again, "Ask again")
    assert heading(again) == "3 of 3 answers came out the same, digest for digest."
    assert len(keys) == 1


def test_rows_of_ones_own_are_read_decided_and_explained_within_the_budget(house: Desk, frozen) -> None:
    ada = of(house, ADA)
    data, features = ada.subject(frozen.short).dataset, ada.subject(frozen.short).model().spec.features
    lines = [",".join(["row_id", *(feature.name for feature in features)])]
    lines += [",".join([name, *map(repr, map(float, row))]) for name, row in zip("ab", data.rows[:2], strict=True)]
    app = screen("check", ada, frozen.short, {"check": "own"})
    assert heading(app).startswith("Bring rows of your own")
    left = ada.left(ada.grants()[0])
    app.file_uploader[0].set_value(("mine.csv", "\n".join(lines).encode(), "text/csv"))
    app = app.run()
    assert f"This takes 4 of the {left} rows" in told(app)
    assert "once for its decision and once for what moved it" in told(app)
    assert ada.left(ada.grants()[0]) == left
    app = press(app, "Ask the model about them")
    assert heading(app).startswith("Of your 2 rows: ")
    assert ada.left(ada.grants()[0]) == left - 4
    table = app.dataframe[0].value
    stored = screen("check", ada, frozen.short).dataframe[0].value.set_index("patient")
    assert list(table["row"]) == ["own a", "own b"]
    assert list(table["decision"]) == [stored.loc[row_id, "decision"] for row_id in data.row_ids[:2]]
    told_why = " ".join(table["moved most by"])
    assert "radius hidden" in told_why.lower() or "radius" not in told_why.lower()


def test_a_finding_goes_to_the_analyst_and_the_answer_comes_back(house: Desk, frozen) -> None:
    ada = of(house, ADA)
    app = screen("check", ada, frozen.short, {"check": "said"})
    assert heading(app) == "Nothing was said about this yet."
    app.text_area[0].set_value("The *radius* decides <b>too</b> much")
    app.selectbox(key="say-kind").set_value("finding")
    app.selectbox(key="say-severity").set_value("high")
    app = press(app, "Send")
    share = screen("share", house)
    assert "High finding, open" in told(share)
    assert "The *radius* decides <b>too</b> much" in told(share)
    thread = exchange.threads(house, frozen.short)[0]
    exchange.answer(house, thread, "It is mended", close=True)
    assert (
        heading(screen("check", ada, frozen.short, {"check": "said"}))
        == "1 finding, 0 of them not closed, and 0 comments."
    )


def test_taken_back_the_open_page_shows_nothing_more(house: Desk, frozen) -> None:
    ada = of(house, ADA)
    app = screen("check", ada, frozen.short)
    assert heading(app).startswith("All 569")
    (grant,) = exchange.given(house)
    exchange.take_back(house, grant)
    app = app.run()
    assert not app.title and not app.dataframe
    assert "There is nothing here that you may see" in told(app)
    exchange.give(house, frozen, ADA.email, datetime.now(UTC).date(), grant.masks, 40)


def test_a_model_that_was_not_frozen_with_a_version_gives_a_sentence(house: Desk, frozen) -> None:
    ada = of(house, ADA)
    model = ada.subject(frozen.short).model()
    another = replace(model, spec=replace(model.spec, digest="0" * 64))
    elsewhere = replace(model, path=f"vault:frozen/{'0' * 64}/model.bin")
    for odd in (another, elsewhere):
        with pytest.raises(UserFacingError, match="This model is none of frozen-"):
            exchange.asked(ada, frozen.short, odd)
    with pytest.raises(UserFacingError, match="no such answer"):
        exchange.stored(ada, frozen.short, model, "0" * 64)


def test_rows_of_ones_own_are_not_handed_on(house: Desk, frozen) -> None:
    """Nor by what lists the answers about a live subject, nor by the next version that is frozen."""
    subject = house.subject("tumours")
    model = subject.model()
    query = Query(model.spec.digest, subject.dataset.rows[:1], ("own a",), Target(0, model.spec.natural_scale))
    question = Question(model, Predict(), query)
    house.ask(question)
    assert question.key in house.engine.store.questions(model.spec.digest)
    assert question.key not in exchange.asked(house, "tumours", model)
    assert set(frozen.models[model.spec.digest]) <= set(exchange.asked(house, "tumours", model))
    later = exchange.freeze(house, "tumours", "Later")
    assert question.key not in later.answers
    exchange.discard(house, later)


def test_freezing_takes_no_more_room_than_a_person_may_have(house: Desk, frozen) -> None:
    scarce = replace(SETTINGS, limits=replace(SETTINGS.limits, storage_bytes=1000))
    desk = Desk(ANALYST, house.engine, stores(), house.log, scarce)
    before = len(stores().vault.names("frozen"))
    with pytest.raises(UserFacingError, match="no room"):
        exchange.freeze(desk, "digits", "")
    assert len(stores().vault.names("frozen")) == before
    assert house.log.entries(count=1)[0].outcome == "refused"


def test_what_was_granted_of_a_removed_subject_can_be_read_and_taken_back(house: Desk, frozen) -> None:
    vault = stores().vault
    for file, body in files_of("tumours").items():
        other = body.replace(b'name = "tumours"', b'name = "gone"', 1) if file == "subject.toml" else body
        vault.put("subject", f"gone/{file}", other, team="gone")
    made = exchange.freeze(house, "gone", "Of one that goes")
    given = exchange.give(house, made, ADA.email, datetime.now(UTC).date(), [], 7)
    exchange.raise_finding(of(house, ADA), made.short, "It is still said", "low", About())
    vault.remove("subject", *vault.names("subject", team="gone"))
    app = screen("share", house, "gone")
    assert heading(app) == "gone (removed) has 1 frozen version; outside this house 1 person sees one."
    assert "The subject was removed" in told(app) and "It is still said" in told(app)
    assert not any(each.label == "Freeze it" for each in app.button) and not app.error
    app = app.button(key=f"back-{given.id}").click().run()
    assert heading(app).endswith("outside this house nobody sees one.")
    assert [each.short for each in of(house, ADA).grants()] == [frozen.short]
    app.button(key=f"remove-{made.id[:12]}").click().run()
    assert [each.id for each in exchange.versions(house)] == [frozen.id]


def test_what_is_damaged_is_counted_and_hides_nothing_else(house: Desk, frozen) -> None:
    vault = stores().vault
    vault.put("snapshot", "1" * 64, b"{}")
    try:
        app = screen("share", house)
        assert heading(app).startswith("Breast tumours has 1 frozen version")
        assert "1 of the frozen versions, grants and comments kept here is damaged and left out" in told(app)
    finally:
        vault.remove("snapshot", "1" * 64)
    assert "damaged" not in told(screen("share", house))


@pytest.mark.parametrize(
    ("page", "person", "refused"),
    [
        ("log", ANALYST, "You may not read the log"),
        ("people", ANALYST, "You may not see who is signed in"),
        ("people", replace(KEEPER, mfa=False), "second factor"),
    ],
)
def test_a_page_gives_nothing_to_those_who_may_not(house: Desk, page: str, person: Person, refused: str) -> None:
    app = screen(page, of(house, person))
    assert refused in told(app)
    assert not app.title and not app.dataframe and not app.button


def test_sharing_is_refused_where_it_is_done_too(house: Desk, frozen) -> None:
    """The page is hidden from those who may not; this is what holds where somebody gets around it."""
    for person in (ADA, KEEPER, replace(ANALYST, roles=("viewer",))):
        desk = of(house, person)
        for act in (
            lambda desk=desk: exchange.freeze(desk, "tumours", ""),
            lambda desk=desk: exchange.give(desk, frozen, "eve@example.org", datetime.now(UTC).date(), [], 0),
            lambda desk=desk: exchange.take_back(desk, exchange.given(house)[0]),
            lambda desk=desk: exchange.discard(desk, frozen),
        ):
            with pytest.raises(UserFacingError, match="You may not"):
                act()
        assert exchange.given(desk) == []
    with pytest.raises(UserFacingError, match="second factor"):
        exchange.give(
            of(house, replace(ANALYST, mfa=False)), frozen, "eve@example.org", datetime.now(UTC).date(), [], 0
        )
    assert len(exchange.versions(house)) == 1
    assert not any("eve" in each.to for each in exchange.given(house))


def test_nobody_sees_or_says_anything_about_what_was_not_granted_to_them(house: Desk, frozen) -> None:
    eve = of(house, replace(ADA, id="e" * 16, email="eve@example.org"))
    model = house.subject(frozen.short).model()
    exchange.comment(house, frozen.short, "for colleagues", About())
    for act in (
        lambda: exchange.threads(eve, frozen.short),
        lambda: exchange.comment(eve, frozen.short, "hello", About()),
        lambda: exchange.raise_finding(eve, frozen.short, "hello", "low", About()),
        lambda: exchange.asked(eve, frozen.short, model),
        lambda: exchange.stored(eve, frozen.short, model, next(iter(frozen.answers))),
        lambda: exchange.bring_rows(eve, frozen.short, model.spec, b"a,b"),
    ):
        with pytest.raises(UserFacingError, match="You may not see"):
            act()
    assert exchange.versions(eve) == []
    assert all(each.note.by == ADA.id for each in exchange.threads(of(house, ADA), frozen.short))


def test_evidence_to_take_away_holds_no_hidden_value_and_names_the_whole_digests(house: Desk, frozen) -> None:
    ada = of(house, ADA)
    subject = ada.subject(frozen.short)
    model = subject.model()
    places = [i for i, feature in enumerate(model.spec.features) if "radius" in feature.name]
    for key in exchange.asked(ada, frozen.short, model):
        result = exchange.stored(ada, frozen.short, model, key)
        with np.load(io.BytesIO(evidence.as_npz(evidence.contract(subject, model, result)))) as found:
            meta = json.loads(str(found["meta"]))
            assert (meta["question"], meta["digest"]) == (key, frozen.answers[key])
            assert len(meta["masked"]) == len(places)
            assert np.isnan(found["inputs"][:, places]).all()


def test_the_log_is_listed_filtered_and_checked(house: Desk, frozen) -> None:
    keeper = of(house, KEEPER)
    app = screen("log", keeper, at={"action": "freeze"})
    assert heading(app).startswith("The log has ")
    assert set(app.dataframe[0].value["action"]) == {"freeze"}
    assert "ada@example.org" not in " ".join(values(screen("log", keeper, at={"action": "grant"})))
    assert "are as they were written" in told(press(app, "Check it now"))
    assert "No entry is like that" in told(screen("log", keeper, at={"who": "nobody at all"}))


def test_sign_ins_are_ended_people_blocked_and_versions_held(house: Desk, frozen) -> None:
    keeper, sessions = of(house, KEEPER), Sessions(stores().database, stores().vault, SETTINGS, house.log)
    cookie = sessions.begin(claims("eve", auth_time=int(datetime.now(UTC).timestamp())), {})
    app = screen("people", keeper)
    assert heading(app) == "1 person is signed in, by 1 browser." and "Eve" in told(app)
    app = press(app, "End it")
    assert sessions.find(cookie) is None
    assert heading(app) == "0 people are signed in, by 0 browsers."
    app = press(app, "Hold it")
    assert "ON HOLD" in told(app)
    with pytest.raises(UserFacingError, match="hold"):
        exchange.discard(house, frozen)
    assert "ON HOLD" not in told(press(app, "Lift the hold"))
