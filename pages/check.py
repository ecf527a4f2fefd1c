"""Check it yourself: the rows behind a model, samples and rows of one's own, stored answers asked again, findings."""

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from access import exchange
from engine.questions import default_survey
from reports import rows as listing
from reports import words
from reports.numbers import counted, plural
from ui import checking, choices, forms, parts, problems, sharing, waiting
from ui.context import Context
from ui.page import Page

PAGE = Page("Check it yourself", "check", "comment", 7)


def render(ctx: Context) -> None:
    """One of five ways to check."""
    heading = st.container()
    view = forms.choice("check", "What to check", list(checking.VIEWS), "rows", checking.VIEWS.__getitem__, small=True)
    if view == "rows":
        _rows(ctx, heading)
    elif view == "sample":
        _sample(ctx, heading)
    elif view == "own":
        _own(ctx, heading)
    elif view == "again":
        _again(ctx, heading)
    else:
        _said(ctx, heading)


def _rows(ctx: Context, heading: DeltaGenerator) -> None:
    """The rows that fit what somebody looks for."""
    positions = checking.listed(ctx.subject)
    what = f"Asking the model about {len(positions):,} rows"
    outputs = waiting.answer(ctx.desk, ctx.predict(positions), what).outputs
    rows = listing.decided_rows(ctx.subject, ctx.model, positions, outputs)
    sought = checking.filters(ctx, rows)
    fits = listing.fitting(ctx.subject, ctx.model, rows, sought)
    said = listing.headline(ctx.subject, ctx.model, rows, fits)
    with heading:
        parts.headline(said)
    if not fits.any():
        parts.paragraphs([f"No {ctx.subject.row_noun} is like that. Widen a range, or choose any decision."])
        return
    columns = listing.table(ctx.subject, ctx.model, rows, fits, sought.feature)
    checking.frame(columns, said, "rows", checking.row_links(ctx, columns[ctx.subject.row_noun]))
    if len(positions) < len(ctx.subject.dataset):
        every = f"{len(ctx.subject.dataset):,} {plural(ctx.subject.row_noun)}"
        parts.quiet(f"{len(positions):,} of {every} are listed, drawn with seed {checking.LISTED_SEED}.")


def _sample(ctx: Context, heading: DeltaGenerator) -> None:
    """Rows that the reader draws, explained anew."""
    if ctx.spec.modality == "text":
        with heading:
            parts.headline("Texts are drawn and explained on Whole model.")
        parts.paragraphs(
            ["Each text is a question of its own. Whole model draws them with a seed that you choose there."]
        )
        return
    usual = choices.SAMPLE_OF_IMAGES if ctx.spec.modality == "image" else checking.OWN_SIZE.default
    with st.container(horizontal=True, vertical_alignment="bottom", width=420):
        size = forms.number("own-sample", checking.OWN_SIZE, min(usual, len(ctx.subject.dataset)))
        seed = forms.number("own-seed", checking.OWN_SEED)
    kind, reference, data = default_survey(ctx.spec), ctx.subject.reference(), ctx.subject.dataset
    first = ctx.explain(kind(), reference, data.sample(usual, choices.SAMPLE_SEED.default), "long")
    asked = ctx.explain(kind(), reference, data.sample(size, seed), "long")
    place = heading.empty()
    with place.container():
        parts.headline(f"{len(asked.query):,} rows drawn with seed {seed} can be explained.")
    if not checking.agreed(ctx, [asked], "Explain them"):
        return
    found = waiting.answer(ctx.desk, asked, f"Explaining {len(asked.query):,} rows by {kind.title}")
    with place.container():
        parts.headline(words.importance_headline(ctx.subject, ctx.model, found))
    checking.importance(ctx, found, seed)
    if first.key != asked.key and first.key in exchange.asked(ctx.desk, ctx.subject_name, ctx.model):
        stored = exchange.stored(ctx.desk, ctx.subject_name, ctx.model, first.key)
        parts.paragraphs([listing.samples_sentence(found, stored, ctx.spec)])
    parts.proof(ctx, found, f"{len(asked.query):,} rows drawn with seed {seed}. {words.proof_line(found, ctx.spec)}")


def _own(ctx: Context, heading: DeltaGenerator) -> None:
    """Rows that the reader brings."""
    place = heading.empty()
    with place.container():
        parts.headline(f"Bring rows of your own and see how {ctx.model.title} decides them.")
    if ctx.spec.modality != "table":
        parts.paragraphs(["This model reads no table. Pictures and texts can only be brought as a subject."])
        return
    brought = checking.own_rows(ctx)
    if brought is None:
        return
    questions = checking.own_questions(ctx, *brought)
    if not checking.agreed(ctx, questions, "Ask the model about them", checking.TWICE):
        return
    rows, found = checking.ask_own(ctx, questions)
    said = listing.own_headline(ctx.subject, ctx.model, rows)
    with place.container():
        parts.headline(said)
    columns = {"row": list(found.query.row_ids), **listing.decisions(ctx.spec, rows, rows.positions)}
    checking.frame({**columns, "moved most by": listing.moved_by(found, ctx.subject, ctx.spec)}, said, "own")
    parts.proof(ctx, found)


def _again(ctx: Context, heading: DeltaGenerator) -> None:
    """Stored answers computed anew, and all of them to take away."""
    keys = exchange.asked(ctx.desk, ctx.subject_name, ctx.model)
    place = heading.empty()
    with place.container():
        parts.headline(f"{counted(len(keys), 'answer')} about {ctx.model.title} can be computed again and compared.")
    if not keys:
        parts.paragraphs(["Nothing was asked about this model yet. Look at its decisions first."])
        return
    with st.container(horizontal=True, vertical_alignment="bottom", width=420):
        size = forms.number("again", checking.AGAIN, min(checking.AGAIN.default, len(keys)))
        seed = forms.number("again-seed", checking.AGAIN_SEED)
    lines = checking.again(ctx, checking.drawn(keys, size, seed))
    if lines is not None:
        same = sum(line["verdict"] == "the same" for line in lines)
        with place.container():
            parts.headline(f"{same} of {counted(len(lines), 'answer')} came out the same, digest for digest.")
        parts.table({name: [line[name] for line in lines] for name in lines[0]})
    if ctx.desk.may("report"):
        checking.take_away(ctx, keys)


def _said(ctx: Context, heading: DeltaGenerator) -> None:
    """What was said about the subject, and a box to say more."""
    threads = exchange.threads(ctx.desk, ctx.subject_name)
    with heading:
        parts.headline(sharing.said_headline(threads))
    with problems.shown():
        sharing.say(ctx)
    for each in threads:
        sharing.thread(ctx.desk, each, ctx.subject.row_noun)
    if not threads:
        parts.quiet("What you send can be read by those who shared this with you, and answered.")
