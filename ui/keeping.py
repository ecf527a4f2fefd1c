"""Widgets of the pages Log and People: entries, sign-ins, holds."""

from collections.abc import Sequence
from datetime import UTC, datetime

import streamlit as st

from access import housekeeping
from access.chain import Entry
from access.desk import Desk
from access.housekeeping import Kept
from access.sessions import Listed
from access.sharing import day
from core.options import Option
from reports.numbers import counted
from ui import address, forms, parts, problems

CHAIN = (
    "Each entry holds the digest of the one before. Note the head elsewhere: a later check then shows that nothing up "
    "to it was changed."
)
NEWEST = Option("newest", "integer", 100, "Newest entries", "How many are shown.", 10, 1000)


def text(name: str, label: str) -> str:
    """A text, by its own name in the address."""
    with forms.started(name, name, "", str):
        said = st.text_input(label, key=name).strip()
    if said:
        address.keep(name, said)
    return said


def verdict(wrong: Sequence[str], number: int) -> None:
    """What a check of the log found."""
    if not wrong:
        st.success(problems.literal(f"All {number:,} entries are as they were written."), icon=":material/check:")
    for sentence in wrong:
        st.error(problems.literal(sentence), icon=":material/close:")


def entries(found: Sequence[Entry]) -> None:
    """Entries of the log as a table, the newest first."""
    columns = {
        "number": [each.number for each in found],
        "time (UTC)": [each.time for each in found],
        "person": [each.who[:16] for each in found],
        "roles": [", ".join(each.roles) for each in found],
        "action": [each.action for each in found],
        "outcome": [each.outcome for each in found],
        "what": [", ".join(f"{name} {value}" for name, value in each.what.items()) for each in found],
    }
    refused = sum(each.outcome == "refused" for each in found)
    alt = f"The {len(found):,} newest entries, {refused:,} of them refusals."
    st.dataframe(columns, hide_index=True, key="log", height=min(560, 40 + 36 * len(found)), alt=alt)


def sign_in(desk: Desk, each: Listed) -> None:
    """One sign-in, with the ways to end it and to keep the person out."""
    own = each.id == desk.person.session
    with st.container(horizontal=True, vertical_alignment="center", key=f"sign-in-{each.id[:16]}"):
        roles = ", ".join(each.person.roles) or "no role"
        since, seen = (_moment(when) for when in (each.started, each.seen))
        you = ", this is you" if own else ""
        parts.paragraphs([f"{each.person.name} ({roles}), signed in {since}, last seen {seen}{you}"])
        parts.quiet(each.person.id[:16])
        if not own and st.button("End it", key=f"end-{each.id[:16]}", type="tertiary"):
            housekeeping.end_sign_in(desk, each)
            st.rerun()
        if each.person.id != desk.person.id:
            with st.popover("Block", type="tertiary", key=f"block-{each.id[:16]}"):
                parts.paragraphs([f"All sign-ins of {each.person.name} end, and no new one is taken."])
                if st.button("Block them", key=f"block-them-{each.id[:16]}"):
                    housekeeping.block(desk, each.person.id, True)
                    st.rerun()


def blocked(desk: Desk, person: str) -> None:
    """A person who is kept out, by their id: of somebody who is not signed in no name is kept."""
    with st.container(horizontal=True, vertical_alignment="center", key=f"blocked-{person[:16]}"):
        parts.paragraphs([person[:16]])
        if st.button("Let them in again", key=f"unblock-{person[:16]}", type="tertiary"):
            housekeeping.block(desk, person, False)
            st.rerun()


def hold(desk: Desk, thing: Kept) -> None:
    """A saved subject or frozen version: its size, how long it stays, and its hold."""
    with st.container(horizontal=True, vertical_alignment="center", key=f"kept-{thing.kind}-{thing.name[:40]}"):
        name = thing.name if thing.kind == "subject" else f"frozen {thing.name[:12]}"
        stays = f"until {day(thing.expires)}" if thing.expires else "until it is removed"
        size = f"{thing.size / 2**20:.1f} MiB in {counted(thing.objects, 'object')}"
        held = ", ON HOLD: neither time nor a person removes it" if thing.held else ""
        parts.paragraphs([f"{name}: {size}, since {day(thing.created)}, {stays}{held}"])
        label = "Lift the hold" if thing.held else "Hold it"
        if st.button(label, key=f"hold-{thing.kind}-{thing.name[:40]}", type="tertiary"):
            housekeeping.hold(desk, thing, not thing.held)
            st.rerun()


def _moment(seconds: float) -> str:
    when = datetime.fromtimestamp(seconds, UTC)
    return f"{day(when)} at {when:%H:%M}"
