"""Charts for the pages, each one function from results to a plotly figure.

Orange raises the explained score, blue lowers it, grey is within its error; purple is attacked.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go

from core.measures import Calibration, Fit, Importance, Robustness, Roc, TokenEffect
from core.nouns import Feature, ModelSpec
from core.results import Attacked, Attribution
from reports.factors import Factor, bars, factors
from reports.figures import picture as pixels_as_seen
from reports.numbers import signed
from reports.palette import LIGHT, Palette
from reports.words import effect_unit, outcome, result_noun

MOST = 10
MANY_CLASSES = 12
MOST_POINTS = 2000
_NAME = 44
_SHORT_NAME = 16


def load() -> None:
    """Has plotly load what it loads on first use, before anybody waits for a chart."""
    figure = go.Figure(go.Bar(x=[1.0], error_x={"array": [0.0]}, marker_color=[LIGHT.raises]))
    figure.add_scatter(x=[0.0], y=[0.0], mode="markers", marker={"line": {"width": 1}})
    figure.add_shape(type="line", line={"width": 1})
    figure.add_annotation(x=0, y=0, font={"size": 12})
    _finish(figure, LIGHT, 100).to_json()


def bar_limit(*attributions: Attribution) -> float:
    """The largest effect in several attributions' first rows, of a pixel with all its channels: their common scale."""
    shown = [each.values[0].sum(axis=-1) if each.values.ndim == 4 else each.values[0] for each in attributions]
    return max(float(np.abs(each).max()) for each in shown) or 1.0


def shared_limit(found: Attribution, beside: Attribution) -> float:
    """The common scale of two attributions that stand side by side, where both are in the unit of the score."""
    return bar_limit(found, beside) if found.compares and beside.compares else bar_limit(found)


def attribution_bars(
    attribution: Attribution, spec: ModelSpec, palette: Palette, limit: float, order: Sequence[int] | None = None
) -> go.Figure:
    """The first row's attribution as bars, largest first or in the given order of features: ten, then the others.

    Slopes are not summed up: what compares with nothing has no others.
    """
    if order is None and not attribution.compares:
        order = strongest(attribution, spec)
    shown = _in_order(attribution, spec, order) if order is not None else bars(attribution, spec, grouped=False)
    errors = [2 * factor.error for factor in shown]
    places = list(range(len(shown)))
    names = [literal(factor.label) for factor in shown]
    unit = effect_unit(attribution, spec)
    reach = 1.5 * max([limit, *(abs(factor.effect) for factor in shown)])
    across = {
        "range": [-reach, reach],
        "title": literal(unit),
        "zeroline": True,
        "zerolinecolor": palette.quiet,
        "zerolinewidth": 1,
        "gridcolor": palette.line,
    }
    figure = go.Figure(
        go.Bar(
            x=[factor.effect for factor in shown],
            y=places,
            customdata=names,
            orientation="h",
            marker_color=[_direction(factor, palette) for factor in shown],
            text=[signed(factor.effect) for factor in shown],
            textposition="outside",
            cliponaxis=False,
            textfont_color=palette.ink,
            error_x={"type": "data", "array": errors, "thickness": 1, "width": 3, "color": palette.quiet}
            if any(errors)
            else None,
            hovertemplate=f"%{{customdata}}<br>{literal(unit)} %{{x:+,.4~f}}<extra></extra>",
        ),
        {"xaxis": across, "yaxis": _places(names)},
    )
    return _finish(figure, palette, 80 + 30 * len(shown))


def _places(names: Sequence[str]) -> dict[str, Any]:
    """Rows by their place, the first on top, so that two of one name do not fall together."""
    return {
        "tickvals": list(range(len(names))),
        "ticktext": list(names),
        "range": [len(names) - 0.4, -0.6],
        "ticklabelstandoff": 6,
    }


def _in_order(attribution: Attribution, spec: ModelSpec, order: Sequence[int]) -> list[Factor]:
    found = {factor.positions[0]: factor for factor in factors(attribution, spec, grouped=False)}
    return [found[position] for position in order if position in found]


