"""The line at the top of every page: subject, model, row and explained class, changed in place."""

import functools
from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np
import streamlit as st

from access.desk import Desk
from core.errors import UserFacingError
from core.nouns import ModelFile, Subject, Target
from engine.engine import Question
from engine.predict import Predict
from engine.questions import default_class, prediction_query
from reports.palette import DARK, LIGHT
from reports.words import capital
from ui import address, banner, forms, waiting
from ui.context import Context
from ui.page import Page

T = TypeVar("T")
_DECIDED = "as decided"


def hold() -> None:
    """Has what is chosen at the top outlive a run that is cut short before it is drawn: Streamlit forgets it else."""
    for name in ("subject", "model", "row", "class"):
        if name in st.session_state:
            st.session_state[name] = st.session_state[name]


def draw(desk: Desk, page: Page) -> Context:
    """Draws the line and returns the view it names, which is written into the log before it is shown."""
    refused: list[UserFacingError] = []
    with st.container(horizontal=True, vertical_alignment="bottom", key="header"):
        names = desk.names()
        if not names:
            raise _nothing_granted()
        first = (names[0], desk.subject(names[0]))
        name, subject = _drawn(lambda: _subject(desk, names), first, refused)
        if refused:
            desk.missed(refused[0].what)
        model = _drawn(lambda: subject.model(_model(subject)), subject.model(), refused)
        row = _drawn(lambda: _row(subject), 0, refused)
        if refused:
            raise refused[0]
        banner.looked(desk, page, name, subject.dataset.row_ids[row])
        asked = Question(model, Predict(), prediction_query(subject, model, [row]))
        outputs = waiting.answer(desk, asked, "Starting the model").outputs
        target = Target(_class(subject, model, outputs), model.spec.natural_scale)
    palette = DARK if st.context.theme.type == "dark" else LIGHT
    return Context(desk, name, subject, model, row, target, outputs, palette)


def _drawn(control: Callable[[], T], default: T, refused: list[UserFacingError]) -> T:
    """What a control says. Where that cannot be, the controls after it are drawn all the same: they are the way on."""
    try:
        return control()
    except UserFacingError as error:
        refused.append(error)
        return default


def _subject(desk: Desk, names: Sequence[str]) -> tuple[str, Subject]:
    titles = {name: desk.title(name) for name in names}
    said = list(titles.values())
    shown = {name: f"{title} ({name})" if said.count(title) > 1 else title for name, title in titles.items()}
    name = forms.choice("subject", "Subject", names, names[0], shown.__getitem__, on_change=_forget_all_but)
    address.keep("subject", name)
    return name, desk.subject(name)


def _nothing_granted() -> UserFacingError:
    return UserFacingError(
        "There is nothing here that you may see",
        "Nothing was granted to you, or every grant has expired or was taken back",
        "Ask the person who invited you for a grant",
    )


def _forget_all_but(*kept: str) -> None:
    """Another subject or model has other things to choose on the pages; each starts at its default."""
    for name in [name for name in st.session_state if isinstance(name, str) and name not in ("subject", *kept)]:
        if not name.startswith(("address.", "waiting.")):
            del st.session_state[name]


def _model(subject: Subject) -> str:
    titles = {model.name: model.title for model in subject.models}
    return forms.choice(
        "model",
        "Model",
        list(titles),
        subject.models[0].name,
        titles.__getitem__,
        on_change=functools.partial(_forget_all_but, "model", "row", "view"),
    )


def _row(subject: Subject) -> int:
    """The row by its id, with its neighbours a click away."""
    ids = subject.dataset.row_ids
    with st.container(horizontal=True, vertical_alignment="bottom", width=250, gap="xxsmall", key="row-picker"):
        st.button(
            f"The {subject.row_noun} before",
            icon=":material/chevron_left:",
            key="row-before",
            on_click=_step,
            args=(subject, -1),
        )
        usual = subject.example or ids[0]
        with forms.started("row", "row", usual, lambda text: text.strip() or usual):
            named = st.text_input(capital(subject.row_noun), key="row", help=f"{ids[0]} to {ids[-1]}")
        st.button(
            f"The {subject.row_noun} after",
            icon=":material/chevron_right:",
            key="row-after",
            on_click=_step,
            args=(subject, 1),
        )
    position = subject.position(named.strip())
    address.keep("row", ids[position])
    return position


def _step(subject: Subject, by: int) -> None:
    ids = subject.dataset.row_ids
    here = st.session_state["row"]
    position = subject.position(here) if here in ids else -by
    st.session_state["row"] = ids[int(np.clip(position + by, 0, len(ids) - 1))]


def _class(subject: Subject, model: ModelFile, outputs: np.ndarray) -> int:
    """The explained class; with many classes the decided one unless another is chosen."""
    classes = model.spec.classes
    usual = default_class(subject, model, outputs)
    if not classes:
        return usual
    if len(classes) == 2:
        return model.spec.class_index(forms.choice("class", "Explained class", classes, classes[usual]))
    chosen = forms.choice(
        "class",
        "Explained class",
        (_DECIDED, *classes),
        _DECIDED,
        lambda name: f"{classes[usual]}, as decided" if name == _DECIDED else name,
    )
    return usual if chosen == _DECIDED else model.spec.class_index(chosen)
