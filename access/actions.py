"""Who may do what: one table of actions and roles. What stands in no row is denied.

`python -m access.actions` writes the same table into docs/access.md.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from access.people import Person
from core.errors import UserFacingError

ROLES: Mapping[str, str] = {
    "viewer": "Looks at every subject: decisions, explanations and attacks, and asks what takes little computing time.",
    "auditor": "Sees what was granted to them, checks it for themselves, comments and raises findings.",
    "analyst": "Brings models and data, asks anything, freezes, shares and signs.",
    "admin": "Keeps the house: people, sessions, the log, holds. Sees no data unless another role says so.",
}


@dataclass(frozen=True)
class Action:
    """`title` completes "may ..."; `roles` are who may; `mfa`: only after a sign-in with a second factor."""

    name: str
    title: str
    roles: tuple[str, ...]
    mfa: bool = False


_TABLE = (
    Action("view", "see every subject, and the answers that there are", ("viewer", "analyst")),
    Action("view-shared", "see what was granted to them", ("auditor",)),
    Action("ask", "ask new questions that take little computing time", ("viewer", "analyst")),
    Action("ask-much", "ask new questions that take much computing time", ("analyst",)),
    Action("ask-shared", "ask new questions about what was granted, within its budget", ("auditor",)),
    Action("bring", "bring a model and data and save them as a subject", ("analyst",)),
    Action("remove", "remove a subject that they brought", ("analyst",)),
    Action("report", "make and download a report or evidence", ("viewer", "auditor", "analyst")),
    Action("sign", "sign a report", ("analyst",), mfa=True),
    Action("freeze", "freeze a subject with its answers", ("analyst",)),
    Action("grant", "grant a frozen subject to a person, and take that back", ("analyst",), mfa=True),
    Action("comment", "comment and raise findings on what they see", ("auditor", "analyst")),
    Action("read-log", "read the log, check and export it", ("auditor", "admin")),
    Action("people", "see who is signed in, end sign-ins and block people", ("admin",), mfa=True),
    Action("hold", "set and lift a legal hold, and see what is kept how long", ("admin",), mfa=True),
)
ACTIONS: Mapping[str, Action] = {action.name: action for action in _TABLE}


class Refused(UserFacingError):
    """A person may not do that."""


def allowed(person: Person, action: str, also_mfa: Collection[str] = ()) -> bool:
    """Whether `person` may do it; actions in `also_mfa` need a second factor too, beside those that always do.

    Raises KeyError for an action that has no row.
    """
    row = ACTIONS[action]
    second_factor = row.mfa or action in also_mfa
    return not set(row.roles).isdisjoint(person.roles) and (person.mfa or not second_factor)


def refusal(person: Person, action: str) -> Refused:
    """The sentence for a person who may not: the role is missing, else the second factor."""
    row = ACTIONS[action]
    if set(row.roles).isdisjoint(person.roles):
        have = f"your roles are: {', '.join(person.roles)}" if person.roles else "you have no role here"
        return Refused(
            f"You may not {row.title}",
            f"This needs the role {' or '.join(row.roles)}, and {have}",
            f"Ask {_giver(person)} for the role",
        )
    return Refused(
        f"You may not {row.title}",
        "This needs a sign-in with a second factor, and your provider did not say that there was one",
        "Sign out, and sign in again with a second factor",
    )


def _giver(person: Person) -> str:
    """Whom a person is to ask for a role; an administrator cannot ask themselves."""
    return "whoever gives out roles at your provider" if "admin" in person.roles else "an administrator"


_PAGE = Path(__file__).resolve().parents[1] / "docs" / "access.md"


def tables() -> dict[str, str]:
    """The parts of docs/access.md that are drawn from here, as Markdown under their names."""
    return {"roles": _roles_table(), "actions": _actions_table()}


def page(text: str) -> str:
    """`text`, the page as it stands, with its generated parts as they should be."""
    for name, table in tables().items():
        begin, end = f"<!-- {name}: written by `python -m access.actions` -->", f"<!-- end of {name} -->"
        before, rest = text.split(begin)
        text = f"{before}{begin}\n\n{table}\n{end}{rest.split(end)[1]}"
    return text


def _roles_table() -> str:
    return "".join(["| role | |\n|---|---|\n", *(f"| {role} | {about} |\n" for role, about in ROLES.items())])


def _actions_table() -> str:
    head = f"| action | may | {' | '.join(ROLES)} | second factor |\n|---|---|{':-:|' * (len(ROLES) + 1)}\n"
    return head + "".join(_row(action) for action in ACTIONS.values())


def _row(action: Action) -> str:
    marks = ["yes" if role in action.roles else "" for role in ROLES]
    cells = [f"`{action.name}`", action.title, *marks, "needed" if action.mfa else ""]
    return f"| {' | '.join(cells)} |\n".replace("|  |", "| |").replace("|  |", "| |")


if __name__ == "__main__":
    _PAGE.write_text(page(_PAGE.read_text(encoding="utf-8")), encoding="utf-8")