def strongest(attribution: Attribution, spec: ModelSpec) -> list[int]:
    """Positions of the ten features with the largest effects on the first row."""
    return [factor.positions[0] for factor in factors(attribution, spec, grouped=False)[:MOST]]


def moved(attacked: Attacked, features: Sequence[Feature]) -> list[int]:
    """Positions of the values of a table's first row that the attack moved most, with their ranges as unit."""
    spans = np.array([feature.span for feature in features])
    steps = np.nan_to_num(np.abs(attacked.perturbed[0] - attacked.query.rows[0]) / spans)
    return [int(i) for i in np.argsort(-steps, kind="stable")[:MOST] if steps[i] > 0]


def literal(text: str, most: int = _NAME) -> str:
    """`text` with the characters that plotly takes for mark-up disarmed, and not overlong: both ends tell it apart."""
    tail = (most - 1) // 2
    short = text if len(text) <= most else f"{text[: most - 1 - tail].rstrip()}…{text[-tail:].lstrip()}"
    return short.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _direction(factor: Factor, palette: Palette) -> str:
    if not factor.sure:
        return palette.unsure
    return palette.raises if factor.raises else palette.lowers


def score_strip(
    population: np.ndarray, here: float, cutoff: float, palette: Palette, noun: str, class_name: str
) -> go.Figure:
    """The reference population's probabilities, the cut-off and this case on one line."""
    colour = palette.raises if here >= cutoff else palette.lowers
    figure = _strip(population, here, colour, palette, f"this {noun} {here:.2f}", ".2f", (0.0, 1.0))
    figure.add_shape(
        type="line", x0=cutoff, x1=cutoff, y0=-0.5, y1=0.6, line={"color": palette.ink, "width": 1.5, "dash": "dash"}
    )
    figure.add_annotation(
        x=cutoff,
        y=0.62,
        text=f"cut-off {cutoff:.2f}",
        showarrow=False,
        yanchor="bottom",
        xanchor="right" if cutoff > 0.5 else "left",
        font_color=palette.ink,
    )
    figure.update_xaxes(title=f"probability of {literal(class_name)}")
    return figure


def value_strip(population: np.ndarray, here: float, spec: ModelSpec, palette: Palette, noun: str) -> go.Figure:
    """The reference population's predicted numbers and this case on one line, on their own scale."""
    ends = float(min(here, population.min())), float(max(here, population.max()))
    said = f"this {noun} {outcome(spec, here)}"
    figure = _strip(population, here, palette.accent, palette, said, f",.{spec.outcome.decimals}f", ends)
    unit = f", {spec.outcome.unit}" if spec.outcome.unit else ""
    figure.update_xaxes(title=literal(f"predicted {spec.outcome.title}{unit}"))
    return figure


def _strip(
    population: np.ndarray,
    here: float,
    colour: str,
    palette: Palette,
    said: str,
    shown: str,
    ends: tuple[float, float],
) -> go.Figure:
    """Dots for a population, a diamond for one of them, on a line between `ends`; `shown` is their format."""
    figure = go.Figure()
    spread = np.random.default_rng(0).uniform(-0.32, 0.32, len(population))
    figure.add_scatter(
        x=population,
        y=spread,
        mode="markers",
        marker={"size": 6, "color": palette.quiet, "opacity": 0.35},
        hovertemplate=f"a reference row at %{{x:{shown}}}<extra></extra>",
    )
    figure.add_scatter(
        x=[here],
        y=[0],
        mode="markers",
        marker={"size": 17, "color": colour, "symbol": "diamond", "line": {"color": palette.paper, "width": 2}},
        hovertemplate=f"{literal(said)}<extra></extra>",
    )
    width = (ends[1] - ends[0]) or 1.0
    figure.add_annotation(
        x=here,
        y=-0.62,
        text=literal(said),
        showarrow=False,
        yanchor="top",
        xanchor=_anchor((here - ends[0]) / width),
        font={"color": colour, "weight": 600},
    )
    margin = 0.02 * width
    figure.update_xaxes(range=[ends[0] - margin, ends[1] + margin], gridcolor=palette.line)
    figure.update_yaxes(visible=False, range=[-1.1, 1.1])
    return _finish(figure, palette, 190)


