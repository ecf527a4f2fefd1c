"""Log: who did what and when, whether anything in it was changed, and all of it to take away."""

import streamlit as st

from access import housekeeping
from access.actions import ACTIONS
from access.log import EVENTS
from core.digest import short
from reports.numbers import counted
from ui import forms, keeping, parts, problems
from ui.bench import Bench
from ui.page import Page

PAGE = Page("Log", "log", "read-log", 9, about_row=False)


def render(ctx: Bench) -> None:
    """The newest entries, and the check of them all."""
    number, head = housekeeping.log_head(ctx.desk)
    parts.headline(f"The log has {counted(number, 'entry')}, head {short(head)}.")
    parts.paragraphs([keeping.CHAIN])
    with st.container(horizontal=True, vertical_alignment="center"):
        if st.button("Check it now"):
            with problems.shown():
                wrong = housekeeping.check_log(ctx.desk)
                keeping.verdict(wrong, number)
        st.download_button(
            "Download the log",
            lambda: b"".join(housekeeping.export_log(ctx.desk)),
            "assay-log.jsonl",
            "application/jsonl",
            on_click="ignore",
            icon=":material/download:",
        )
    actions = sorted({*ACTIONS, *EVENTS})
    with st.container(horizontal=True, vertical_alignment="bottom"):
        person = keeping.text("who", "Person, by their id")
        action = forms.choice("action", "Action", ["any", *actions], "any")
        outcome = forms.choice("outcome", "Outcome", ["any", "allowed", "refused", "failed"], "any")
        count = forms.number("newest", keeping.NEWEST)
    chosen = {name: "" if value == "any" else value for name, value in (("action", action), ("outcome", outcome))}
    entries = housekeeping.entries(ctx.desk, int(count), person, **chosen)
    if not entries:
        parts.paragraphs(["No entry is like that. Choose any action, any outcome and nobody in particular."])
        return
    keeping.entries(entries)
