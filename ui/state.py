"""Whose run this is and what they may reach: the desk. The engine behind it is one for the process."""

import functools
import time
from dataclasses import asdict

import streamlit as st

from access.actions import Refused
from access.alerts import Bursts
from access.desk import Desk
from access.log import Log
from access.people import LOCAL, Person
from access.retention import lasting
from access.sessions import COOKIE, Sessions
from access.settings import settings
from engine.engine import Engine
from storage.stores import stores


@functools.cache
def the_engine() -> Engine:
    """The process's engine."""
    rules = settings()
    return Engine.open(lasting(rules.retention.results) if rules else None)


@functools.cache
def the_log() -> Log:
    """The process's log, watched for bursts where people sign in."""
    opened, rules = stores(), settings()
    return Log(opened.database, opened.vault, Bursts(**asdict(rules.alerts)) if rules else None)


def the_desk(person: Person | None = None) -> Desk:
    """What the person of this run may reach; `person` where nobody's run it is, at start-up."""
    return Desk(person or the_person(), the_engine(), stores(), the_log(), settings())


def the_person(still: bool = False) -> Person:
    """Who this run is for. Raises UserFacingError where their sign-in has ended since the page was opened.

    `still`: only looks whether they are still signed in, which does not count as being there.
    """
    rules = settings()
    if rules is None:
        return LOCAL
    opened = stores()
    sessions = Sessions(opened.database, opened.vault, rules)
    cookie = st.context.cookies.get(COOKIE, "")
    signed_in = sessions.find(cookie, time.time(), touch=not still)
    if signed_in is None:
        raise Refused(sessions.why_not(cookie), "A sign-in does not last for ever", "Sign in again")
    return signed_in.person
