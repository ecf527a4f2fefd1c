"""The desk: each act is permitted, written and then done; what is not permitted is written too, and not done."""

from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta

import pytest

from access import exchange, sharing
from access.actions import ACTIONS, Refused
from access.desk import Desk, name_digest
from access.log import Log
from access.people import LOCAL, Person
from access.settings import Limits, Mfa, Provider, Roles, Settings
from core.errors import UserFacingError
from engine.engine import Cancelled, Engine, Question
from engine.predict import Predict
from engine.questions import prediction_query
from storage.evidence import EvidenceStore
from storage.stores import Stores

RULES = Settings(
    "https://assay.example/oauth2callback",
    "x" * 43,
    (Provider("one", "One", "id", "secret", "https://one.example/.well-known/openid-configuration"),),
    Roles("roles", {"analyst": ("analyst",)}),
    Mfa(amr=("mfa",)),
    limits=Limits(upload_bytes=100, storage_bytes=50 << 20, exports=2, seconds=3600),
)
TOMORROW = date.today() + timedelta(days=2)


def person(*roles: str, mfa: bool = True, name: str = "") -> Person:
    who = name or "-".join(roles) or "nobody"
    return Person(f"id-{who}", who, roles, f"{who}@example.com", "https://one.example", who, mfa, f"s-{who}")


@pytest.fixture
def engine(stores: Stores) -> Iterator[Engine]:
    engine = Engine(EvidenceStore(stores.vault))
    yield engine
    engine.close()


@pytest.fixture
def desk(stores: Stores, engine: Engine) -> Callable[[Person], Desk]:
    log = Log(stores.database, stores.vault)
    return lambda who: Desk(who, engine, stores, log, None if who == LOCAL else RULES)


def question(desk: Desk, name: str = "tumours", rows: tuple[int, ...] = (0,), lane: str = "quick") -> Question:
    subject = desk.subject(name)
    model = subject.model()
    return Question(model, Predict(), prediction_query(subject, model, rows), lane)


def written(desk: Desk) -> list[tuple[str, str]]:
    """What the log says, the first entry first."""
    return [(entry.action, entry.outcome) for entry in reversed(desk.log.entries())]


def test_nobody_without_a_role_gets_anywhere(desk) -> None:
    nobody = desk(person())
    assert not [action for action in ACTIONS if nobody.may(action)]
    assert nobody.names() == ()
    assert nobody.shelf() == []
    with pytest.raises(Refused):
        nobody.subject("tumours")
    with pytest.raises(Refused):
        nobody.ask(question(desk(LOCAL)))
    with pytest.raises(Refused):
        nobody.export("report", "tumours", lambda: b"pdf")
    assert written(nobody) == [("view-shared", "refused")] * 2 + [("report", "refused")]


def test_an_answer_costs_the_right_to_ask_once_and_to_see_from_then_on(desk) -> None:
    viewer, analyst = desk(person("viewer")), desk(person("analyst"))
    heavy = question(viewer, lane="long")
    with pytest.raises(Refused, match="much computing time"):
        viewer.ask(heavy)
    found = analyst.ask(heavy)
    assert viewer.ask(heavy).digest == found.digest
    assert viewer.ask(heavy).digest == found.digest
    assert written(viewer) == [("ask-much", "refused"), ("question", "allowed"), ("question", "allowed")]
    assert [entry.what["new"] for entry in viewer.log.entries(action="question")] == ["no", "yes"]


def test_whoever_waits_for_an_answer_can_call_it_off(desk, engine: Engine, monkeypatch) -> None:
    analyst, called_off = desk(person("analyst")), []
    asked = question(analyst)
    monkeypatch.setattr(engine, "cancel", lambda job, who: called_off.append((job.question.key, who)))

    def enough(_share: float) -> None:
        raise Cancelled

    with pytest.raises(Cancelled):
        analyst.ask(asked, enough)
    assert called_off == [(asked.key, analyst.person.id)]


def test_the_log_has_the_question_before_it_is_asked(desk, engine: Engine, monkeypatch) -> None:
    analyst = desk(person("analyst"))
    asked = question(analyst)

    def full(*_: object, **__: object) -> None:
        raise UserFacingError("The log cannot be written", "The disk is full", "Make room")

    monkeypatch.setattr(analyst.log, "record", full)
    monkeypatch.setattr(engine, "submit", lambda *_, **__: pytest.fail("it was asked without being written"))

    def never() -> bytes:
        pytest.fail("it was made without being written")

    with pytest.raises(UserFacingError, match="disk is full"):
        analyst.submit(asked)
    with pytest.raises(UserFacingError, match="disk is full"):
        analyst.export("report", "tumours", never)
    with pytest.raises(UserFacingError, match="disk is full"):
        analyst.upload("model", b"model")


