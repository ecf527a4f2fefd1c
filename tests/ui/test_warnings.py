"""The decision page warns of what is unlike the data, and of nothing else."""

from collections.abc import Iterator

import pytest
from streamlit.testing.v1 import AppTest

from access.desk import Desk
from core.likeness import unlike
from engine.subjects import load_subject
from tests.reports.signed import house


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    with house(tmp_path_factory.mktemp("house") / "home") as found:
        yield found


def draw(desk) -> None:
    import streamlit as st

    from pages import decision
    from ui import address, header, problems

    address.begin()
    with problems.shown():
        st.navigation([st.Page(lambda: None, title="Decision", url_path="d", default=True)], position="hidden")
        decision.render(header.draw(desk, decision.PAGE))
    address.end()


@pytest.mark.parametrize("strange", [True, False])
def test_a_row_unlike_the_data_is_said_first(desk: Desk, strange: bool) -> None:
    subject = load_subject("tumours")
    data = subject.dataset
    found = unlike(data, subject.model().spec, data.rows, data.row_ids)
    row = data.row_ids[found.distance.argmax()] if strange else subject.example
    page = AppTest.from_function(draw, default_timeout=120, args=(desk,))
    page.query_params["subject"], page.query_params["row"] = "tumours", row
    page.run()
    said = [each.value for each in page.warning]
    assert not page.exception and not page.error
    assert [text.startswith(f"Patient {row} is unlike the data") for text in said] == [True] * strange
