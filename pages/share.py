"""Share: frozen versions of a subject, who may see them, and what those people say."""

import contextlib
from datetime import UTC, datetime, timedelta

import streamlit as st

from access import exchange, sharing
from access.masks import maskable
from access.sharing import Grant, Snapshot
from core.errors import UserFacingError
from reports.compare import changes
from reports.numbers import counted
from ui import forms, parts, problems
from ui import sharing as widgets
from ui.bench import Bench
from ui.page import Page

PAGE = Page("Share", "share", "freeze", 8, about_row=False, hosted=True)


def render(ctx: Bench) -> None:
    """One subject: its frozen versions, grants, and what was said about it."""
    heading = st.container()
    live = [name for name in ctx.desk.names() if not name.startswith("frozen-")]
    gone = sorted({each.subject for each in exchange.versions(ctx.desk)} - set(live))
    with st.container(width=360):
        name = forms.choice("subject", "Subject", [*live, *gone], live[0], lambda each: _title(ctx, each, gone))
    there = name in live
    versions = exchange.versions(ctx.desk, name)
    titles = {version.id: version.title for version in versions}
    grants = [each for each in exchange.given(ctx.desk) if each.snapshot in titles]
    now = datetime.now(UTC)
    with heading:
        title = _title(ctx, name, gone)
        parts.headline(widgets.headline(title, versions, [each for each in grants if each.live(now)]))
    _left_out(ctx, [name, *(version.short for version in versions)])
    if there:
        with problems.shown():
            _freeze(ctx, name)
    else:
        parts.paragraphs(["The subject was removed. What was frozen of it stays, and can be granted and taken back."])
    for version in versions:
        _version(ctx, version, versions, there)
    if versions:
        st.header("Who may see it", anchor=False)
        with problems.shown():
            _give(ctx, versions)
        for grant in grants:
            _grant(ctx, grant, titles[grant.snapshot], now)
        with problems.shown():
            _said(ctx, name, versions, there)


def _title(ctx: Bench, name: str, gone: list[str]) -> str:
    """What a subject is called in the list; one that was removed has no title any more."""
    return f"{name} (removed)" if name in gone else ctx.desk.title(name)


def _left_out(ctx: Bench, subjects: list[str]) -> None:
    """Says how much of what is kept cannot be read and stands in no list."""
    lost = exchange.unreadable(ctx.desk, subjects)
    if lost:
        are = "is damaged and left out" if lost == 1 else "are damaged and left out"
        parts.paragraphs(
            [
                f"{lost:,} of the frozen versions, grants and comments kept here {are}. "
                "Whoever runs this server finds what is damaged with python assay.py keys check."
            ]
        )


def _freeze(ctx: Bench, name: str) -> None:
    """The subject as it is now, with every answer about it, kept as it is."""
    parts.paragraphs(["Freezing keeps the files and all answers as they are now, under one digest that never changes."])
    with st.form("freeze", border=False):
        title = st.text_input("What this version is called", ctx.desk.title(name), max_chars=80, width=360)
        wanted = st.form_submit_button("Freeze it")
    if wanted:
        made = widgets.freeze(ctx.desk, name, title)
        st.toast(f"Frozen: {made.id[:8]}.")
        st.rerun()


def _version(ctx: Bench, version: Snapshot, versions: list[Snapshot], there: bool) -> None:
    """A frozen version: what it is, the way to it, what has changed since. `there`: its subject is not removed."""
    with st.container(horizontal=True, vertical_alignment="center", key=f"version-{version.id[:12]}"):
        st.page_link(
            ctx.landing,
            label=f"**{problems.literal(version.title)}**",
            icon=":material/ac_unit:",
            query_params={"subject": version.short},
        )
        answers = counted(len(version.answers), "answer")
        parts.quiet(f"{version.id[:8]}, frozen on {version.on} by {version.author}, {answers}")
        if version.by == ctx.desk.person.id and ctx.desk.may("remove"):
            with st.popover("Remove", type="tertiary", key=f"removal-{version.id[:12]}"):
                parts.paragraphs(["It is removed for good, and whoever it was granted to sees nothing more."])
                if st.button("Remove it", key=f"remove-{version.id[:12]}"):
                    exchange.discard(ctx.desk, version)
                    st.rerun()
    key = f"since-{version.id[:12]}"
    since = st.expander("What has changed since", type="compact", key=key, on_change="rerun")
    if since.open:
        with since:
            _changes(ctx, version, [each for each in versions if each.when > version.when], there)