def test_what_is_written_names_nothing_of_theirs(desk) -> None:
    analyst = desk(person("analyst"))
    analyst.looked("attack", "view", "tumours", "row 275")
    analyst.ask(question(analyst))
    said = " ".join(entry.text for entry in analyst.log.entries())
    assert "tumours" not in said and "row 275" not in said and "@" not in said
    assert name_digest("tumours") in said


def test_limits_hold_for_people_who_sign_in_and_not_at_ones_own_machine(desk) -> None:
    analyst, local = desk(person("analyst")), desk(LOCAL)
    assert [analyst.export("report", "tumours", lambda: b"pdf") for _ in range(2)] == [b"pdf", b"pdf"]
    with pytest.raises(UserFacingError, match="take more away for now"):
        analyst.export("report", "tumours", lambda: pytest.fail("it was made beyond the limit"))
    with pytest.raises(UserFacingError, match="no room"):
        analyst.check_room("bring", 51 << 20)
    assert [local.export("report", "tumours", lambda: b"pdf") for _ in range(3)] == [b"pdf"] * 3
    local.check_room("bring", 1 << 40)
    assert written(analyst).count(("export", "allowed")) == 2 + 3
    assert ("report", "refused") in written(analyst)
    assert ("bring", "refused") in written(analyst)


def test_a_page_that_stays_open_has_the_rights_that_the_person_has_now(desk, stores, engine, monkeypatch) -> None:
    monkeypatch.setattr("access.desk.LOOK_AGAIN", -1.0)
    now = [person("analyst")]

    def look() -> Person:
        if not now:
            raise Refused("Your sign-in has ended", "You signed out", "Sign in again")
        return now[0]

    open_page = Desk(person("analyst"), engine, stores, Log(stores.database, stores.vault), RULES, look)
    asked = question(open_page)
    before = open_page.sight()
    now[0] = person(name="analyst")
    assert open_page.sight() != before
    with pytest.raises(Refused, match="no role|granted"):
        open_page.ask(asked)
    with pytest.raises(Refused, match="no role"):
        open_page.export("report", "tumours", lambda: b"pdf")
    now.clear()
    with pytest.raises(Refused, match="has ended"):
        open_page.ask(asked)


def test_a_name_is_no_way_to_a_folder_of_the_servers(desk) -> None:
    from engine.places import SAMPLES

    with pytest.raises(Refused, match="There is no subject"):
        desk(person("analyst")).subject(str(SAMPLES / "loans"))


def test_a_second_factor_is_asked_for_where_the_table_says_so(desk) -> None:
    assert desk(person("analyst")).may("sign")
    assert not desk(person("analyst", mfa=False)).may("sign")
    assert desk(person("analyst", mfa=False)).may("freeze")


