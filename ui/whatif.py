"""What would change it: the row's values are edited and the answer follows each change."""

import numpy as np
import streamlit as st

from core.errors import UserFacingError
from core.nouns import Feature, Query
from core.options import Option
from core.results import Attribution
from engine.engine import Question
from engine.predict import Predict
from explainers.base import Explainer
from reports import words
from reports.factors import factors
from ui import address, charts, forms, parts, problems, waiting
from ui.context import Context

EDITED = "edit."
PATCH = "patch"
HIDDEN = "hidden"
SHOWN = 6


@st.fragment
def draw(ctx: Context, method: Explainer, before: Attribution) -> None:
    """The editing form, the answer to it, and its explanation beside the original's."""
    st.header("What would change it", anchor=False)
    address.forget(EDITED, PATCH, HIDDEN)
    with problems.shown():
        form, picture = st.columns([2, 3], gap="large")
        with form:
            edited = {"image": _patch, "text": _words}.get(ctx.spec.modality, _values)(ctx, before)
        with picture:
            _answer(ctx, method, before, edited)
    address.end()


def _answer(ctx: Context, method: Explainer, before: Attribution, edited: np.ndarray) -> None:
    changed = [(int(i), float(edited.ravel()[i])) for i in np.flatnonzero(_differs(edited, ctx.values))]
    query = before.query
    asked = Query(ctx.spec.digest, edited[None], (ctx.row_id,), query.target, query.reference, query.seed)
    said = Query(ctx.spec.digest, edited[None], (ctx.row_id,), query.target)
    question = Question(ctx.model, method, asked)
    waiting.ahead(ctx.desk, [question])
    outputs = waiting.answer(ctx.desk, Question(ctx.model, Predict(), said), "Asking the model").outputs
    after = waiting.answer(ctx.desk, question, f"Computing {method.title}")
    st.markdown(f"**{problems.literal(_headline(ctx, outputs, changed))}**")
    limit = charts.bar_limit(before, after)
    parts.attribution(ctx, after, limit, "what-if", charts.strongest(before, ctx.spec))
    parts.proof(ctx, after)


def _headline(ctx: Context, outputs: np.ndarray, changed: list[tuple[int, float]]) -> str:
    """What the edit does; an edited picture is spoken of as a whole, not pixel by pixel."""
    if ctx.spec.modality == "image" and changed:
        return words.decision_headline(ctx.subject, ctx.model, f"{ctx.row_id} with this patch", outputs)
    if ctx.spec.modality == "text":
        hidden = [ctx.spec.vocabulary.piece(ctx.values[place]).strip() for place, _ in changed]
        return words.hidden_words_headline(ctx.subject, ctx.model, ctx.outputs, outputs, hidden)
    return words.what_if_headline(ctx.subject, ctx.model, ctx.outputs, outputs, changed)


def _differs(edited: np.ndarray, original: np.ndarray) -> np.ndarray:
    return ~((edited == original) | (np.isnan(edited) & np.isnan(original))).ravel()


def _values(ctx: Context, before: Attribution) -> np.ndarray:
    """The row with the values that a person set; the strongest features are offered first."""
    features = ctx.spec.features
    seen = [i for i, feature in enumerate(features) if not feature.hidden]
    named = _named({features[i].name: i for i in seen})
    first = [i for i in charts.strongest(before, ctx.spec) if i in seen][:SHOWN]
    others = [i for i in seen if i not in first]
    edited = ctx.values.copy()
    for i in first:
        with problems.shown():
            edited[i] = _edit(ctx, features[i], float(ctx.values[i]))
    if others:
        key = f"edit-others:{_scope(ctx)}"
        if named:
            st.session_state[key] = [i for i in named if i in others]
        more = st.multiselect(
            "Change others too", others, format_func=lambda i: features[i].title, key=key, placeholder="Choose"
        )
        for i in more:
            with problems.shown():
                edited[i] = _edit(ctx, features[i], float(ctx.values[i]))
    fixed = [feature.title.lower() for feature in features if not feature.mutable]
    if fixed:
        parts.quiet(f"Nobody can change {', '.join(fixed)}: editing those asks about somebody else.")
    st.button("Back to the original", on_click=_restore, disabled=not _differs(edited, ctx.values).any())
    return edited


def _named(places: dict[str, int]) -> list[int]:
    """The positions of the values that a new address edits; a name that is none of theirs is shown as a problem."""
    found = []
    for name in address.said(EDITED):
        if name in places:
            found.append(places[name])
            continue
        why = "The address names it and this subject does not have it"
        problems.show(UserFacingError(f"There is no value called {name!r} to change", why, "Change the values here"))
    return found


def _scope(ctx: Context) -> str:
    """Edits belong to one row: the next row starts from its own values."""
    return f"{ctx.subject.name}/{ctx.model.name}/{ctx.row_id}"


def _edit(ctx: Context, feature: Feature, original: float) -> float:
    """One value, edited with the control that suits its kind; kept in the address where it differs."""
    name = EDITED + feature.name
    key = f"{name}:{_scope(ctx)}"
    coded = feature.kind in ("category", "boolean")
    control = _pick if coded else _type if feature.missing or np.isnan(original) else _slide
    value = control(feature, original, name, key)
    if not _same(value, original):
        address.keep(name, "missing" if np.isnan(value) else feature.show(value) if coded else f"{value:.10g}")
    return value


