"""The main script: one run of it draws one view."""

import functools
from pathlib import Path
from types import ModuleType

import streamlit as st

import pages
from ui import address, header, problems
from ui.bench import Bench
from ui.state import the_engine
from ui.style import STYLE


def main() -> None:
    """Navigation, the header line, and the page in view."""
    st.set_page_config(
        page_title="Assay",
        page_icon=str(Path(__file__).with_name("mark.svg")),
        layout="wide",
        initial_sidebar_state="collapsed",
    )
    st.markdown(f"<style>{STYLE}</style>", unsafe_allow_html=True)
    address.begin()
    screens: list[st.Page] = []
    screens += [_page(module, screens) for module in pages.screens()]
    st.navigation(screens, position="top").run()
    address.end()


def _page(module: ModuleType, screens: list[st.Page]) -> st.Page:
    page = module.PAGE
    draw = functools.partial(_draw, module, screens)
    return st.Page(draw, title=page.title, url_path=page.slug, default=not page.slug)


def _draw(module: ModuleType, screens: list[st.Page]) -> None:
    with problems.shown():
        module.render(header.draw(the_engine()) if module.PAGE.about_row else Bench(screens[0]))


main()
