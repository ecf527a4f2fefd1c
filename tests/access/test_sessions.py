"""Sign-ins: one cookie, one row, ended for good reasons and told so."""

import secrets
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import select, update

from access.claims import person_id
from access.log import Log
from access.sessions import COOKIE, ENDED, Sessions
from access.settings import Roles, SessionRules, Settings
from core.errors import UserFacingError
from storage.stores import Stores
from storage.tables import PEOPLE, SESSIONS
from tests.access.house import ISSUER, SETTINGS, claims, with_roles

NOON = 1_700_000_000.0
COOKIES = {"_streamlit_user": "2|1:0|10:17|signed-as-ada", "_streamlit_user_tokens": "chunks-2"}
ADA = person_id(ISSUER, "ada")


@pytest.fixture
def log(stores: Stores) -> Log:
    return Log(stores.database, stores.vault)


@pytest.fixture
def sessions(stores: Stores, log: Log) -> Sessions:
    return Sessions(stores.database, stores.vault, SETTINGS, log)


def under(stores: Stores, settings: Settings) -> Sessions:
    """The same sign-ins under other settings, as the next request sees them."""
    return Sessions(stores.database, stores.vault, settings, Log(stores.database, stores.vault))


def told(log: Log) -> list[dict[str, str | int]]:
    """What the log says of sign-ins that ended by themselves, the first one first."""
    entries = log.entries()
    assert {(each.action, each.who, each.session) for each in entries} <= {("session-end", "nobody", "")}
    return [dict(each.what) for each in reversed(entries)]


def hers(sessions: Sessions, cookie: str) -> str:
    """The id of a sign-in as the log has it."""
    return sessions._row(cookie).id[:16]


def rows(stores: Stores) -> list:
    with stores.database.reading() as connection:
        return list(connection.execute(select(SESSIONS).order_by(SESSIONS.c.started)))


def test_a_sign_in_is_found_by_its_cookie(sessions, stores):
    cookie = sessions.begin(claims(amr=["mfa"], auth_time=NOON - 60), COOKIES, NOON)
    found = sessions.find(cookie, NOON + 1)
    assert found.person.id == ADA and found.person.roles == ("analyst",) and found.person.mfa
    assert found.cookies == COOKIES
    (row,) = rows(stores)
    assert found.person.session == row.id and (row.started, row.seen) == (NOON - 60, NOON)
    assert sessions.why_not(cookie, NOON + 1) == ""


def test_what_the_database_holds_signs_nobody_in_and_says_nothing(sessions, stores):
    cookie = sessions.begin(claims("ada", email="ada@house.example", email_verified=True), COOKIES, NOON)
    assert len(cookie) == 43 and cookie.isascii()
    (row,) = rows(stores)
    kept = repr(tuple(row))
    assert not [text for text in (cookie, "ada", "Ada", "house.example", "asks", "streamlit") if text in kept]
    assert sessions.find(row.id, NOON) is None
    others = {sessions.begin(claims("ada"), COOKIES, NOON) for _ in range(20)}
    assert len(others | {cookie}) == 21


def test_whatever_else_is_sent_as_a_cookie_finds_nobody(sessions):
    cookie = sessions.begin(claims(), COOKIES, NOON)
    cut = ["", "x", cookie[:-1], f"{cookie}x", f"{cookie}\n", f" {cookie}", cookie.swapcase(), "a" * 43, "a" * 10**6]
    for odd in [*cut, "é" * 43, "\ud800" * 43, "\x00" * 43, "\u0663" * 43, "' OR 1=1 --", "0" * 64]:
        assert sessions.find(odd, NOON) is None
        assert sessions.why_not(odd, NOON) == "You are not signed in."
        assert sessions.end_cookie(odd, "signed out", NOON) is False
    assert sessions.find(cookie, NOON)


