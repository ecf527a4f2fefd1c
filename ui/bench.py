"""What a page is given that is not about one row."""

from dataclasses import dataclass

import streamlit as st

from access.desk import Desk


@dataclass(frozen=True)
class Bench:
    """`desk` is what the person may reach; `landing` is the page that shows a subject's decisions."""

    desk: Desk
    landing: st.Page
