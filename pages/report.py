"""Report: pick for whom it is and what goes in, see it as it will be, take it away or sign it."""

import streamlit as st

from ui import forms, parts, reporting
from ui.context import Context
from ui.page import Page

PAGE = Page("Report", "report", "report", 4)


def render(ctx: Context) -> None:
    """What goes in on the left, the pages on the right."""
    heading = st.empty()
    audience = reporting.audience()
    with heading.container():
        parts.headline(reporting.headline(ctx, audience))
    left, right = st.columns([1, 2], gap="large")
    with left:
        wish = reporting.wish(ctx, audience)
    with right:
        made = reporting.signed(ctx, reporting.made(ctx, wish))
        _leaf(made.pages)
    with heading.container():
        parts.headline(reporting.headline(ctx, audience, made))
    with left:
        reporting.take_away(ctx, made)
        if made.published is None:
            reporting.offer_to_sign(ctx, made)


def _leaf(pages: list[bytes]) -> None:
    """Shows the page that is turned to."""
    turned = forms.page("page", len(pages))
    with st.container(border=True, key="paper"):
        st.image(pages[turned - 1], alt=f"Page {turned} of {len(pages)} of the report", width="stretch")