def _anchor(x: float) -> str:
    return "left" if x < 0.15 else "right" if x > 0.85 else "center"


def class_bars(chances: np.ndarray, classes: Sequence[str], decided: int, palette: Palette) -> go.Figure:
    """The probability of every class, the decided one marked; of many classes the likeliest, in their order."""
    likeliest = np.sort(np.argsort(-chances, kind="stable")[:MANY_CLASSES])
    names = [literal(classes[i]) for i in likeliest]
    left = len(classes) - len(likeliest)
    figure = go.Figure(
        go.Bar(
            x=list(range(len(likeliest))),
            y=chances[likeliest],
            customdata=names,
            marker_color=[palette.accent if i == decided else palette.unsure for i in likeliest],
            text=[f"{chances[i]:.2f}" if chances[i] >= 0.005 else "" for i in likeliest],
            textposition="outside",
            cliponaxis=False,
            textfont_color=palette.ink,
            hovertemplate="%{customdata}: %{y:.3f}<extra></extra>",
        )
    )
    figure.update_xaxes(
        tickvals=list(range(len(likeliest))),
        ticktext=[literal(classes[i], _SHORT_NAME) for i in likeliest],
        title=f"class; the other {left:,} are less likely" if left else "class",
    )
    figure.update_yaxes(range=[0, 1.15], title="probability", gridcolor=palette.line, tickvals=[0, 0.5, 1])
    return _finish(figure, palette, 230)


def picture(pixels: np.ndarray, spec: ModelSpec, palette: Palette) -> go.Figure:
    """An image (h, w, channels) as it is."""
    seen = np.moveaxis(pixels, -1, 0)
    shown = ", ".join(f"%{{customdata[{channel}]:.4~g}}" for channel in range(len(seen)))
    return _image(pixels_as_seen(pixels, spec), np.stack(seen, axis=-1), f"value {shown}", palette)


def overlay(pixels: np.ndarray, values: np.ndarray, spec: ModelSpec, limit: float, palette: Palette) -> go.Figure:
    """An attribution (h, w, channels) laid over its image, which stays recognisable."""
    heat = values.sum(axis=-1)
    strength = np.clip(np.abs(heat) / (limit or 1.0), 0, 1)[..., None] ** 0.7
    colour = np.where((heat > 0)[..., None], _rgb(palette.raises), _rgb(palette.lowers))
    faint = 255 - 0.55 * (255 - _shade(pixels, spec))
    mixed = (1 - 0.8 * strength) * faint + 0.8 * strength * colour
    return _image(mixed, heat, f"moves the {result_noun(spec)} by %{{customdata:+.3f}}", palette)


def difference(
    values: np.ndarray, limit: float, palette: Palette, unit: str, colours: tuple[str, str] | None = None
) -> go.Figure:
    """A difference (h, w, channels): `colours` for more and for less, those of raising and lowering unless given."""
    more, less = colours or (palette.raises, palette.lowers)
    heat = values.sum(axis=-1)
    strength = np.clip(np.abs(heat) / (limit or 1.0), 0, 1)[..., None]
    colour = np.where((heat > 0)[..., None], _rgb(more), _rgb(less))
    return _image((1 - strength) * 255 + strength * colour, heat, f"%{{customdata:+.2f}} {unit}", palette)


def difference_alt(title: str, values: np.ndarray, unit: str) -> str:
    """What a difference says, for a reader who cannot see it."""
    return f"{title}: largest change {np.abs(values).max():.2f} {unit}."


def _shade(pixels: np.ndarray, spec: ModelSpec) -> np.ndarray:
    """A picture in grey, (h, w, 3) in 0 to 255: what colours are laid over."""
    seen = pixels_as_seen(pixels, spec).astype(np.float64)
    return np.repeat(seen.mean(axis=-1, keepdims=True), 3, axis=-1)