def test_a_sign_in_ends_after_its_time_however_much_it_is_used(sessions, stores):
    cookie = sessions.begin(claims(auth_time=NOON - 1000), COOKIES, NOON)
    for minute in range(0, 2600, 300):
        assert sessions.find(cookie, NOON + minute)
    assert sessions.find(cookie, NOON + 2600), "an hour to the second"
    assert sessions.why_not(cookie, NOON + 2601) == "Your sign-in has ended: it was made more than 1 hour ago."
    assert sessions.find(cookie, NOON + 2601) is None
    assert sessions.find(cookie, NOON) is None, "ended is ended, whatever a clock says"
    assert rows(stores)[0].why == "age"


def test_a_sign_in_ends_when_it_is_not_used(sessions, stores):
    cookie = sessions.begin(claims(), COOKIES, NOON)
    assert sessions.find(cookie, NOON + 600)
    assert sessions.find(cookie, NOON + 1200)
    assert sessions.find(cookie, NOON + 1801) is None
    assert sessions.why_not(cookie, NOON + 1802) == "Your sign-in has ended: it was idle for more than 10 minutes."
    assert rows(stores)[0].why == "idle"


def test_a_look_that_is_no_sign_of_the_person_keeps_nothing_alive(sessions):
    cookie = sessions.begin(claims(), COOKIES, NOON)
    for second in range(0, 601, 100):
        assert sessions.find(cookie, NOON + second, touch=False)
    assert sessions.find(cookie, NOON + 601, touch=False) is None


def test_when_a_person_was_there_is_written_at_most_every_half_minute(sessions, stores):
    cookie = sessions.begin(claims(), COOKIES, NOON)
    written = []
    for second in range(0, 100, 5):
        sessions.find(cookie, NOON + second)
        written.append(rows(stores)[0].seen)
    assert sorted(set(written)) == [NOON, NOON + 30, NOON + 60, NOON + 90]
    sessions.find(cookie, NOON + 10)
    assert rows(stores)[0].seen == NOON + 90, "a clock behind another's takes nothing back"


def test_an_ended_sign_in_says_why_and_leaves_nothing_behind(sessions, stores):
    for why in ("signed out", "roles", "ended", "blocked"):
        cookie = sessions.begin(claims(), COOKIES, NOON)
        assert sessions.end_cookie(cookie, why, NOON + 5)
        assert not sessions.end_cookie(cookie, "idle", NOON + 6), "the first reason stays"
        assert sessions.find(cookie, NOON + 6) is None
        assert sessions.why_not(cookie, NOON + 6) == f"Your sign-in has ended: {ENDED[why]}."
    assert [(row.ended, row.claims) for row in rows(stores)] == [(NOON + 5, b"")] * 4


def test_a_sign_in_is_ended_by_its_id_and_only_that_one(sessions):
    kept, ended = (sessions.begin(claims(), COOKIES, NOON) for _ in range(2))
    assert sessions.end(sessions.find(ended, NOON).person.session, "ended", NOON)
    assert sessions.find(ended, NOON) is None and sessions.find(kept, NOON)


def test_the_id_that_the_log_shows_ends_nothing_where_a_cookie_is_asked_for(sessions):
    cookie = sessions.begin(claims(), COOKIES, NOON)
    session = sessions.find(cookie, NOON).person.session
    assert sessions.end_cookie(session, "signed out", NOON) is False
    assert sessions.end(cookie, "ended", NOON) is False, "and a cookie nothing where an id is"
    assert sessions.find(cookie, NOON)


def test_a_reason_that_nobody_can_be_told_is_an_error(sessions):
    cookie = sessions.begin(claims(), COOKIES, NOON)
    with pytest.raises(KeyError):
        sessions.end_cookie(cookie, "because", NOON)
    assert sessions.find(cookie, NOON)


def test_all_sign_ins_of_a_person_end_and_nobody_elses(sessions):
    hers = [sessions.begin(claims(), COOKIES, NOON) for _ in range(3)]
    his = sessions.begin(claims("bob"), COOKIES, NOON)
    assert sessions.end_all(ADA, "ended", NOON) == 3
    assert [sessions.find(each, NOON) for each in hers] == [None] * 3
    assert sessions.find(his, NOON)


