"""The main script: one run of it draws one view."""

import functools
from pathlib import Path
from types import ModuleType

import streamlit as st

import pages
from access.desk import Desk
from core.errors import UserFacingError
from ui import address, banner, header, problems
from ui.bench import Bench
from ui.page import Page
from ui.state import the_desk
from ui.style import STYLE


def main() -> None:
    """Navigation, the header line, and the page in view."""
    header.hold()
    st.set_page_config(
        page_title="Assay",
        page_icon=str(Path(__file__).with_name("mark.svg")),
        layout="wide",
        initial_sidebar_state="collapsed",
    )
    st.markdown(f"<style>{STYLE}</style>", unsafe_allow_html=True)
    try:
        desk = the_desk()
    except UserFacingError as error:
        _say_only(error)
        return
    address.begin()
    screens: list[st.Page] = []
    for module in pages.screens():
        if desk.hosted or not module.PAGE.hosted:
            screens.append(_page(module, desk, screens))
    st.navigation(screens, position="top").run()
    address.end()


def _say_only(error: UserFacingError) -> None:
    """One sentence, whatever address it is asked at: the sign-in has ended."""
    say = functools.partial(problems.show, error)
    known = [module.PAGE for module in pages.screens()]
    screens = [st.Page(say, title=page.title, url_path=page.slug, default=not page.slug) for page in known]
    st.navigation(screens, position="hidden").run()


def _page(module: ModuleType, desk: Desk, screens: list[st.Page]) -> st.Page:
    page = module.PAGE
    draw = functools.partial(_draw, module, desk, screens)
    seen = "visible" if desk.opens(page.action) else "hidden"
    return st.Page(draw, title=page.title, url_path=page.slug, default=not page.slug, visibility=seen)


def _draw(module: ModuleType, desk: Desk, screens: list[st.Page]) -> None:
    page = module.PAGE
    with problems.shown():
        banner.person(desk)
        if not desk.opens(page.action):
            _turn_away(desk, page, screens)
        elif page.about_row:
            ctx = header.draw(desk, page)
            banner.state(ctx)
            module.render(ctx)
        else:
            banner.looked(desk, page)
            module.render(Bench(desk, screens[0]))


def _turn_away(desk: Desk, page: Page, screens: list[st.Page]) -> None:
    """Somebody for whom a page does not open is told so, and which ones do. Who only came in lands on one of those."""
    places = [screen for screen in screens if screen.visibility == "visible"]
    if places and not page.slug and not st.query_params:
        st.switch_page(places[0])
    with problems.shown():
        desk.require(page.action, page=page.slug or "decision")
    if places:
        with st.container(horizontal=True, vertical_alignment="center"):
            st.markdown("You may open", width="content")
            for screen in places:
                st.page_link(screen, icon=":material/arrow_forward:", icon_position="right")


main()
