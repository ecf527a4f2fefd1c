"""Expected errors, shown in one place and one form: what happened, why, what to do."""

import contextlib
import re
from collections.abc import Iterator

import streamlit as st

from core.errors import UserFacingError
from engine.engine import Cancelled

_ADDRESS = re.compile(r"https?:(?=//)|www(?=\.)", re.IGNORECASE)
_JOINER = "\u2060"


@contextlib.contextmanager
def shown() -> Iterator[None]:
    """A part of a page whose expected errors are shown in its place; the rest of the page goes on."""
    try:
        yield
    except UserFacingError as error:
        show(error)


def show(error: UserFacingError) -> None:
    """One error as a person reads it."""
    box = st.info if isinstance(error, Cancelled) else st.error
    box(literal(error.sentence))
    if error.code:
        st.code(error.code, language="python")


def literal(text: str) -> str:
    """`text` as Markdown that prints as itself: names and values are not ours.

    An address in it is no link: escaped, it would become one all the same, so an unseen word joiner parts it.
    """
    parted = _ADDRESS.sub(f"\\g<0>{_JOINER}", text)
    return "".join(f"\\{char}" if char in r"\`*_{}[]()#+-.!|<>$~:&" else char for char in parted)
