"""Waiting for answers: the shape of what comes, how far it is, how long it may take, and a way out."""

import functools
import itertools
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import wait
from typing import TypeVar

import streamlit as st
from streamlit.runtime.scriptrunner import StopException

from access.desk import Desk
from core.errors import UserFacingError
from core.results import Result
from engine.engine import Cancelled, Job, Question
from engine.oneshot import in_background

T = TypeVar("T")
Progress = Callable[[float], None]

_CANCELLED = "waiting.cancelled"
_LONG = "waiting.long"
_LOOK_AGAIN = 12  # quarters of a second between two looks whether the person may still see the answer
PATIENCE = 0.6  # seconds before a progress bar is worth showing


def answer(desk: Desk, question: Question, what: str) -> Result:
    """The answer to one question, waited for in place."""
    return answers(desk, [question], what)[0]


def answers(desk: Desk, questions: Sequence[Question], what: str) -> list[Result]:
    """The answers to several questions, waited for in place with one progress bar and one Cancel."""
    _refuse_cancelled(questions)
    jobs = [desk.submit(question) for question in questions]
    _supersede(desk, jobs)
    if not _all_done(jobs, PATIENCE):
        _wait_in_view(desk, jobs, what)
        _look_again(desk, jobs)
    failed = next((job for job in jobs if job.failed), None)
    if failed is not None:
        _call_off(desk, jobs)
        if failed.cancelled:
            st.button("Start again", key=f"again-{failed.question.key}")
        failed.result()
    return [job.result() for job in jobs]


def _supersede(desk: Desk, jobs: Sequence[Job]) -> None:
    """Calls off this person's earlier long questions: nobody looks at that answer any more."""
    long = [job for job in jobs if job.question.lane == "long"]
    if not long:
        return
    for job in st.session_state.get(_LONG, []):
        if job not in long:
            desk.cancel(job)
    st.session_state[_LONG] = long


def ahead(desk: Desk, questions: Sequence[Question]) -> None:
    """Has questions worked on that the page will come to further down."""
    for question in questions:
        if question.key not in _cancelled():
            desk.submit(question)


def _wait_in_view(desk: Desk, jobs: Sequence[Job], what: str) -> None:
    place = st.empty()
    with place.container(key=f"waiting-{jobs[0].question.key[:12]}"):
        bar = st.progress(0.0, text=what)
        st.button("Cancel", key=f"cancel-{jobs[0].question.key}", on_click=_cancel, args=(desk, tuple(jobs)))
        st.skeleton(height=160)
    try:
        looks = itertools.count(1)
        while not _all_done(jobs, 0.25) and not any(job.failed for job in jobs):
            if next(looks) % _LOOK_AGAIN == 0:
                _look_again(desk, jobs)
            share = sum(job.progress for job in jobs) / len(jobs)
            bar.progress(share, text=f"{what}{_queued(desk, jobs) or _outlook(jobs, share)}")
    except StopException:  # the person has left
        _call_off(desk, jobs)
        raise
    place.empty()


def _look_again(desk: Desk, jobs: Sequence[Job]) -> None:
    """Calls off what the person may no longer see."""
    try:
        for job in jobs:
            desk.still_sees(job.question)
    except UserFacingError:
        _call_off(desk, jobs)
        raise


def work(key: str, run: Callable[[Progress, Callable[[], bool]], T], what: str) -> T:
    """What `run` gives, waited for in place with progress and a way out. `run` is told the progress to report to,
    and asked to stop where its second argument says so.
    """
    if key in _cancelled():
        st.button("Start again", key=f"again-{key}", on_click=_cancelled().discard, args=(key,))
        raise Cancelled
    share, stopped, begun = [0.0], threading.Event(), time.monotonic()
    place = st.empty()
    future = in_background(lambda: run(functools.partial(share.__setitem__, 0), stopped.is_set))
    wait([future], timeout=PATIENCE)
    try:
        if not future.done():
            with place.container(key=f"waiting-{key[-12:]}"):
                bar = st.progress(0.0, text=what)
                st.button("Cancel", key=f"cancel-{key}", on_click=_cancelled().add, args=(key,))
                st.skeleton(height=120)
        while not wait([future], timeout=0.2).done:
            bar.progress(min(1.0, share[0]), text=f"{what}, {time.monotonic() - begun:.0f} s so far")
    except StopException:  # the person has left, or called it off
        stopped.set()
        raise
    place.empty()
    return future.result()


def was_cancelled(key: str) -> bool:
    """Whether this person called that work off."""
    return key in _cancelled()


def _call_off(desk: Desk, jobs: Sequence[Job]) -> None:
    for job in jobs:
        desk.cancel(job)


def _all_done(jobs: Sequence[Job], seconds: float) -> bool:
    """Waits at most `seconds`; whether every job is done."""
    end = time.monotonic() + seconds
    return all([job.wait(max(0.0, end - time.monotonic())) for job in jobs])


def _queued(desk: Desk, jobs: Sequence[Job]) -> str:
    """The place in the queue, while none of these is worked on."""
    place = min((desk.place(job) for job in jobs if not job.done), default=0)
    return f", number {place} in the queue" if place else ""


def _outlook(jobs: Sequence[Job], share: float) -> str:
    """How far it is and how long it may still take."""
    elapsed = max(job.elapsed for job in jobs)
    done = f", {sum(job.done for job in jobs)} of {len(jobs)} done" if len(jobs) > 1 else ""
    if share < 0.03 or elapsed < 1:
        return done
    left = elapsed * (1 - share) / share
    return f"{done}, about {left:.0f} s to go" if left >= 1.5 else f"{done}, nearly there"


def _cancel(desk: Desk, jobs: tuple[Job, ...]) -> None:
    for job in jobs:
        if not job.done:
            _cancelled().add(job.question.key)
            desk.cancel(job)


def _cancelled() -> set[str]:
    """The questions that this person called off: no rerun asks them again, only a person."""
    return st.session_state.setdefault(_CANCELLED, set())


def _refuse_cancelled(questions: Sequence[Question]) -> None:
    keys = [question.key for question in questions]
    if not _cancelled().isdisjoint(keys):
        st.button("Start again", key=f"again-{keys[0]}", on_click=_cancelled().difference_update, args=(keys,))
        raise Cancelled
