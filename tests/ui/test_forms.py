"""Controls and the address: what an address says is taken once, refused in words, and the control stays."""

from streamlit.testing.v1 import AppTest


def screen() -> None:
    """A page of one control of each kind."""
    import streamlit as st

    from core.options import Option
    from ui import address, forms, problems

    address.begin()
    with problems.shown():
        fruit = forms.choice("fruit", "Fruit", ("apple", "pear"), "apple")
        st.markdown(f"fruit {fruit}")
    with problems.shown():
        count = forms.number("count", Option("count", "integer", 5, "Count", "How many.", 1, 9))
        st.markdown(f"count {count}")
    with problems.shown():
        ripe = forms.toggle("ripe", Option("ripe", "boolean", True, "Ripe", "Whether it is."))
        st.markdown(f"ripe {ripe}")
    address.end()


def opened(**said: str) -> AppTest:
    app = AppTest.from_function(screen, default_timeout=60)
    for name, value in said.items():
        app.query_params[name] = value
    app.run()
    assert not app.exception
    return app


def shown(app: AppTest) -> list[str]:
    return [each.value for each in app.markdown]


def test_defaults_leave_the_address_empty() -> None:
    app = opened()
    assert shown(app) == ["fruit apple", "count 5", "ripe True"]
    assert not app.query_params


def test_an_address_is_taken_and_kept() -> None:
    app = opened(fruit="pear", count="3", ripe="no")
    assert shown(app) == ["fruit pear", "count 3", "ripe False"]
    assert {name: app.query_params[name] for name in app.query_params} == {"fruit": "pear", "count": "3", "ripe": "no"}


def test_a_choice_made_on_the_page_is_written_to_the_address() -> None:
    app = opened()
    app.selectbox[0].select("pear").run()
    assert app.query_params["fruit"] == "pear"
    app.selectbox[0].select("apple").run()
    assert "fruit" not in app.query_params


def test_what_cannot_be_chosen_is_refused_beside_a_control_that_works() -> None:
    app = opened(fruit="plum", count="99", ripe="perhaps")
    assert len(app.error) == 3
    assert "There is no fruit" in app.error[0].value and "apple, pear" in app.error[0].value
    assert "Choose from 1 to 9" in app.error[1].value
    app.selectbox[0].select("pear").run()
    assert not app.error
    assert shown(app) == ["fruit pear", "count 5", "ripe True"]


def test_names_that_no_control_takes_touch_nothing() -> None:
    app = opened(address="x", **{"address.kept": "y", "waiting.cancelled": "z", "row-before": "1"})
    assert shown(app) == ["fruit apple", "count 5", "ripe True"]