def _same(value: float, original: float) -> bool:
    return value == original or bool(np.isnan(value) and np.isnan(original))


def _pick(feature: Feature, original: float, name: str, key: str) -> float:
    """A category or a yes or no; in the address by its name."""
    codes = [float(code) for code in range(len(feature.categories) or 2)]
    names = [feature.show(code) for code in codes] + (["missing"] if feature.missing or np.isnan(original) else [])
    option = Option(feature.name, "choice", names[0], feature.title, feature.help, choices=tuple(names))
    with forms.started(name, key, feature.show(original), option.parse):
        picked = st.selectbox(_titled(feature), names, key=key, help=feature.help or None)
    return np.nan if names.index(picked) == len(codes) else codes[names.index(picked)]


def _type(feature: Feature, original: float, name: str, key: str) -> float:
    """A number that may be missing."""
    low, high = _ends(feature, original)
    option = Option(feature.name, "real", low, feature.title, feature.help, low, high)

    def read(value: float | str | None) -> float | None:
        return None if value in (None, "missing") else float(option.parse(value))

    with forms.started(name, key, None if np.isnan(original) else original, read):
        value = st.number_input(
            f"{_titled(feature)}, empty for missing",
            low,
            high,
            value=None,  # what makes it possible to empty it
            key=key,
            step=_step(feature),
            format=f"%.{_decimals(feature)}f",
            help=feature.help or None,
            placeholder="missing",
        )
    return np.nan if value is None else value


def _slide(feature: Feature, original: float, name: str, key: str) -> float:
    """A number between its bounds."""
    low, high = _ends(feature, original)
    option = Option(feature.name, "real", low, feature.title, feature.help, low, high)
    with forms.started(name, key, original, lambda value: float(option.parse(value))):
        return st.slider(
            _titled(feature),
            low,
            high,
            key=key,
            step=_step(feature),
            format=f"%.{_decimals(feature)}f",
            help=feature.help or None,
        )


def _ends(feature: Feature, original: float) -> tuple[float, float]:
    """The feature's bounds, widened to hold the original."""
    held = [feature.lower, feature.upper, *([] if np.isnan(original) else [original])]
    return float(min(held)), float(max(held))


def _titled(feature: Feature) -> str:
    return problems.literal(f"{feature.title}, {feature.unit}" if feature.unit else feature.title)


def _decimals(feature: Feature) -> int:
    return 0 if feature.kind == "integer" else feature.decimals


def _step(feature: Feature) -> float:
    """The last digit shown, so that every value of the data lies on the control's grid."""
    return 10.0 ** -_decimals(feature)


def _restore() -> None:
    for name in list(st.session_state):
        if isinstance(name, str) and name.startswith((EDITED, "edit-others")):
            del st.session_state[name]


def _words(ctx: Context, before: Attribution) -> np.ndarray:
    """The text with the words hidden that a person picks; the strongest are offered first."""
    ranked = factors(before, ctx.spec, grouped=False)
    labels = {str(factor.positions[0] + 1): factor.label for factor in ranked}
    key = f"{HIDDEN}:{_scope(ctx)}"

    def read(said: list[str] | str) -> list[str]:
        named = said.split(",") if isinstance(said, str) else list(said)
        wrong = next((place for place in named if place and place not in labels), None)
        if wrong is not None:
            places = sorted(map(int, labels)) or [0]
            why = f"The words of this {ctx.subject.row_noun} stand at the places {places[0]} to {places[-1]}"
            raise UserFacingError(f"There is no word at place {wrong!r}", why, "Choose words here")
        return [place for place in named if place]

    with forms.started(HIDDEN, key, [], read):
        hidden = st.multiselect(
            "Hide words",
            list(labels),
            format_func=labels.__getitem__,
            key=key,
            placeholder="Choose",
            help="A hidden word is replaced by the model's own mark for a word that is not known.",
        )
    if hidden:
        address.keep(HIDDEN, ",".join(hidden))
    edited = ctx.values.copy()
    edited[[int(place) - 1 for place in hidden]] = ctx.spec.vocabulary.mask
    parts.plain_text(ctx, edited)
    return edited


def _patch(ctx: Context, _before: Attribution) -> np.ndarray:
    """The image with a square of it set to one of its ends: erased or inked, or made dark or light."""
    height, width = ctx.spec.shape[:2]
    first = ctx.spec.features[0]
    inked = ctx.spec.inked and ctx.spec.shape[2] == 1
    ends = {"erase": first.lower, "ink": first.upper} if inked else {"dark": first.lower, "light": first.upper}
    kind = forms.choice(
        "patch",
        "Patch",
        ("none", *ends),
        "none",
        help="Erase sets the square to blank paper, ink to full ink."
        if inked
        else "Dark sets the square to the least value, light to the largest.",
        small=True,
    )
    top = _whole("patch-row", "First row", height // 2, height)
    left = _whole("patch-column", "First column", width // 2, width)
    side = _whole("patch-side", "Side, in pixels", max(1, width // 4), width)
    edited = ctx.values.copy()
    if kind != "none":
        edited[top - 1 : top - 1 + side, left - 1 : left - 1 + side] = ends[kind]
    parts.picture(ctx, edited, f"{ctx.subject.row_noun} {ctx.row_id} as edited", "what-if-picture")
    return edited


def _whole(name: str, label: str, usual: int, most: int) -> int:
    return forms.number(name, Option(name, "integer", usual, label, f"From 1 to {most}.", 1, most))
