"""What stands above a page: whether it is live or frozen, where people sign in."""

from datetime import UTC, datetime
from types import SimpleNamespace

from streamlit.testing.v1 import AppTest

from access.sharing import Snapshot

FROZEN = Snapshot("ab" * 32, "loans", "Loans", {}, {}, "d", {}, "a", "Ada", datetime(2026, 3, 4, tzinfo=UTC))


def shown(hosted: bool, snapshot: Snapshot | None) -> AppTest:
    """A page with the banner alone, as somebody sees it who may see every subject."""

    def draw(ctx):
        from ui import banner

        banner.state(ctx)

    desk = SimpleNamespace(
        hosted=hosted, snapshot=lambda name: snapshot, grant=lambda name: None, later=lambda frozen: "A later one."
    )
    return AppTest.from_function(
        draw, args=(SimpleNamespace(desk=desk, subject_name="loans"),), default_timeout=60
    ).run()


def test_live_and_frozen_are_told_apart() -> None:
    live, frozen = shown(True, None), shown(True, FROZEN)
    assert "Live: what you see can change. A frozen version does not." in live.markdown[0].value
    assert not live.info
    (said,) = frozen.info
    assert said.value.replace("\\", "").startswith("Frozen on 4 March 2026, digest abababab.")
    assert "A later one" in said.value and not frozen.markdown


def test_nothing_is_said_where_nobody_signs_in() -> None:
    for snapshot in (None, FROZEN):
        app = shown(False, snapshot)
        assert not app.markdown and not app.info and not app.exception
