"""The table of actions: who may, what needs a second factor, and that nothing is done which stands in no row."""

import ast
from dataclasses import replace
from pathlib import Path

import pytest

import pages
from access.actions import ACTIONS, ROLES, allowed, page, refusal
from access.people import LOCAL, Person

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "access.md"
ADMIN_ONLY_KEEPS_HOUSE = {"read-log", "people", "hold"}
ASKING = {"may", "opens", "require", "refuse", "allowed", "refusal"}
SCREENS = pages.screens()


def somebody(*roles: str, mfa: bool = False) -> Person:
    return Person("f" * 32, "Somebody", roles, mfa=mfa)


def asked() -> list[tuple[str, str]]:
    """Every action that the product names where it asks whether somebody may, with the place; the log's words aside."""
    found = []
    for path in sorted(path for room in ("access", "ui", "pages", "command") for path in (ROOT / room).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            owner, _, verb = ast.unparse(node.func).rpartition(".") if isinstance(node, ast.Call) else ("", "", "")
            if verb in ASKING and "log" not in owner:
                texts = [each.value for each in node.args[:2] if isinstance(each, ast.Constant)]
                found += [(text, f"{path.name}:{node.lineno}") for text in texts if isinstance(text, str)]
    return found


@pytest.mark.parametrize("screen", SCREENS, ids=lambda screen: screen.__name__)
def test_every_page_stands_in_the_table(screen):
    assert screen.PAGE.action in ACTIONS


def test_every_action_that_is_asked_for_stands_in_the_table():
    found = asked()
    assert {action for action, _ in found} >= {"view", "bring"}, "the places that ask are not found any more"
    assert not [f"{action} at {place}" for action, place in found if action not in ACTIONS]


def test_an_action_without_a_row_is_an_error_and_no_permission():
    with pytest.raises(KeyError):
        allowed(LOCAL, "rewrite-log")


@pytest.mark.parametrize("action", ACTIONS)
def test_nobody_without_a_role_may_do_anything(action):
    for person in (somebody(mfa=True), somebody("owner", "Analyst", "*", "", mfa=True)):
        assert not allowed(person, action)
        assert "role" in refusal(person, action).why


@pytest.mark.parametrize("action", ACTIONS.values(), ids=lambda action: action.name)
def test_a_row_names_known_roles_and_only_these_may(action):
    assert action.roles and set(action.roles) <= ROLES.keys()
    for role in ROLES:
        assert allowed(somebody(role, mfa=True), action.name) == (role in action.roles)
        assert allowed(somebody(role), action.name) == (role in action.roles and not action.mfa)


def test_an_admin_sees_no_data():
    may = {action for action in ACTIONS if allowed(somebody("admin", mfa=True), action)}
    assert may == ADMIN_ONLY_KEEPS_HOUSE


def test_signing_needs_analyst_and_second_factor():
    assert [role for role in ROLES if allowed(somebody(role, mfa=True), "sign")] == ["analyst"]
    assert not allowed(somebody("analyst"), "sign")


def test_nothing_changes_the_log():
    assert [name for name in ACTIONS if "log" in name] == ["read-log"]


def test_settings_can_ask_for_a_second_factor_elsewhere():
    analyst = somebody("analyst")
    assert allowed(analyst, "bring")
    assert not allowed(analyst, "bring", also_mfa=("bring",))
    assert allowed(replace(analyst, mfa=True), "bring", also_mfa=("bring",))
    assert "second factor" in refusal(analyst, "bring").why
    assert not allowed(somebody("viewer", mfa=True), "bring", also_mfa=("bring",))


def test_a_refusal_says_which_role_is_missing_and_which_are_there():
    sentence = refusal(somebody("viewer", "admin"), "comment").sentence
    assert "auditor or analyst" in sentence and "viewer, admin" in sentence
    assert "Ask an administrator" in refusal(somebody("viewer"), "comment").remedy
    assert "Ask an administrator" not in sentence, "they are one"


def test_whoever_is_at_their_own_machine_may_do_everything():
    assert all(allowed(LOCAL, action, also_mfa=ACTIONS.keys()) for action in ACTIONS)


def test_the_documentation_says_what_the_table_says():
    text = PAGE.read_text(encoding="utf-8")
    assert text == page(text), "run `python -m access.actions`"
    for action in ACTIONS.values():
        (row,) = [line for line in text.splitlines() if line.startswith(f"| `{action.name}` |")]
        cells = [cell.strip() for cell in row.strip("|").split("|")][2:]
        assert cells == ["yes" if role in action.roles else "" for role in ROLES] + ["needed" if action.mfa else ""]
