"""What stands above a page where people sign in: who you are, and whether what you see is live or frozen."""

import streamlit as st

from access.desk import Desk
from access.sharing import Snapshot
from core.errors import UserFacingError
from ui.context import Context
from ui.page import Page
from ui.problems import literal

_LOOK_AGAIN = "10s"
_LOOKED = "banner.looked"


def person(desk: Desk) -> None:
    """Who is signed in, and the way out. Nothing where nobody signs in."""
    if not desk.hosted:
        return
    who = desk.person
    with st.container(horizontal=True, horizontal_alignment="right", vertical_alignment="center", key="person"):
        roles = ", ".join(who.roles) or "no role"
        st.markdown(f":gray[:small[{literal(f'{who.name} ({roles})')}]]", width="content")
        st.button("Sign out", on_click=st.logout, type="tertiary", key="sign-out")
    _watch(desk, desk.sight())


def looked(desk: Desk, page: Page, subject: str = "", row: str = "") -> None:
    """Writes into the log that a view is looked at, once until it is another."""
    view = (page.slug, page.action, subject, row)
    if st.session_state.get(_LOOKED) != view:
        desk.looked(*view)
        st.session_state[_LOOKED] = view


def state(ctx: Context) -> None:
    """Whether what is seen is live or frozen. Nothing where nobody signs in, and nothing is handed on."""
    if not ctx.desk.hosted:
        return
    snapshot = ctx.desk.snapshot(ctx.subject_name)
    if snapshot is None:
        st.markdown(":gray[:small[Live: what you see can change. A frozen version does not.]]")
    else:
        _frozen(ctx, snapshot)


def _frozen(ctx: Context, snapshot: Snapshot) -> None:
    """When it was frozen, what of it is hidden, and how much may still be asked."""
    said = [f"Frozen on {snapshot.on}, digest {snapshot.id[:8]}. What you see here does not change any more."]
    grant = ctx.desk.grant(ctx.subject_name)
    if grant is not None:
        left = ctx.desk.left(grant)
        said.append(f"It was granted to you until {grant.last_day}; {left:,} rows may still be computed anew.")
        if grant.masks:
            said.append(f"{len(grant.masks)} columns are hidden from you.")
    later = ctx.desk.later(snapshot)
    if later:
        said.append(later)
    st.info(literal(" ".join(said)), icon=":material/ac_unit:")


@st.fragment(run_every=_LOOK_AGAIN)
def _watch(desk: Desk, then: tuple[object, ...]) -> None:
    """Draws an open page anew when the person has lost, or got, what they may see."""
    try:
        now = desk.sight()
    except UserFacingError:
        st.rerun()
    if now != then:
        st.rerun()
