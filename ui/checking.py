"""Widgets of the page Check it yourself: filters, a sample and rows of one's own, answers asked again, evidence."""

import csv
import hashlib
import io
from collections.abc import Callable, Sequence
from urllib.parse import urlencode

import numpy as np
import streamlit as st

from access import exchange
from access.masks import hidden
from core import measures
from core.digest import short
from core.errors import UserFacingError
from core.nouns import Feature, Query, Subject, Target
from core.options import Option
from core.results import Attribution, Result
from engine.again import question_again
from engine.engine import Cancelled, Question
from engine.own_rows import ID
from engine.predict import Predict
from engine.questions import default_survey
from reports import evidence, words
from reports.glossary import glossary
from reports.numbers import counted
from reports.rows import Decided, Sought, decided_rows
from ui import address, charts, forms, parts, problems, waiting
from ui.context import Context

VIEWS = {
    "rows": "Rows",
    "sample": "A sample of your own",
    "own": "Rows of your own",
    "again": "Ask again",
    "said": "Comments and findings",
}
TWICE = "Each row counts once for its decision and once for what moved it."  # of a budget
LISTED, LISTED_SEED = 5_000, 7  # rows that are listed at most, and the seed that draws them
_SEED = glossary()["seed"]
OWN_SIZE = Option("own-sample", "integer", 300, "Rows drawn", "How many rows your sample has.", 2, 5000)
OWN_SEED = Option("own-seed", "integer", 1, "Your seed", _SEED, 0, 2**31 - 1)
AGAIN = Option("again", "integer", 5, "Answers asked again", "How many are drawn of those that there are.", 1, 50)
AGAIN_SEED = Option("again-seed", "integer", 1, "Seed of the draw", _SEED, 0, 2**31 - 1)

_ANY = "any"
_RIGHT = {_ANY: "right or wrong", "right": "right", "wrong": "wrong"}
_AGREED = "check.agreed"
_READ = "check.read"
_AGAIN = "check.again"
_OWN_HELP = "A table with the model's columns, and row_id where your rows have names; CSV, Parquet or Arrow."


# --- rows ------------------------------------------------------------------------------------------------------------


def listed(subject: Subject) -> np.ndarray:
    """The positions of the rows that are listed: all, or of many a seeded sample."""
    return subject.dataset.sample(LISTED, LISTED_SEED)


def filters(ctx: Context, rows: Decided) -> Sought:
    """What somebody looks for, chosen in one line."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        decided, right = _decision(ctx), None
        if ctx.spec.classes:
            picked = forms.choice("right", "Against the true answer", list(_RIGHT), _ANY, _RIGHT.__getitem__)
            right = None if picked == _ANY else picked == "right"
        low, high = (0.0, 1.0) if ctx.spec.classes else (float(rows.scores.min()), float(rows.scores.max()))
        label = words.capital(words.result_noun(ctx.spec))
        scores = _span("scores", label, low, high) if low < high else None
        feature, values = _feature(ctx)
    return Sought(decided, right, scores, feature, values)


def _decision(ctx: Context) -> int | None:
    if not ctx.spec.classes:
        return None
    options = [_ANY, *ctx.spec.classes]
    picked = forms.choice("decided", "Decision", options, _ANY, lambda name: "any decision" if name == _ANY else name)
    return None if picked == _ANY else ctx.spec.class_index(picked)


def _feature(ctx: Context) -> tuple[int | None, tuple[float, float] | None]:
    """One feature and which of its values; those that are hidden cannot be looked for."""
    if ctx.spec.modality != "table":
        return None, None
    features, unseen = ctx.spec.features, set(hidden(ctx.spec))
    names = {each.name: place for place, each in enumerate(features) if place not in unseen}
    titles = {name: features[place].title for name, place in names.items()} | {_ANY: "none"}
    picked = forms.choice("by", "Feature", [_ANY, *names], _ANY, titles.__getitem__)
    if picked == _ANY:
        return None, None
    feature = features[names[picked]]
    return names[picked], _values(feature)


def _values(feature: Feature) -> tuple[float, float] | None:
    """Which values of a feature: one of a few, or a range."""
    if feature.kind not in ("category", "boolean"):
        return _span(f"by.{feature.name}", feature.title, feature.lower, feature.upper)
    known = [feature.show(float(code)) for code in range(len(feature.categories) or 2)]
    picked = forms.choice(f"by.{feature.name}", feature.title, [_ANY, *known], _ANY, noun="value")
    code = float(known.index(picked)) if picked != _ANY else None
    return None if code is None else (code, code)


def _span(name: str, label: str, low: float, high: float) -> tuple[float, float] | None:
    """A range on a slider, in the address as "low..high"; None where it is the whole."""

    def read(value: str | tuple[float, float]) -> tuple[float, float]:
        try:
            ends = [float(each) for each in (value.split("..") if isinstance(value, str) else value)]
            first, last = ends
        except ValueError:
            first, last = high, low
        if not low <= first <= last <= high:
            why = f"It should be two numbers from {low:g} to {high:g}, as in {low:g}..{high:g}"
            raise UserFacingError(f"The range {value!r} cannot be used", why, "Choose the range here")
        return first, last

    with forms.started(name, name, (low, high), read):
        picked = st.slider(problems.literal(label), low, high, key=name, step=(high - low) / 100)
    if picked == (low, high):
        return None
    address.keep(name, f"{picked[0]:.10g}..{picked[1]:.10g}")
    return picked


def row_links(ctx: Context, ids: Sequence[str]) -> list[str]:
    """The address of each row's decision."""
    chosen = {"subject": ctx.subject_name, "model": ctx.model.name}
    return [f"./?{urlencode({**chosen, 'row': row_id})}" for row_id in ids]