def _image(rgb: np.ndarray, values: np.ndarray, hover: str, palette: Palette) -> go.Figure:
    figure = go.Figure(
        go.Image(
            z=rgb.round().astype(np.uint8),
            customdata=values,
            hovertemplate=f"row %{{y}}, column %{{x}}<br>{hover}<extra></extra>",
        )
    )
    height, width = rgb.shape[:2]
    edge = {"color": palette.line, "width": 1}
    figure.add_shape(type="rect", x0=-0.5, x1=width - 0.5, y0=-0.5, y1=height - 0.5, line=edge)
    figure.update_xaxes(visible=False, constrain="domain")
    figure.update_yaxes(visible=False, constrain="domain")
    figure = _finish(figure, palette, 250)
    return figure.update_layout(margin={"l": 0, "r": 0, "t": 4, "b": 4})


def _rgb(colour: str) -> np.ndarray:
    return np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)], dtype=np.float64)


def importance_bars(found: Importance, spec: ModelSpec, palette: Palette, unit: str) -> go.Figure:
    """Mean absolute attribution of the ten strongest features with 95% intervals."""
    order = np.argsort(-found.mean, kind="stable")[:MOST]
    figure = go.Figure(
        go.Bar(
            x=found.mean[order],
            y=list(range(len(order))),
            customdata=[literal(spec.features[i].title) for i in order],
            orientation="h",
            marker_color=palette.accent,
            error_x={
                "type": "data",
                "symmetric": False,
                "array": found.high[order] - found.mean[order],
                "arrayminus": found.mean[order] - found.low[order],
                "thickness": 1.2,
                "width": 4,
                "color": palette.ink,
            },
            hovertemplate=f"%{{customdata}}<br>moves the {result_noun(spec)} by %{{x:,.3~f}} on average<extra></extra>",
        )
    )
    figure.update_xaxes(title=literal(f"mean size of its effect, {unit}"), gridcolor=palette.line, rangemode="tozero")
    figure.update_yaxes(**_places([literal(spec.features[i].title) for i in order]))
    return _finish(figure, palette, 90 + 32 * len(order))


def token_bars(ranked: Sequence[TokenEffect], spec: ModelSpec, palette: Palette, unit: str) -> go.Figure:
    """Mean effect of the words with the largest ones, over the texts that hold them."""
    shown = list(ranked[: 2 * MOST])
    figure = go.Figure(
        go.Bar(
            x=[each.mean for each in shown],
            y=list(range(len(shown))),
            orientation="h",
            marker_color=[palette.raises if each.mean > 0 else palette.lowers for each in shown],
            text=[signed(each.mean) for each in shown],
            textposition="outside",
            cliponaxis=False,
            textfont_color=palette.ink,
            customdata=[f"mean size {each.size:.3f}, in {each.texts} texts" for each in shown],
            hovertemplate="%{customdata}<extra></extra>",
        )
    )
    reach = 1.3 * max([abs(each.mean) for each in shown])
    figure.update_xaxes(
        title=literal(f"mean effect, {unit}"),
        range=[-reach, reach],
        zeroline=True,
        zerolinecolor=palette.quiet,
        gridcolor=palette.line,
    )
    names = [literal(f"“{spec.vocabulary.piece(each.token).strip()}”, {each.texts} texts") for each in shown]
    figure.update_yaxes(**_places(names))
    return _finish(figure, palette, 90 + 28 * len(shown))


def importance_picture(found: Importance, rows: np.ndarray, spec: ModelSpec, palette: Palette) -> go.Figure:
    """Mean absolute attribution of each pixel laid over the mean of the images (n, h, w, channels)."""
    size = found.mean.reshape(spec.shape).sum(axis=-1)
    strength = (size / (size.max() or 1.0))[..., None]
    faint = 255 - 0.35 * (255 - _shade(rows.mean(axis=0), spec))
    mixed = (1 - strength) * faint + strength * _rgb(palette.accent)
    return _image(
        mixed, size, f"moves the {result_noun(spec)} by %{{customdata:.3f}} on average", palette
    ).update_layout(height=420)