def _changes(ctx: Bench, version: Snapshot, later: list[Snapshot], there: bool) -> None:
    """What differs from the live subject where it is `there`, or from a later version."""
    if not there and not later:
        parts.paragraphs(["The subject was removed, and no later version was frozen."])
        return
    titles = {each.short: widgets.version_name(each) for each in later} | {"now": "the subject as it is now"}
    key = f"against-{version.id[:12]}"
    with st.container(width=360):
        names = [*(["now"] if there else []), *(each.short for each in later)]
        chosen = st.selectbox("Compared with", names, format_func=titles.get, key=key)
    with problems.shown():
        new = next((each for each in later if each.short == chosen), None)
        parts.paragraphs(changes(ctx.desk, version, new))


def _give(ctx: Bench, versions: list[Snapshot]) -> None:
    """A grant to one person."""
    titles = {each.id: widgets.version_name(each) for each in versions}
    columns = maskable(ctx.desk.subject(versions[0].short))
    today = datetime.now(UTC).date()
    with st.form("grant", border=False):
        left, right = st.columns(2, gap="medium")
        to = left.text_input("To whom", placeholder="name@example.org", help=widgets.TO, key="grant-to")
        which = right.selectbox("Which version", list(titles), format_func=titles.get)
        until = left.date_input("Until the end of (UTC)", today + timedelta(days=30), min_value=today)
        budget = right.number_input(
            "Rows that may be computed anew", 0, sharing.MOST_ROWS, sharing.BUDGET, step=1000, key="grant-budget"
        )
        masks = st.multiselect(
            "Columns whose values are hidden", columns, help=widgets.MASKS, placeholder="None", key="grant-masks"
        )
        wanted = st.form_submit_button("Grant it", disabled=not ctx.desk.may("grant"))
    if not ctx.desk.may("grant"):
        parts.quiet("Granting needs a sign-in with a second factor.")
    if wanted:
        version = next(each for each in versions if each.id == which)
        exchange.give(ctx.desk, version, to, until, masks, int(budget))
        st.rerun()


def _grant(ctx: Bench, grant: Grant, title: str, now: datetime) -> None:
    """A grant of the version of that title, and the way to take it back."""
    with st.container(horizontal=True, vertical_alignment="center", key=f"grant-{grant.id}"):
        parts.paragraphs([widgets.grant_line(grant, title, ctx.desk.left(grant), now)])
        may = grant.live(now) and ctx.desk.may("grant")
        if may and st.button("Take it back", key=f"back-{grant.id}", type="tertiary"):
            exchange.take_back(ctx.desk, grant)
            st.rerun()


def _said(ctx: Bench, name: str, versions: list[Snapshot], there: bool) -> None:
    """Comments and findings about the subject and its frozen versions."""
    noun = _noun(ctx, [*([name] if there else []), *(version.short for version in versions)])
    threads = [each for short in [name, *[v.short for v in versions]] for each in exchange.threads(ctx.desk, short)]
    st.header("What people say", anchor=False)
    if not threads:
        parts.paragraphs(["Nobody has commented yet. Auditors do so on Check it yourself, and it appears here."])
    for each in sorted(threads, key=lambda thread: thread.note.when, reverse=True):
        widgets.thread(ctx.desk, each, noun)


def _noun(ctx: Bench, names: list[str]) -> str:
    """What a row is called, by the first of these subjects that can be read."""
    for name in names:
        with contextlib.suppress(UserFacingError):
            return ctx.desk.subject(name).row_noun
    return "row"