def frame(columns: dict[str, list], alt: str, key: str, links: Sequence[str] = ()) -> None:
    """A long table; `links` lead from each line to its decision."""
    shown = {**columns, "see": list(links)} if links else columns
    link = st.column_config.LinkColumn("Decision page", display_text="open")
    st.dataframe(
        shown,
        key=f"frame-{key}",
        hide_index=True,
        height=min(420, 40 + 36 * len(next(iter(columns.values())))),
        column_config={"see": link} if links else None,
        alt=alt,
    )


def importance(ctx: Context, found: Attribution, seed: int) -> None:
    """How much each feature matters on average over the rows drawn."""
    averages = measures.importance(found.values, seed)
    if ctx.spec.modality == "image":
        figure = charts.importance_picture(averages, found.query.rows, ctx.spec, ctx.palette)
    else:
        unit = words.scale_name(ctx.spec, ctx.target.scale)
        figure = charts.importance_bars(averages, ctx.spec, ctx.palette, unit)
    parts.chart(figure, words.importance_headline(ctx.subject, ctx.model, found), "own-importance")


# --- what takes of a budget -------------------------------------------------------------------------------------------


def agreed(ctx: Context, questions: Sequence[Question], label: str, why: str = "") -> bool:
    """Whether these may be asked. What takes of a budget is said first, and asked for with the button `label`."""
    said, grant = st.session_state.setdefault(_AGREED, set()), ctx.desk.grant(ctx.subject_name)
    key = " ".join(each.key for each in questions)
    price = 0 if grant is None or key in said else ctx.desk.price(questions)
    if price:
        _say_price(price, ctx.desk.left(grant), why)
        st.button(label, on_click=said.add, args=(key,))
    return not price


def _say_price(price: int, left: int, why: str = "") -> None:
    """How many rows something takes of the person's budget."""
    parts.paragraphs([f"This takes {price:,} of the {left:,} rows that you may still have computed. {why}".strip()])


# --- rows of one's own -----------------------------------------------------------------------------------------------


def own_rows(ctx: Context) -> tuple[np.ndarray, tuple[str, ...]] | None:
    """The rows of a file that the person gives, read once; None before there is one."""
    st.download_button(
        "An empty file with these columns", _header(ctx), f"{ctx.subject.name}.csv", "text/csv", on_click="ignore"
    )
    given = st.file_uploader("Your rows", key=f"own-{ctx.subject_name}-{ctx.model.name}", help=_OWN_HELP)
    if given is None:
        return None
    body = given.getvalue()
    key = f"{ctx.subject_name}/{ctx.model.spec.digest}/{hashlib.sha256(body).hexdigest()}"
    kept = st.session_state.setdefault(_READ, {})
    if key not in kept:
        kept.clear()
        try:
            kept[key] = waiting.work(key, lambda *ways: _bring(ctx, body, *ways), f"Reading {given.name}")
        except UserFacingError as error:
            if not waiting.was_cancelled(key):
                kept[key] = error
            raise
    if isinstance(kept[key], UserFacingError):
        raise kept[key]
    return kept[key]


def _bring(
    ctx: Context, body: bytes, progress: Callable[[float], None], cancelled: Callable[[], bool]
) -> tuple[np.ndarray, tuple[str, ...]]:
    return exchange.bring_rows(ctx.desk, ctx.subject_name, ctx.spec, body, progress, cancelled)


def _header(ctx: Context) -> str:
    line = io.StringIO()
    csv.writer(line).writerow([ID, *(feature.name for feature in ctx.spec.features)])
    return line.getvalue()


