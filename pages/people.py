"""People: who is signed in, who is blocked, and what is kept how long."""

import streamlit as st

from access import housekeeping
from reports.numbers import counted
from ui import keeping, parts, problems
from ui.bench import Bench
from ui.page import Page

PAGE = Page("People", "people", "people", 10, about_row=False, hosted=True)


def render(ctx: Bench) -> None:
    """Sign-ins, then blocks, then what is kept."""
    signed_in = housekeeping.sign_ins(ctx.desk)
    people = len({each.person.id for each in signed_in})
    who = "1 person is" if people == 1 else f"{people:,} people are"
    parts.headline(f"{who} signed in, by {counted(len(signed_in), 'browser')}.")
    for each in signed_in:
        with problems.shown():
            keeping.sign_in(ctx.desk, each)
    blocked = housekeeping.blocked(ctx.desk)
    st.header("Who is kept out", anchor=False)
    if not blocked:
        parts.paragraphs(["Nobody is blocked."])
    for person in blocked:
        with problems.shown():
            keeping.blocked(ctx.desk, person)
    st.header("What is kept, and how long", anchor=False)
    if not ctx.desk.may("hold"):
        parts.paragraphs(["Holds need a sign-in with a second factor."])
        return
    kept = housekeeping.kept(ctx.desk)
    if not kept:
        parts.paragraphs(["Nothing was saved or frozen yet. The samples ship with Assay."])
    for thing in kept:
        with problems.shown():
            keeping.hold(ctx.desk, thing)
