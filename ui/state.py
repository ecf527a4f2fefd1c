"""Whose run this is and what they may reach: the desk. The engine behind it is one for the process."""

import functools
import threading
import time
from collections.abc import Callable
from dataclasses import asdict
from typing import TypeVar

import streamlit as st

from access.actions import Refused
from access.alerts import Bursts
from access.desk import Desk
from access.log import Log
from access.people import LOCAL, Person
from access.retention import lasting
from access.sessions import COOKIE, Sessions
from access.settings import Signing, settings, signing
from core.errors import UserFacingError
from engine.engine import Engine
from storage.stores import stores

T = TypeVar("T")
_ASKED = "address.asked"  # kept when another subject is chosen
_OPENING = threading.RLock()


def _one(make: Callable[[], T]) -> Callable[[], T]:
    """`make`, called once for the process, whichever of its threads asks first. What it raises, the next call tries."""
    made = functools.cache(make)

    @functools.wraps(make)
    def one() -> T:
        with _OPENING:
            return made()

    return one


@_one
def the_engine() -> Engine:
    """The process's engine."""
    rules = settings()
    return Engine.open(lasting(rules.retention.results) if rules else None)


@_one
def the_log() -> Log:
    """The process's log, watched for bursts where people sign in."""
    opened, rules = stores(), settings()
    return Log(opened.database, opened.vault, Bursts(**asdict(rules.alerts)) if rules else None)


def the_certificate() -> bytes:
    """The certificate that reports are signed with (PEM), looked at once a minute: it may lie in a token."""
    return _certificate(signing(), int(time.time() // 60))


@functools.lru_cache(maxsize=1)
def _certificate(_settings: Signing, _minute: int) -> bytes:
    from reports.signer import signer

    with signer(stores().vault) as found:
        return found.pem()


def the_desk() -> Desk:
    """What the person of this run may reach."""
    rules = settings()
    if rules is None:
        return local_desk()
    cookie = st.context.cookies.get(COOKIE, "")
    look = functools.partial(_person, cookie, touch=False)
    asked = st.session_state.setdefault(_ASKED, set())
    return Desk(_person(cookie, touch=True), the_engine(), stores(), the_log(), rules, look, asked)


def local_desk() -> Desk:
    """The desk of whoever sits at this machine, where nobody signs in."""
    return Desk(LOCAL, the_engine(), stores(), the_log(), asked=_asked_here())


def open_sign_ins() -> int:
    """How many sign-ins hold; 0 where nobody signs in."""
    opened, rules = stores(), settings()
    return len(Sessions(opened.database, opened.vault, rules, the_log()).listed(time.time())) if rules else 0


@_one
def _asked_here() -> set[str]:
    return set()


def _person(cookie: str, touch: bool) -> Person:
    """Who is signed in by `cookie`; `touch`: by this they show that they are there.

    Raises UserFacingError where their sign-in has ended since the page was opened. It may be asked from any thread.
    """
    rules = settings()
    if rules is None:
        raise UserFacingError("Assay was set up anew", "ASSAY_CONFIG is no longer set", "Open the page again")
    opened = stores()
    sessions = Sessions(opened.database, opened.vault, rules, the_log())
    signed_in = sessions.find(cookie, time.time(), touch=touch)
    if signed_in is None:
        raise Refused(sessions.why_not(cookie), "A sign-in does not last for ever", "Sign in again")
    return signed_in.person