def test_a_blocked_person_is_out_at_once_and_stays_out(sessions, stores):
    cookie = sessions.begin(claims(), COOKIES, NOON)
    his = sessions.begin(claims("bob"), COOKIES, NOON)
    assert sessions.block(ADA, now=NOON + 1) == 1
    assert sessions.find(cookie, NOON + 2) is None and sessions.find(his, NOON + 2)
    assert "blocked you" in sessions.why_not(cookie, NOON + 2)
    assert sessions.blocked() == [ADA]
    with pytest.raises(UserFacingError, match="blocked"):
        sessions.begin(claims(), COOKIES, NOON + 3)
    assert len(rows(stores)) == 2
    assert sessions.block(ADA, blocked=False, now=NOON + 4) == 0
    assert sessions.find(cookie, NOON + 5) is None
    assert sessions.find(sessions.begin(claims(), COOKIES, NOON + 5), NOON + 5)


def test_a_person_is_out_as_soon_as_the_table_says_blocked(sessions, stores):
    cookie = sessions.begin(claims(), COOKIES, NOON)
    with stores.database.writing() as connection:
        connection.execute(update(PEOPLE).values(blocked=True))
    assert "blocked" in sessions.why_not(cookie, NOON)
    assert sessions.find(cookie, NOON) is None


def test_somebody_can_be_blocked_before_they_ever_come(sessions):
    sessions.block(ADA)
    with pytest.raises(UserFacingError, match="blocked"):
        sessions.begin(claims(), COOKIES, NOON)


def test_other_roles_at_a_new_sign_in_end_the_old_ones(sessions):
    first = sessions.begin(claims(roles=["asks", "keeps"]), COOKIES, NOON)
    same = sessions.begin(claims(roles=["keeps", "asks-too"]), COOKIES, NOON + 1)
    his = sessions.begin(claims("bob"), COOKIES, NOON + 1)
    assert sessions.find(first, NOON + 2) and sessions.find(same, NOON + 2)
    less = sessions.begin(claims(roles=["asks"]), COOKIES, NOON + 3)
    assert sessions.find(first, NOON + 4) is None and sessions.find(same, NOON + 4) is None
    assert "roles have changed" in sessions.why_not(first, NOON + 4)
    assert sessions.find(less, NOON + 4).person.roles == ("analyst",) and sessions.find(his, NOON + 4)


def test_a_role_taken_out_of_the_settings_is_gone_at_the_next_look(sessions, stores):
    cookie = sessions.begin(claims(roles=["asks", "looks"]), COOKIES, NOON)
    assert sessions.find(cookie, NOON).person.roles == ("viewer", "analyst")
    assert under(stores, with_roles(viewer=("looks",))).find(cookie, NOON).person.roles == ("viewer",)
    nobody = under(stores, with_roles(viewer=("sees",))).find(cookie, NOON)
    assert nobody.person.roles == () and nobody.person.id == ADA
    renamed = replace(SETTINGS, roles=Roles("groups", SETTINGS.roles.values))
    assert under(stores, renamed).find(cookie, NOON).person.roles == ()


def test_a_shorter_time_in_the_settings_holds_at_the_next_look(sessions, stores):
    cookie = sessions.begin(claims(), COOKIES, NOON)
    short = under(stores, replace(SETTINGS, sessions=SessionRules(max_age=60, idle=30)))
    assert sessions.find(cookie, NOON + 61, touch=False)
    assert short.why_not(cookie, NOON + 61).endswith("it was made more than 1 minute ago.")
    assert short.find(cookie, NOON + 61) is None


def test_a_provider_that_does_not_ask_again_leads_not_round_in_a_circle(sessions, stores):
    with pytest.raises(UserFacingError, match="1 hour 1 minute ago") as caught:
        sessions.begin(claims(auth_time=NOON - 3660), COOKIES, NOON)
    assert "Sign out at your provider" in caught.value.remedy
    assert rows(stores) == []


def test_an_age_from_the_future_counts_from_now(sessions, stores):
    sessions.begin(claims(auth_time=NOON + 10**6), COOKIES, NOON)
    assert rows(stores)[0].started == NOON