def beeswarm(attribution: Attribution, spec: ModelSpec, palette: Palette, unit: str) -> go.Figure:
    """Every row's contribution of the ten strongest features; colour is the feature's own value, blue low."""
    values = attribution.values.reshape(len(attribution.values), -1)
    rows = attribution.query.rows.reshape(len(values), -1)
    order = np.argsort(-np.abs(values).mean(axis=0), kind="stable")[:MOST]
    figure = go.Figure()
    for place, i in enumerate(order):
        figure.add_scatter(
            x=values[:, i],
            y=place + _swarm(values[:, i]),
            mode="markers",
            marker={
                "size": 5,
                "opacity": 0.75,
                "color": _shades(spec.features[i], rows[:, i]),
                "cmin": 0,
                "cmax": 1,
                "colorscale": [[0, palette.lowers], [0.5, palette.unsure], [1, palette.raises]],
            },
            customdata=[spec.features[i].show(value) for value in rows[:, i]],
            hovertemplate=f"{literal(spec.features[i].title)} %{{customdata}}<br>%{{x:+,.3~f}}<extra></extra>",
        )
    figure.update_xaxes(
        title=literal(f"effect on this row, {unit}"), zeroline=True, zerolinecolor=palette.quiet, gridcolor=palette.line
    )
    figure.update_yaxes(**_places([literal(spec.features[i].title) for i in order]))
    figure.update_yaxes(showgrid=False)
    return _finish(figure, palette, 90 + 38 * len(order))


def _swarm(values: np.ndarray, bins: int = 60) -> np.ndarray:
    """Vertical places so that close points do not cover each other."""
    places = np.zeros(len(values))
    bucket = np.digitize(values, np.linspace(values.min(), values.max() + 1e-12, bins))
    for one in np.unique(bucket):
        members = np.flatnonzero(bucket == one)
        steps = np.arange(len(members))
        places[members] = (steps + 1) // 2 * np.where(steps % 2, 1, -1)
    return 0.38 * places / max(np.abs(places).max(), 12.0)


def _shades(feature: Feature, values: np.ndarray) -> np.ndarray:
    """Values as places from 0, the lowest, to 1, the highest that occurs; others in the middle."""
    known = np.isfinite(values) & (not feature.hidden)
    shades = np.full(len(values), 0.5)
    levels, place = np.unique(values[known], return_inverse=True)
    if feature.kind != "category" and len(levels) > 1:
        shades[known] = place / (len(levels) - 1)
    return shades


def dependence(attribution: Attribution, feature: int, spec: ModelSpec, palette: Palette, unit: str) -> go.Figure:
    """A feature's value against its effect, one point a row; missing values are left out and counted.

    Raises ValueError for a hidden feature, whose values nobody may read off a chart.
    """
    if spec.features[feature].hidden:
        raise ValueError(f"the values of {spec.features[feature].name} are hidden")
    values = attribution.values.reshape(len(attribution.values), -1)[:, feature]
    rows = attribution.query.rows.reshape(len(values), -1)[:, feature]
    known = np.isfinite(rows)
    named = spec.features[feature]
    across = [named.show(value) for value in rows[known]] if named.kind in ("category", "boolean") else rows[known]
    figure = go.Figure(
        go.Scatter(
            x=across,
            y=values[known],
            mode="markers",
            marker={"size": 6, "opacity": 0.6, "color": palette.accent},
            hovertemplate="%{x}<br>effect %{y:+,.3~f}<extra></extra>",
        )
    )
    title = f"{named.title}, {named.unit}" if named.unit else named.title
    missing = int((~known).sum())
    figure.update_xaxes(
        title=literal(title) + (f" ({missing} missing, not shown)" if missing else ""), gridcolor=palette.line
    )
    figure.update_yaxes(
        title=literal(f"effect, {unit}"), zeroline=True, zerolinecolor=palette.quiet, gridcolor=palette.line
    )
    return _finish(figure, palette, 340)


