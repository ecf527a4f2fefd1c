"""Pieces that several pages draw: charts with their alt text and proof, methods to choose, the row itself."""

from collections.abc import Sequence
from html import escape

import numpy as np
import plotly.graph_objects as go
import streamlit as st

from core.digest import short
from core.nouns import Reference
from core.results import Attacked, Attribution, Result
from core.results import agreement as compare
from core.scores import decide, probabilities
from engine.questions import explainers_for
from explainers.base import Explainer
from reports import reasons, words
from reports.glossary import glossary
from reports.numbers import percent, signed
from ui import charts, choices, forms
from ui.context import Context
from ui.problems import literal

_SHADE = 0.55  # of full colour behind a word, so that it stays readable in both themes
_MARKED = 0.25  # share of the largest effect from which a word carries its figure


def headline(text: str) -> None:
    """The page's answer, as its heading."""
    st.title(literal(text), anchor=False)


def paragraphs(texts: Sequence[str]) -> None:
    """Plain sentences, printed literally."""
    for text in texts:
        st.markdown(literal(text))


def term(name: str) -> str:
    """The glossary's sentence on a term, for help texts."""
    return glossary()[name]


def chart(figure: go.Figure, alt: str, key: str) -> None:
    """A chart with what it says for those who cannot see it."""
    st.plotly_chart(figure, key=f"chart-{key}", alt=alt, config={"displayModeBar": False})


def reference(ctx: Context) -> Reference:
    """The reference population, chosen under More; of texts the rows among which a score is shown."""
    subject = ctx.subject
    if ctx.spec.modality == "text":
        quiet(f"A {subject.row_noun} is compared with itself, every word hidden.")
        return subject.reference()
    most = min(1000, len(subject.dataset))
    size = forms.number("reference", choices.reference_rows(subject.reference_size, most))
    seed = forms.number("reference-seed", choices.REFERENCE_SEED, subject.reference_seed)
    return subject.reference(size, seed)


def warnings(ctx: Context, reference: Reference) -> None:
    """That the row or the reference is unlike the data, where one is."""
    for text in reasons.warnings(ctx.subject, ctx.model, ctx.values, ctx.row_id, reference):
        st.warning(literal(text), icon=":material/warning:")


def explainer(
    ctx: Context, name: str, label: str, default: type[Explainer], family: str | None = None
) -> type[Explainer]:
    """One of the explainers that apply to this model."""
    fitting = {kind.name: kind for kind in explainers_for(ctx.spec) if family in (None, kind.family)}
    chosen = forms.choice(
        name, label, list(fitting), default.name, lambda each: fitting[each].title, default.summary, noun="method"
    )
    return fitting[chosen]


def attribution(ctx: Context, found: Attribution, limit: float, key: str, order: Sequence[int] | None = None) -> None:
    """One row's attribution: bars for a table, the picture overlaid for an image, a text's words shaded in place."""
    spec, alt = ctx.spec, words.attribution_alt(ctx.subject, ctx.model, found)
    if spec.modality == "text":
        shaded_text(ctx, found, limit, alt)
    elif spec.modality == "image":
        chart(charts.overlay(found.query.rows[0], found.values[0], spec, limit, ctx.palette), alt, key)
    else:
        chart(charts.attribution_bars(found, spec, ctx.palette, limit, order), alt, key)


def shaded_text(ctx: Context, found: Attribution, limit: float, alt: str) -> None:
    """A text with every word shaded by its effect; strong ones carry it as a figure, all of them on hover."""
    pieces = []
    for place, piece in _pieces(ctx, found.query.rows[0]):
        effect = float(found.values[0, place])
        share = min(1.0, abs(effect) / (limit or 1.0))
        colour = ctx.palette.raises if effect > 0 else ctx.palette.lowers
        figure = f"<sub>{escape(signed(effect))}</sub>" if share >= _MARKED else ""
        style = f"background:{colour}{round(_SHADE * share * 255):02x};border-radius:.2em;padding:.12em .06em"
        space = " " if piece.startswith(" ") else ""
        said = f'style="{style}" title="{escape(signed(effect))}"'
        pieces.append(f"{space}<span {said}>{escape(piece.strip())}{figure}</span>")
    _running_text(pieces, alt)


def plain_text(ctx: Context, row: np.ndarray) -> None:
    """A text as the model gets it."""
    _running_text([escape(piece) for _, piece in _pieces(ctx, row)], ctx.spec.vocabulary.text(row))


def _pieces(ctx: Context, row: np.ndarray) -> list[tuple[int, str]]:
    """The places and printed pieces of the tokens that a text (length,) consists of."""
    known = ctx.spec.vocabulary
    return [(int(place), known.piece(row[place])) for place in np.flatnonzero(known.ordinary(row))]


def _running_text(pieces: Sequence[str], alt: str) -> None:
    style = "line-height:2.1;overflow-wrap:anywhere;margin:0"
    st.html(f'<p role="group" aria-label="{escape(alt)}" style="{style}">{"".join(pieces).strip()}</p>')