def test_claims_without_a_person_sign_nobody_in(sessions, stores):
    with pytest.raises(UserFacingError, match="who you are"):
        sessions.begin({"roles": ["asks"]}, COOKIES, NOON)
    assert rows(stores) == []


def test_three_hundred_groups_fit(sessions):
    groups = [f"CN=Group {number},OU=Groups,DC=house,DC=example" for number in range(300)]
    cookies = {f"_streamlit_user_{number}": secrets.token_hex(1900) for number in range(9)}
    cookie = sessions.begin(claims(roles=groups), cookies, NOON)
    found = sessions.find(cookie, NOON)
    assert found.person.roles == () and found.cookies == cookies


def test_a_row_whose_content_was_put_under_another_is_not_taken(sessions, stores):
    sessions.begin(claims(roles=["keeps"]), COOKIES, NOON)
    cookie = sessions.begin(claims("bob"), COOKIES, NOON + 1)
    with stores.database.writing() as connection:
        connection.execute(update(SESSIONS).values(claims=rows(stores)[0].claims))
    with pytest.raises(UserFacingError):
        sessions.find(cookie, NOON + 1)


def test_the_list_has_who_is_signed_in_the_newest_first(sessions):
    sessions.begin(claims("ada", roles=["asks", "keeps"]), COOKIES, NOON)
    sessions.begin(claims("eve"), COOKIES, NOON - 3000)
    ended = sessions.begin(claims("bob"), COOKIES, NOON + 1)
    sessions.begin(claims("dan"), COOKIES, NOON + 2)
    sessions.end_cookie(ended, "signed out", NOON + 3)
    listed = sessions.listed(NOON + 4)
    assert [each.person.name for each in listed] == ["Dan", "Ada"]
    assert [(each.started, each.seen) for each in listed] == [(NOON + 2, NOON + 2), (NOON, NOON)]
    assert listed[1].person.id == ADA and listed[1].person.roles == ("analyst", "admin")
    assert sessions.end(listed[0].id, "ended", NOON + 5)
    assert [each.person.name for each in sessions.listed(NOON + 6)] == ["Ada"]


def test_what_has_run_out_is_ended_and_at_last_forgotten(sessions, stores):
    idle = sessions.begin(claims("ada"), COOKIES, NOON)
    old = sessions.begin(claims("bob", auth_time=NOON - 3500), COOKIES, NOON + 90)
    held = sessions.begin(claims("dan"), COOKIES, NOON + 500)
    assert sessions.sweep(NOON + 650) == 2
    assert sessions.why_not(idle, NOON + 650).endswith("idle for more than 10 minutes.")
    assert sessions.why_not(old, NOON + 650).endswith("more than 1 hour ago.")
    assert sessions.find(held, NOON + 650) and sessions.sweep(NOON + 650) == 0
    assert [row.claims == b"" for row in rows(stores)].count(True) == 2
    sessions.end_cookie(held, "signed out", NOON + 700)
    assert sessions.sweep(NOON + 660 + 30 * 86400) == 2
    assert len(rows(stores)) == 1
    assert sessions.why_not(idle, NOON + 650) == "You are not signed in."


def test_a_new_key_leaves_everybody_signed_in(sessions, stores):
    cookie = sessions.begin(claims(), COOKIES, NOON)
    stores.vault.rotate()
    assert sessions.find(cookie, NOON).cookies == COOKIES


def test_a_sign_in_that_ends_while_it_is_used_is_never_brought_back(sessions):
    cookie = sessions.begin(claims(), COOKIES, NOON)

    def use(step: int) -> bool:
        return sessions.find(cookie, NOON + 31 * step) is not None

    with ThreadPoolExecutor(8) as pool:
        used = [pool.submit(use, step) for step in range(1, 9)]
        ended = pool.submit(sessions.end_cookie, cookie, "signed out", NOON)
        used += [pool.submit(use, step) for step in range(9, 17)]
        assert ended.result() and all(each.exception() is None for each in used)
    assert sessions.find(cookie, NOON) is None
    assert "signed out" in sessions.why_not(cookie, NOON)