def confusion_table(counts: np.ndarray, classes: Sequence[str], palette: Palette) -> go.Figure:
    """True class by decided class, each cell its count; shade is the share of its true class.

    With many classes the counts are left to the hover: there is no room for them.
    """
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    places, many, few = list(range(len(classes))), len(classes) > MANY_CLASSES, len(classes) < 6
    names = np.array([literal(name) for name in classes], dtype=object)
    across, down = np.meshgrid(names, names)
    figure = go.Figure(
        go.Heatmap(
            z=share,
            x=places,
            y=places,
            customdata=np.dstack([down, across, counts]),
            zmin=0,
            zmax=1,
            showscale=False,
            colorscale=[[0, palette.paper], [1, palette.accent]],
            xgap=0 if many else 2,
            ygap=0 if many else 2,
            hovertemplate="truly %{customdata[0]}, decided %{customdata[1]}: %{customdata[2]} rows, %{z:.0%}"
            "<extra></extra>",
        )
    )
    figure.layout.annotations = [
        {
            "x": j,
            "y": i,
            "text": f"{counts[i, j]:,}",
            "showarrow": False,
            "font": {"color": palette.paper if share[i, j] > 0.7 else palette.ink, "size": 13 if few else 10},
        }
        for i, j in np.ndindex((0, 0) if many else counts.shape)
    ]
    every = max(1, -(-len(classes) // (2 * MANY_CLASSES)))
    ticks = {
        "tickvals": places[::every],
        "ticktext": [literal(name, _SHORT_NAME) for name in classes[::every]],
        "showgrid": False,
    }
    figure.update_xaxes(title="decided", side="bottom", **ticks)
    figure.update_yaxes(title="truly", autorange="reversed", **ticks)
    return _finish(figure, palette, 460 if many else 340)


def confusion_alt(counts: np.ndarray, classes: Sequence[str]) -> str:
    """What a confusion table says, for a reader who cannot see it; of many classes those most often mistaken."""
    missed = np.argsort(counts.diagonal() - counts.sum(axis=1), kind="stable")[:MANY_CLASSES]
    rows = [f"truly {classes[i]}: {counts[i, i]:,} of {counts[i].sum():,} decided so" for i in np.sort(missed).tolist()]
    return f"{'; '.join(rows)}."


def fitted(truth: np.ndarray, predicted: np.ndarray, spec: ModelSpec, palette: Palette) -> go.Figure:
    """True numbers across, predicted ones upwards, one point a row; on the dotted line they are the same."""
    ends = float(min(truth.min(), predicted.min())), float(max(truth.max(), predicted.max()))
    figure = go.Figure()
    figure.add_scatter(
        x=ends, y=ends, mode="lines", line={"color": palette.unsure, "dash": "dot", "width": 1}, hoverinfo="skip"
    )
    _add_points(figure, truth, predicted, spec, palette, "predicted")
    unit = f", {spec.outcome.unit}" if spec.outcome.unit else ""
    figure.update_xaxes(title=literal(f"{spec.outcome.title} in the data{unit}"), gridcolor=palette.line)
    figure.update_yaxes(title=literal(f"predicted {spec.outcome.title}{unit}"), gridcolor=palette.line)
    return _finish(figure, palette, 380)


def residuals(truth: np.ndarray, predicted: np.ndarray, spec: ModelSpec, palette: Palette) -> go.Figure:
    """Predicted numbers across, what they miss by upwards, one point a row; above the line is too high."""
    figure = go.Figure()
    figure.add_hline(y=0, line_color=palette.quiet, line_width=1)
    _add_points(figure, predicted, predicted - truth, spec, palette, "off by")
    unit = f", {spec.outcome.unit}" if spec.outcome.unit else ""
    figure.update_xaxes(title=literal(f"predicted {spec.outcome.title}{unit}"), gridcolor=palette.line)
    figure.update_yaxes(title=literal(f"predicted less true{unit}"), gridcolor=palette.line)
    return _finish(figure, palette, 380)


def _add_points(
    figure: go.Figure, across: np.ndarray, up: np.ndarray, spec: ModelSpec, palette: Palette, said: str
) -> None:
    shown = f",.{spec.outcome.decimals}f"
    drawn = np.random.default_rng(0).permutation(len(across))[:MOST_POINTS]
    figure.add_scatter(
        x=across[drawn],
        y=up[drawn],
        mode="markers",
        marker={"size": 6, "opacity": 0.45, "color": palette.accent},
        hovertemplate=f"%{{x:{shown}}}, {said} %{{y:{shown}}}<extra></extra>",
    )


def fit_alt(truth: np.ndarray, predicted: np.ndarray, spec: ModelSpec, found: Fit) -> str:
    """What the charts of a fit say, for a reader who cannot see them."""
    worst = int(np.abs(predicted - truth).argmax())
    said, true = outcome(spec, predicted[worst]), outcome(spec, truth[worst])
    return (
        f"Predicted against true {spec.outcome.title} of {len(truth):,} rows: off by {outcome(spec, found.error)} on "
        f"average, furthest where {said} is predicted and {true} true."
    )


def roc_curve(curve: Roc, at: tuple[float, float], mark: str, palette: Palette) -> go.Figure:
    """The ROC curve with the chosen cut-off marked."""
    figure = go.Figure()
    figure.add_scatter(
        x=[0, 1], y=[0, 1], mode="lines", line={"color": palette.unsure, "dash": "dot", "width": 1}, hoverinfo="skip"
    )
    figure.add_scatter(
        x=curve.false_positive,
        y=curve.true_positive,
        mode="lines",
        line={"color": palette.accent, "width": 2.5},
        hovertemplate="%{y:.1%} found at %{x:.1%} false alarms<extra></extra>",
    )
    figure.add_scatter(
        x=[at[0]],
        y=[at[1]],
        mode="markers+text",
        text=[mark],
        textposition="bottom right",
        marker={"size": 11, "color": palette.raises},
        textfont_color=palette.ink,
        hovertemplate="%{y:.1%} found at %{x:.1%} false alarms<extra></extra>",
    )
    figure.update_xaxes(
        title="false alarms, share of the others", range=[-0.02, 1.02], tickformat=".0%", gridcolor=palette.line
    )
    figure.update_yaxes(
        title="found, share of those it concerns", range=[-0.02, 1.05], tickformat=".0%", gridcolor=palette.line
    )
    return _finish(figure, palette, 340)


def calibration_curve(found: Calibration, palette: Palette) -> go.Figure:
    """Stated against observed probability; the diagonal is where a model keeps its word."""
    figure = go.Figure()
    figure.add_scatter(
        x=[0, 1], y=[0, 1], mode="lines", line={"color": palette.unsure, "dash": "dot", "width": 1}, hoverinfo="skip"
    )
    figure.add_scatter(
        x=found.stated,
        y=found.observed,
        mode="lines+markers",
        line={"color": palette.accent, "width": 2},
        marker={"size": 8},
        customdata=found.count,
        error_y={
            "type": "data",
            "symmetric": False,
            "array": found.high - found.observed,
            "arrayminus": found.observed - found.low,
            "thickness": 1,
            "width": 4,
            "color": palette.quiet,
        },
        hovertemplate="stated %{x:.2f}, happened %{y:.2f} (%{customdata} rows)<extra></extra>",
    )
    figure.update_xaxes(title="stated probability", range=[-0.02, 1.02], gridcolor=palette.line)
    figure.update_yaxes(title="how often it was so", range=[-0.02, 1.05], gridcolor=palette.line)
    return _finish(figure, palette, 340)


def calibration_alt(found: Calibration, name: str) -> str:
    """What a calibration curve says, for a reader who cannot see it."""
    worst = int(np.abs(found.stated - found.observed).argmax())
    return (
        f"Calibration for {name}: furthest apart where {found.stated[worst]:.2f} is stated and "
        f"{found.observed[worst]:.2f} happened."
    )


def robustness_alt(sizes: Sequence[float], found: Sequence[Robustness]) -> str:
    """What a robustness curve says, for a reader who cannot see it."""
    points = [
        f"{100 * size:g}%: {each.attacked:.0%} after the attack, {each.noise:.0%} after noise"
        for size, each in zip(sizes, found, strict=True)
    ]
    return f"Share still decided rightly, by size of the change. {'; '.join(points)}."


def robustness_curve(sizes: Sequence[float], found: Sequence[Robustness], palette: Palette, here: float) -> go.Figure:
    """Share of rows still decided rightly against the size of the change, attack and noise."""
    across = [100 * size for size in sizes]
    attacked = [each.attacked for each in found]
    figure = go.Figure()
    figure.add_vline(x=100 * here, line_color=palette.quiet, line_width=1, line_dash="dot")
    figure.add_scatter(
        x=across,
        y=[each.noise for each in found],
        mode="lines+markers",
        line={"color": palette.unsure, "width": 2, "dash": "dash"},
        marker={"size": 7, "symbol": "square"},
        hovertemplate="noise of %{x:.1f}%: %{y:.0%} still right<extra></extra>",
    )
    figure.add_scatter(
        x=across,
        y=attacked,
        mode="lines+markers",
        line={"color": palette.attacked, "width": 2.5},
        marker={"size": 8},
        error_y={
            "type": "data",
            "symmetric": False,
            "thickness": 1,
            "width": 4,
            "color": palette.attacked,
            "array": [each.attacked_interval[1] - each.attacked for each in found],
            "arrayminus": [each.attacked - each.attacked_interval[0] for each in found],
        },
        hovertemplate="attack of %{x:.1f}%: %{y:.0%} still right<extra></extra>",
    )
    figure.add_annotation(
        x=across[-1],
        y=found[-1].noise,
        text="noise",
        xanchor="right",
        yshift=14,
        showarrow=False,
        font_color=palette.quiet,
    )
    figure.add_annotation(
        x=across[-1],
        y=attacked[-1],
        text="attack",
        xanchor="right",
        yshift=14,
        showarrow=False,
        font={"color": palette.attacked, "weight": 600},
    )
    figure.update_xaxes(
        title="size of the change, % of each feature's range",
        gridcolor=palette.line,
        range=[-0.03 * across[-1], 1.04 * across[-1]],
        tickvals=across,
        ticktext=[f"{each:g}" for each in across],
    )
    figure.update_yaxes(title="still decided rightly", range=[-0.03, 1.05], tickformat=".0%", gridcolor=palette.line)
    return _finish(figure, palette, 360)


def _finish(figure: go.Figure, palette: Palette, height: int) -> go.Figure:
    """The chart with what all of them have. Made anew at once: plotly's updates, one property after the other, take
    most of the time that a page takes to be drawn.
    """
    layout = {name: value for name, value in figure.layout.to_plotly_json().items() if name != "template"}
    x, y = layout.get("xaxis", {}), layout.get("yaxis", {})
    common = {
        "xaxis": _axis(x, palette) | {"zeroline": x.get("zeroline") or False},
        "yaxis": _axis(y, palette),
        "height": height,
        "showlegend": False,
        "margin": {"l": 8, "r": 12, "t": 8, "b": 8},
        "bargap": 0.28,
        "font": {"color": palette.ink, "size": 13},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "hoverlabel": {"align": "left"},
    }
    return go.Figure(figure.data, layout | common)


def _axis(own: dict[str, Any], palette: Palette) -> dict[str, Any]:
    title = {**own.get("title", {}), "font": {"color": palette.quiet, "size": 13}}
    text = {"tickfont": {"color": palette.ink, "size": 12.5}, "title": title}
    return own | {"automargin": True, "fixedrange": True} | text
