"""The web door: `streamlit run app.py` (or `uvicorn app:app`).

The main script lies in `ui/`, away from `pages/`, so that no page's file is ever a door of its own.
Without ASSAY_CONFIG nobody signs in, and the app answers at this machine only.

What takes long to import (the database, the engine, plotly) is imported while the first browser loads the page's files.
"""

import contextlib
import gc
import logging
import sys
import threading
import time
from collections.abc import AsyncIterator, Iterator
from urllib.parse import urlsplit

from starlette.formparsers import MultiPartParser
from starlette.middleware import Middleware
from streamlit import config
from streamlit.web.server.starlette import App

import pages
from access.discretion import be_discreet
from access.settings import CALLBACK, Settings, check_start, settings
from access.telemetry import telemetry
from core.errors import UserFacingError
from ui.headers import Headers
from ui.loopback import Loopback
from ui.root import Root

_log = logging.getLogger("assay")
MultiPartParser.spool_max_size = config.get_option("server.maxUploadSize") << 20  # an upload never touches the disk
FIRST_PAGE = 4.0  # seconds that the first page's browser has the processors to itself


@contextlib.asynccontextmanager
async def lifespan(_app: App) -> AsyncIterator[None]:
    """The first worker starts before anybody asks; all end with the app."""
    closing = threading.Event()
    if RULES is not None:
        _open()  # nobody waits for a server's first page, and one that cannot open its stores must not start
    threading.Thread(target=_prepare, args=(closing,), daemon=True).start()
    yield
    from ui.state import the_engine

    closing.set()
    the_engine().close()
    telemetry().close()


def _open() -> None:
    """Opens the stores and has the first worker started."""
    from ui.state import open_sign_ins, the_engine

    the_engine().warm(1)
    if RULES is not None:
        telemetry().sessions(open_sign_ins)


def _prepare(closing: threading.Event) -> None:
    """Gets the landing page ready while the browser is still loading, and what comes after it once that is drawn."""
    from ui.startup import ask_ahead
    from ui.state import local_desk, the_engine

    if RULES is None:
        with _told():  # what fails here fails on the page again, which says so
            _open()
            ask_ahead(local_desk())
    threading.Thread(target=_keep_house, args=(closing,), daemon=True).start()
    from ui import charts

    pages.screens()
    charts.load()
    gc.freeze()  # Streamlit collects all garbage after every run: what stays for good need not be gone through again
    time.sleep(FIRST_PAGE)
    gc.freeze()
    with _told():
        the_engine().warm()


def _keep_house(closing: threading.Event) -> None:
    """Takes over what version 0.2 kept in the clear; then, every hour, removes what is kept no longer."""
    from access import retention
    from engine.shelf import adopt
    from storage.stores import stores
    from ui.state import the_log

    with _told():
        adopt()
    while not closing.wait(retention.EVERY):
        with _told():
            retention.sweep(stores(), the_log(), settings())


@contextlib.contextmanager
def _told() -> Iterator[None]:
    """What cannot be done now goes to the process's log and is tried again the next time."""
    try:
        yield
    except UserFacingError as error:
        _log.warning("%s", error)


def _rules() -> Settings | None:
    """The settings of a hosted Assay. Ends the process, with one sentence, where it must not run like this."""
    try:
        rules = settings()
        check_start(
            rules, config.get_option("server.address") or "", bool(config.get_option("server.trustedUserHeaders"))
        )
        if rules is not None:
            _check_root(rules)
            be_discreet()
            config.set_option("server.cookieSecret", rules.cookie_secret)
    except UserFacingError as error:
        sys.exit(str(error))
    return rules


def _check_root(rules: Settings) -> None:
    """The door knows addresses from the root of a host only."""
    if config.get_option("server.baseUrlPath") or urlsplit(rules.redirect_uri).path != CALLBACK:
        raise UserFacingError(
            "Assay does not run like this",
            "server.baseUrlPath or redirect_uri puts it below a path, and with sign-in it needs a whole host",
            f"Leave server.baseUrlPath out, and let redirect_uri be the host's address and {CALLBACK}",
        )


def _middleware(rules: Settings | None) -> list[Middleware]:
    """What every request passes, outermost first."""
    if rules is None:
        return [Middleware(Headers), Middleware(Loopback), Middleware(Root)]
    from ui.door import Door
    from ui.state import the_log

    return [
        Middleware(Headers, origin=rules.origin),
        Middleware(Door, start=rules, log=the_log),
        Middleware(Root, hosted=True),
    ]


RULES = _rules()
app = App(
    "ui/main.py",
    lifespan=lifespan,
    middleware=_middleware(RULES),
    secrets={"auth": RULES.streamlit_auth()} if RULES else None,
)