def picture(ctx: Context, pixels: np.ndarray, alt: str, key: str) -> None:
    """An image as the model gets it."""
    chart(charts.picture(pixels, ctx.spec, ctx.palette), alt, key)


def proof(ctx: Context, result: Result, line: str | None = None) -> None:
    """The quiet line under a chart, which opens to the full ledger; a plain warning where a tolerance fails."""
    text = line or words.proof_line(result, ctx.spec)
    if isinstance(result, Attribution) and result.complete is False:
        st.warning(literal(text), icon=":material/warning:")
    with st.expander(literal(text), type="compact"):
        ledger(words.ledger(result, ctx.subject, ctx.model))


def ledger(lines: Sequence[tuple[str, str]]) -> None:
    """Every choice behind a figure, a line each."""
    st.markdown("\n".join(f"- {literal(name)}: **{literal(value)}**" for name, value in lines))


def attack_line(attacked: Attacked) -> str:
    """The quiet line under an attack."""
    size = f"{attacked.norm}, size {percent(attacked.size)} of each range, seed {attacked.query.seed}"
    title = words.method_title(attacked.method)
    return f"{title}, {size}, {attacked.model_calls:,} rows sent to the model, {short(attacked.digest)}"


def decided(ctx: Context, title: str, outputs: np.ndarray) -> None:
    """A decision as the head of a column: what was decided, and its figures."""
    name = ctx.spec.classes[int(decide(outputs, ctx.spec, ctx.subject.cutoff)[0])]
    figures = words.figures(ctx.subject, ctx.model, outputs)
    st.markdown(f"**{title}: {literal(name)}**  \n{literal(figures)}")


def score(ctx: Context, outputs: np.ndarray, population: np.ndarray, key: str) -> None:
    """Where the score lies: on a strip with the reference and the cut-off, or among the classes."""
    spec = ctx.spec
    alt = words.score_alt(ctx.subject, ctx.model, ctx.row_id, outputs, population)
    if not spec.classes:
        here = float(outputs[0, 0])
        chart(charts.value_strip(population[:, 0], here, spec, ctx.palette, ctx.subject.row_noun), alt, key)
        return
    chances = probabilities(outputs, spec)[0]
    if len(spec.classes) == 2:
        others = probabilities(population, spec)[:, 1]
        cutoff = 0.5 if ctx.subject.cutoff is None else ctx.subject.cutoff
        figure = charts.score_strip(
            others, float(chances[1]), cutoff, ctx.palette, ctx.subject.row_noun, spec.classes[1]
        )
    else:
        figure = charts.class_bars(chances, spec.classes, int(chances.argmax()), ctx.palette)
    chart(figure, alt, key)


def directions(ctx: Context, found: Attribution) -> None:
    """What the colours of an overlay mean."""
    what = words.score_of(ctx.spec, ctx.target)
    slope = "more ink" if ctx.spec.inked and ctx.spec.shape[-1] == 1 else "a higher value"
    raises, lowers = (f"raises {what}", "lowers it") if found.compares else (f"{slope} would raise {what}", "lower it")
    legend([(ctx.palette.raises, raises), (ctx.palette.lowers, lowers)])


def legend(meanings: Sequence[tuple[str, str]]) -> None:
    """Colours and what they mean, in words beside a square of each."""
    squares = [
        f'<span style="color:{colour}" aria-hidden="true">&#9632;</span> {escape(text)}' for colour, text in meanings
    ]
    st.markdown(f'<p style="font-size:.85rem;margin:0 0 .8rem">{"&ensp;".join(squares)}</p>', unsafe_allow_html=True)


def quiet(text: str) -> None:
    """A small remark."""
    st.markdown(f":gray[:small[{literal(text)}]]")


def agreement(ctx: Context, first: Attribution, second: Attribution) -> None:
    """How far two methods tell the same story about the row."""
    noun = "factor" if ctx.spec.modality == "table" else words.things(ctx.spec)
    titles = (words.method_title(first.method), words.method_title(second.method))
    paragraphs([words.agreement_sentence(compare(first.values[0], second.values[0]), *titles, noun)])


def row_table(ctx: Context) -> None:
    """The row as the model gets it, every value with its unit."""
    with st.expander(f"All {len(ctx.spec.features)} values of this {ctx.subject.row_noun}", type="compact"):
        names = [feature.title for feature in ctx.spec.features]
        values = [feature.show(value) for feature, value in zip(ctx.spec.features, ctx.values, strict=True)]
        table({"Feature": names, "Value": values})


def table(columns: dict[str, Sequence[str]]) -> None:
    """A small table of texts, printed literally: the first column to the left, figures to the right."""
    lines = [list(columns), ["---", *["---:"] * (len(columns) - 1)], *zip(*columns.values(), strict=True)]
    rows = [" | ".join(map(literal, line) if number != 1 else line) for number, line in enumerate(lines)]
    st.markdown("\n".join(f"| {row} |" for row in rows))
