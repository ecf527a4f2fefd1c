"""Verify: a signed report, checked byte by byte and by whom it is signed, and computed again."""

import streamlit as st

from ui import parts, problems, verifying
from ui.bench import Bench
from ui.page import Page

PAGE = Page("Verify", "verify", "report", 5, about_row=False)


def render(ctx: Bench) -> None:
    """The file, whether it holds, and its answers asked for once more."""
    heading = st.empty()
    with heading.container():
        parts.headline("Give a report, and see whether it is as it was signed.")
    given = verifying.given(ctx.desk)
    if given is None:
        verifying.forget()
        parts.paragraphs(
            [
                "Give the PDF as you got it. Of evidence alone give the file that ends in .assay, then its signature.",
                "Nothing of it is kept, and nothing in it is opened before its signature stands.",
            ]
        )
        return
    found = verifying.verdict(ctx.desk, given)
    with heading.container():
        parts.headline(verifying.headline(given.name, found.lines))
    if found.bundle is not None:
        verifying.about(found.bundle)
    verifying.lines(found.lines)
    if found.bundle is not None:
        st.header("Do its answers come out the same?", anchor=False)
        with problems.shown():
            again = verifying.again(ctx.desk, given, found.bundle)
            if again is not None:
                with heading.container():
                    parts.headline(verifying.headline(given.name, [*found.lines, *verifying.told(*again)]))
                verifying.differences(*again)