class TestShared:
    """What an auditor reaches: the one thing that was granted, for as long as it was."""

    @pytest.fixture
    def analyst(self, desk) -> Desk:
        return desk(person("analyst"))

    @pytest.fixture
    def auditor(self, desk) -> Desk:
        return desk(person("auditor"))

    @pytest.fixture
    def frozen(self, analyst: Desk) -> sharing.Snapshot:
        analyst.ask(question(analyst))
        return exchange.freeze(analyst, "tumours", "Tumours, first version")

    def test_nothing_before_a_grant_and_only_that_after(self, analyst: Desk, auditor: Desk, frozen) -> None:
        with pytest.raises(Refused, match="may not see"):
            auditor.subject(frozen.short)
        exchange.give(analyst, frozen, "auditor@example.com", TOMORROW, (), 10)
        assert auditor.names() == (frozen.short,)
        assert len(auditor.subject(frozen.short).dataset) == len(analyst.subject("tumours").dataset)
        for name in ("tumours", "loans"):
            with pytest.raises(Refused, match="may not see"):
                auditor.subject(name)
        assert [each.name for each in auditor.shelf()] == [frozen.short]

    def test_what_was_answered_is_free_and_the_rest_has_a_budget(self, analyst: Desk, auditor: Desk, frozen) -> None:
        grant = exchange.give(analyst, frozen, "auditor@example.com", TOMORROW, (), 3)
        same = question(auditor, frozen.short)
        assert auditor.ask(same).digest == frozen.answers[same.key]
        assert auditor.left(grant) == 3
        auditor.ask(question(auditor, frozen.short, (1, 2)))
        assert auditor.left(grant) == 1
        with pytest.raises(UserFacingError, match="budget"):
            auditor.ask(question(auditor, frozen.short, (3, 4)))
        assert auditor.left(grant) == 1
        auditor.ask(question(auditor, frozen.short, (1, 2)))  # answered by now
        assert auditor.left(grant) == 1

    def test_the_price_is_what_asking_takes(self, analyst: Desk, auditor: Desk, frozen) -> None:
        grant = exchange.give(analyst, frozen, "auditor@example.com", TOMORROW, (), 9)
        free, first, second = (question(auditor, frozen.short, rows) for rows in ((0,), (1, 2), (2, 3, 4)))
        assert auditor.price([free]) == 0
        assert auditor.price([free, first, first, second]) == 5, "row 2 counts in either question, a question once"
        assert auditor.left(grant) == 9
        auditor.ask(first)
        assert (auditor.left(grant), auditor.price([first, second])) == (7, 3)

    def test_another_subjects_model_is_out_of_reach(self, analyst: Desk, auditor: Desk, frozen) -> None:
        exchange.give(analyst, frozen, "auditor@example.com", TOMORROW, (), 100)
        other = question(analyst, "loans")
        analyst.ask(other)
        with pytest.raises(Refused, match="may not ask about this model"):
            auditor.ask(other)

    def test_it_ends_when_it_is_taken_back(self, analyst: Desk, auditor: Desk, frozen) -> None:
        grant = exchange.give(analyst, frozen, "auditor@example.com", TOMORROW, (), 100)
        asked = question(auditor, frozen.short)
        exchange.take_back(analyst, grant)
        assert auditor.names() == ()
        with pytest.raises(Refused, match="expired or was taken back"):
            auditor.ask(asked)

    def test_an_answer_under_way_is_not_shown_once_it_is_taken_back(self, analyst: Desk, auditor: Desk, frozen) -> None:
        grant = exchange.give(analyst, frozen, "auditor@example.com", TOMORROW, (), 100)
        asked = question(auditor, frozen.short, (7,))
        auditor.ask(asked)
        auditor.still_sees(asked)
        exchange.take_back(analyst, grant)
        with pytest.raises(Refused, match="expired or was taken back"):
            auditor.still_sees(asked)
        with pytest.raises(Refused, match="expired or was taken back"):
            auditor.export("report", frozen.short, lambda: b"pdf")

    def test_it_ends_with_its_last_day(self, analyst: Desk, auditor: Desk, frozen, monkeypatch) -> None:
        exchange.give(analyst, frozen, "auditor@example.com", TOMORROW, (), 100)

        class Later(datetime):
            @classmethod
            def now(cls, tz=None) -> datetime:
                return datetime.combine(TOMORROW + timedelta(days=1), datetime.min.time(), UTC)

        monkeypatch.setattr("access.desk.datetime", Later)
        assert auditor.names() == ()

    def test_columns_are_hidden_from_them_alone(self, analyst: Desk, auditor: Desk, frozen) -> None:
        column = analyst.subject("tumours").model().spec.features[3].name
        exchange.give(analyst, frozen, "auditor@example.com", TOMORROW, (column,), 100)
        theirs = auditor.subject(frozen.short).model().spec
        assert [each.name for each in theirs.features if each.hidden] == [column]
        assert theirs.features[3].show(1.5) == "hidden"
        assert not any(each.hidden for each in analyst.subject(frozen.short).model().spec.features)

    def test_answers_that_were_let_go_of_come_back_from_the_frozen_version(
        self, analyst: Desk, auditor: Desk, frozen, stores: Stores, engine: Engine
    ) -> None:
        grant = exchange.give(analyst, frozen, "auditor@example.com", TOMORROW, (), 0)
        asked = question(auditor, frozen.short)
        stores.vault.remove("question", *stores.vault.names("question"))
        assert not engine.known(asked)
        assert auditor.ask(asked).digest == frozen.answers[asked.key]
        assert auditor.left(grant) == 0

    def test_a_later_version_is_pointed_at(self, analyst: Desk, frozen) -> None:
        assert analyst.later(frozen) == ""
        analyst.ask(question(analyst, rows=(5,)))
        later = exchange.freeze(analyst, "tumours", "Tumours, second version")
        assert later.id != frozen.id
        assert analyst.later(frozen) == f"A later version was frozen on {later.on}."


def test_only_who_brought_a_subject_removes_it(desk, monkeypatch) -> None:
    from engine.shelf import Shelved

    mine = Shelved("mine", "Mine", "", True, owner="id-analyst")
    removed: list[str] = []
    monkeypatch.setattr("access.desk.shelf.shelf", lambda: [mine])
    monkeypatch.setattr("access.desk.shelf.remove", removed.append)
    other = desk(person("analyst", name="somebody"))
    assert not other.removable(mine)
    with pytest.raises(Refused, match="Somebody else brought it"):
        other.remove("mine")
    assert removed == []
    desk(person("analyst")).remove("mine")
    assert removed == ["mine"]