def test_signing_in_and_being_blocked_at_once_ends_outside(sessions):
    """In whichever order they come, nobody who is blocked stays signed in."""

    def sign_in(_: int) -> str:
        try:
            return sessions.begin(claims(), COOKIES, NOON)
        except UserFacingError:
            return ""

    with ThreadPoolExecutor(8) as pool:
        cookies = [pool.submit(sign_in, number) for number in range(12)]
        pool.submit(sessions.block, ADA, True, NOON).result()
    assert [sessions.find(each.result(), NOON) for each in cookies] == [None] * 12
    assert sessions.listed(NOON) == []


def test_many_sign_in_for_the_first_time_at_once(sessions, stores):
    with ThreadPoolExecutor(8) as pool:
        cookies = list(pool.map(lambda _: sessions.begin(claims(), COOKIES, NOON), range(16)))
    assert all(sessions.find(each, NOON) for each in cookies)
    with stores.database.reading() as connection:
        assert [(row.id, row.roles) for row in connection.execute(select(PEOPLE))] == [(ADA, "analyst")]


def test_a_sign_in_that_ends_by_itself_is_written_once_when_it_is_noticed(sessions, log):
    idle = sessions.begin(claims(), COOKIES, NOON)
    old = sessions.begin(claims("bob", auth_time=NOON - 3590), COOKIES, NOON)
    unseen = sessions.begin(claims("dan"), COOKIES, NOON)
    for cookie in (idle, old, unseen):
        sessions.why_not(cookie, NOON + 700)
    sessions.listed(NOON + 700)
    assert told(log) == [], "a look that ends nothing writes nothing"
    for _ in range(2):
        assert sessions.find(old, NOON + 20) is None
        assert sessions.find(idle, NOON + 700, touch=False) is None
    said = [{"why": "age", "who": person_id(ISSUER, "bob")[:16], "session": hers(sessions, old)}]
    said += [{"why": "idle", "who": ADA[:16], "session": hers(sessions, idle)}]
    assert told(log) == said
    for _ in range(2):
        sessions.sweep(NOON + 700)
    said += [{"why": "idle", "who": person_id(ISSUER, "dan")[:16], "session": hers(sessions, unseen)}]
    assert told(log) == said


def test_sign_ins_that_end_because_roles_changed_are_written(sessions, log):
    first, second = (sessions.begin(claims(roles=["asks", "keeps"]), COOKIES, NOON) for _ in range(2))
    sessions.begin(claims(roles=["asks"]), COOKIES, NOON + 1)
    assert sorted(each["session"] for each in told(log)) == sorted(hers(sessions, each) for each in (first, second))
    assert {(each["why"], each["who"]) for each in told(log)} == {("roles", ADA[:16])}


def test_what_somebody_ends_is_for_them_to_write(sessions, log):
    for why in ("signed out", "ended"):
        sessions.end_cookie(sessions.begin(claims(), COOKIES, NOON), why, NOON)
    sessions.begin(claims(), COOKIES, NOON)
    sessions.block(ADA, now=NOON)
    assert told(log) == []


def test_many_who_notice_at_once_write_one_entry(sessions, log):
    cookie = sessions.begin(claims(), COOKIES, NOON)
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(lambda _: sessions.find(cookie, NOON + 700), range(16))) == [None] * 16
    assert len(told(log)) == 1


def test_an_end_that_cannot_be_written_lets_nobody_in_and_is_written_later(sessions, log, monkeypatch):
    cookie = sessions.begin(claims(), COOKIES, NOON)

    def full(*_: object) -> None:
        raise UserFacingError("The database cannot be written", "The disk is full", "Make room")

    with monkeypatch.context() as patch:
        patch.setattr(log, "_append", full)
        with pytest.raises(UserFacingError, match="full"):
            sessions.find(cookie, NOON + 700)
    assert sessions.find(cookie, NOON + 700) is None
    assert len(told(log)) == 1


def test_the_documentation_names_the_cookie():
    assert f"`{COOKIE}`" in (Path(__file__).parents[2] / "docs" / "access.md").read_text(encoding="utf-8")