def own_questions(ctx: Context, rows: np.ndarray, ids: tuple[str, ...]) -> list[Question]:
    """What is asked about rows of one's own: what the model says, and why."""
    query = Query(ctx.spec.digest, rows, ids, Target(0, ctx.spec.natural_scale))
    why = Query(ctx.spec.digest, rows, ids, ctx.target, ctx.subject.reference())
    survey = default_survey(ctx.spec)()
    return [Question(ctx.model, Predict(), query), Question(ctx.model, survey, why, "long")]


def ask_own(ctx: Context, questions: Sequence[Question]) -> tuple[Decided, Attribution]:
    """What the model says about rows of one's own, and why."""
    ids = questions[0].query.row_ids
    said, found = waiting.answers(ctx.desk, questions, f"Asking about your {counted(len(ids), 'row')}")
    labels = np.full(len(ids), -1) if ctx.spec.classes else np.full(len(ids), np.nan)
    return decided_rows(ctx.subject, ctx.model, np.arange(len(ids)), said.outputs, labels), found


# --- asking again ----------------------------------------------------------------------------------------------------


def again(ctx: Context, keys: Sequence[str]) -> list[dict[str, str]] | None:
    """Stored answers computed anew and compared, a line each; None before a person has said to."""
    done = st.session_state.setdefault(_AGAIN, {})
    job = hashlib.sha256(f"{ctx.subject_name}/{ctx.model.spec.digest}/{'/'.join(keys)}".encode()).hexdigest()
    if grant := ctx.desk.grant(ctx.subject_name):
        _say_price(sum(len(_stored(ctx, key).query) for key in keys), ctx.desk.left(grant))
    if st.button("Ask again", key="ask-again") or waiting.was_cancelled(job):
        done.clear()
        done[job] = waiting.work(job, lambda *ways: _asked_again(ctx, keys, *ways), "Asking again")
    return done.get(job)


def _asked_again(
    ctx: Context, keys: Sequence[str], progress: Callable[[float], None], cancelled: Callable[[], bool]
) -> list[dict[str, str]]:
    lines = []
    for number, key in enumerate(keys):
        stored = _stored(ctx, key)
        line = {"method": words.method_title(stored.method), "rows": f"{len(stored.query):,}"}
        try:
            fresh = short(_fresh(ctx, stored, cancelled).digest)
            same = "the same" if fresh == short(stored.digest) else "ANOTHER"
        except Cancelled:
            raise
        except UserFacingError as error:
            fresh, same = "none", error.sentence
        lines.append({**line, "kept": short(stored.digest), "asked again": fresh, "verdict": same})
        progress((number + 1) / len(keys))
    return lines


def _stored(ctx: Context, key: str) -> Result:
    return exchange.stored(ctx.desk, ctx.subject_name, ctx.model, key)


def _fresh(ctx: Context, stored: Result, cancelled: Callable[[], bool]) -> Result:
    """The answer computed anew, in a worker, whatever is kept."""
    job = ctx.desk.submit(question_again(ctx.model, stored), fresh=True)
    while not job.wait(0.1):
        if cancelled():
            ctx.desk.cancel(job)
            raise Cancelled
    return job.result()


def drawn(keys: Sequence[str], size: int, seed: int) -> list[str]:
    """Some of the keys, by a seed."""
    order = np.random.default_rng(seed).permutation(len(keys))[:size]
    return [sorted(keys)[place] for place in order]


# --- evidence --------------------------------------------------------------------------------------------------------


def take_away(ctx: Context, keys: Sequence[str]) -> None:
    """The button that gives all answers about the model as one zip."""
    st.download_button(
        f"Download the evidence ({counted(len(keys), 'answer')})",
        lambda: ctx.desk.export("evidence", ctx.subject_name, lambda: _bundle(ctx, keys)),
        f"evidence-{ctx.subject_name}-{ctx.model.name}.zip",
        "application/zip",
        on_click="ignore",
        icon=":material/download:",
    )


def _bundle(ctx: Context, keys: Sequence[str]) -> bytes:
    snapshot = ctx.desk.snapshot(ctx.subject_name)
    manifest = {"subject": ctx.subject_name, "model": ctx.model.name, "model_digest": ctx.spec.digest}
    if snapshot is not None:
        manifest |= {"snapshot": snapshot.id, "frozen": snapshot.when.isoformat(), "files": dict(snapshot.files)}
        manifest |= {"dataset": snapshot.dataset}
    manifest |= {"masked": [ctx.spec.features[place].name for place in hidden(ctx.spec)]}
    results = (_stored(ctx, key) for key in keys)
    return evidence.bundle(manifest, (evidence.contract(ctx.subject, ctx.model, each) for each in results))
