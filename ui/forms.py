"""Controls whose choice lives in the address, and forms drawn from a method's options.

Where an address says what cannot be chosen, the control is drawn at its default and the sentence is raised after
it, so that the person finds there what the sentence tells them to use.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import streamlit as st

from core.errors import UserFacingError
from core.options import Option, options_of
from ui import address


@contextmanager
def started(name: str, key: str, default: Any, read: Callable[[Any], Any]) -> Iterator[None]:
    """Draws a control at what the address says for `name`, at what it was, or at `default`.

    What the address says and cannot be is refused; what it was and no longer can be, for another model say,
    starts again at its default.
    """
    said = address.take(name)
    refused = None
    try:
        st.session_state[key] = read(st.session_state.get(key, default) if said is None else said)
    except UserFacingError as error:
        st.session_state[key] = default
        refused = error if said is not None else None
    yield
    if refused is not None:
        raise refused


def choice(
    name: str,
    label: str,
    options: Sequence[str],
    default: str,
    show: Callable[[str], str] = str,
    help: str | None = None,
    on_change: Callable[[], None] | None = None,
    small: bool = False,
    noun: str | None = None,
) -> str:
    """One of a few, by its own name in the address. `noun`: what one of them is called in a refusal."""

    def read(chosen: str) -> str:
        if chosen in options:
            return chosen
        raise UserFacingError(
            f"There is no {noun or label.lower()} {chosen!r}",
            f"There are: {', '.join(map(show, options))}",
            "Choose one of them here",
        )

    with started(name, name, default, read):
        if small:
            picked = st.segmented_control(label, options, format_func=show, key=name, help=help, required=True)
        else:
            picked = st.selectbox(label, options, format_func=show, key=name, help=help, on_change=on_change)
    if picked != default:
        address.keep(name, picked)
    return picked


def number(name: str, option: Option, default: int | float | None = None) -> int | float:
    """A number within an option's bounds, by its own name in the address."""
    start = option.default if default is None else default
    kind = int if option.kind == "integer" else float
    with started(name, name, start, option.parse):
        picked = st.number_input(
            option.label,
            min_value=None if option.low is None else kind(option.low),
            max_value=None if option.high is None else kind(option.high),
            step=1 if kind is int else None,
            format=None if kind is int else "%.4g",
            key=name,
            help=option.help,
        )
    if picked != start:
        address.keep(name, f"{picked:.10g}")
    return picked


def page(name: str, count: int) -> int:
    """One of `count` pages, counted from 1, by its own name in the address."""
    with started(name, name, 1, Option(name, "integer", 1, "Page", "Which page is shown.", 1, count).parse):
        turned = st.pagination(count, key=name)
    if turned != 1:
        address.keep(name, str(turned))
    return turned


def slider(name: str, option: Option, step: float, shown: str, default: float | None = None) -> float:
    """A number within an option's bounds on a slider, by its own name in the address; `shown` is its format."""
    start = option.default if default is None else default
    with started(name, name, float(start), lambda value: float(option.parse(value))):
        picked = st.slider(
            option.label, float(option.low), float(option.high), step=step, format=shown, key=name, help=option.help
        )
    if picked != start:
        address.keep(name, f"{picked:.10g}")
    return picked


def toggle(name: str, option: Option) -> bool:
    """A yes or no, by its own name in the address."""
    with started(name, name, option.default, option.parse):
        picked = st.toggle(option.label, key=name, help=option.help)
    if picked != option.default:
        address.keep(name, "yes" if picked else "no")
    return picked


def method_options(kind: type, prefix: str, leave_out: Sequence[str] = ()) -> dict[str, Any]:
    """A form for the options of a method, drawn from its fields."""
    values: dict[str, Any] = {}
    for option in options_of(kind):
        if option.name in leave_out:
            continue
        name = f"{prefix}.{option.name}"
        if option.kind == "choice":
            values[option.name] = choice(name, option.label, option.choices, option.default, _plain, option.help)
        elif option.kind == "boolean":
            values[option.name] = toggle(name, option)
        else:
            values[option.name] = number(name, option)
    return values


def _plain(name: str) -> str:
    return name.replace("_", " ")
