"""What a page is given that is not about one row."""

from dataclasses import dataclass

import streamlit as st


@dataclass(frozen=True)
class Bench:
    """`landing` is the page that shows a subject's decisions."""

    landing: st.Page
