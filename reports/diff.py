"""What changed between two reports on one subject, in words and numbers, from the evidence that each carries.

Nothing is asked anew and no signature is checked (`reports.verifying` does). What only one of the two rests on is not
compared.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from core.errors import UserFacingError
from core.measures import ranking
from core.nouns import Feature, ModelSpec
from core.results import Attacked, Attribution, Prediction, Result, rank_correlation
from core.scores import decide, probabilities
from reports.bundle import Bundle, read
from reports.numbers import chance, counted, listed, number, percent
from reports.signer import EVIDENCE, SIGNATURE

_NAMED = 5
_TOP = 5


@dataclass(frozen=True)
class Change:
    """One thing that is not as it was: what about (`topic`), a sentence, and both sides as JSON has them."""

    topic: str
    sentence: str
    before: Any = None
    after: Any = None


@dataclass(frozen=True)
class Side:
    """One report, opened: its bundle, and the specification and the rule that its schema tells."""

    bundle: Bundle
    spec: ModelSpec
    cutoff: float | None
    row_noun: str

    @classmethod
    def of(cls, bundle: Bundle) -> "Side":
        tables = bundle.schema
        about, model = tables["subject"], tables["model"][0]
        features = tuple(Feature(each["name"], label=each.get("label", "")) for each in tables.get("feature", []))
        classes = tuple(about.get("classes", ()))
        output = model.get("output", "logit" if classes else "value")
        spec = ModelSpec(about["modality"], (len(features),), features, classes, output, "")
        return cls(bundle, spec, about.get("cutoff"), about["row_noun"])

    @property
    def told(self) -> Mapping[str, Any]:
        """The manifest."""
        return self.bundle.manifest

    def figures(self) -> dict[str, str]:
        """The figures that the report prints by what they are: those of its cover and of its table of findings."""
        sheet = self.bundle.sheet
        found = {caption: figure for figure, caption in sheet.get("cover", {}).get("figures", [])}
        blocks = [block for section in sheet.get("sections", []) for block in section["blocks"]]
        for block in blocks:
            if block["kind"] == "table" and block["head"][:1] == ["Finding"]:
                found |= {row[0].partition(" [")[0]: row[1] for row in block["rows"]}
        return found


def opened(file: bytes) -> Bundle:
    """The evidence in a report's PDF, or in the file beside it. Raises UserFacingError where there is none."""
    if not file.startswith(b"%PDF-"):
        return read(file)
    from reports import pades

    try:
        return read(pades.opened(file, (EVIDENCE, SIGNATURE)).files[EVIDENCE])
    except pades.Malformed as error:
        raise UserFacingError(
            "This PDF has no evidence of Assay's",
            "It is not a signed report, or more was added to it",
            "Name the file beside it that ends in .assay",
        ) from error


def changes(old: Bundle, new: Bundle) -> list[Change]:
    """Everything that differs, in this order: subject, data, rule, model, figures, decisions, effects, attacks.

    Raises UserFacingError for two reports of different kinds, which have no exhibits in common, and for one that does
    not hold what a report of its kind does.
    """
    if old.audience != new.audience:
        raise UserFacingError(
            "The two reports cannot be compared",
            f"One is for the audience {old.audience}, the other for {new.audience}",
            "Compare reports of one kind",
        )
    try:
        before, after = Side.of(old), Side.of(new)
        found = [*_about(before, after), *_features(before, after), *_rule(before, after), *_figures(before, after)]
        return [*found, *_answers(before, after)]
    except Exception as error:  # what a stranger wrote fits together in fewer ways than can be listed
        raise UserFacingError(
            "The two reports cannot be compared",
            "One of them does not hold what a report of its kind does",
            "Ask whoever gave it to you for the file once more",
        ) from error


# --- what it is about ------------------------------------------------------------------------------------------------


def _about(old: Side, new: Side) -> Iterator[Change]:
    for topic, key, what in (
        ("subject", "title", "The subject"),
        ("data", "digest", "The data set"),
        ("model", "title", "The model's title"),
        ("model", "digest", "The model"),
        ("rule", "digest", "The file of rules"),
    ):
        part = "rules" if topic == "rule" else topic
        was, now = (side.told[part][key] for side in (old, new))
        if was != now:
            shown = (was[:8], now[:8]) if key == "digest" else (was, now)
            kind = "digest " if key == "digest" else ""
            yield Change(topic, f"{what} is another: {kind}{shown[0]} before, {shown[1]} now.", was, now)
    was, now = (side.told["data"]["rows"] for side in (old, new))
    if was != now:
        yield Change("data", f"The data set had {was:,} rows and has {now:,}.", was, now)


def _features(old: Side, new: Side) -> Iterator[Change]:
    """Features that came and went."""
    before, after = ({each.name: each.title for each in side.spec.features} for side in (old, new))
    for topic, one, other in (("added", after, before), ("removed", before, after)):
        names = [title for name, title in one.items() if name not in other]
        if names:
            verb = "was" if len(names) == 1 else "were"
            yield Change("subject", f"{counted(len(names), 'feature')} {verb} {topic}: {_some(names)}.", None, names)


def _rule(old: Side, new: Side) -> Iterator[Change]:
    if old.cutoff != new.cutoff:
        said = f"The cut-off was {_or_none(old.cutoff)} and is {_or_none(new.cutoff)}."
        yield Change("rule", said, old.cutoff, new.cutoff)
    if old.spec.classes != new.spec.classes:
        was, now = (", ".join(side.spec.classes) or "none" for side in (old, new))
        yield Change("rule", f"The classes were {was} and are {now}.", old.spec.classes, new.spec.classes)


def _or_none(value: float | None) -> str:
    return "none" if value is None else f"{value:g}"


def _figures(old: Side, new: Side) -> Iterator[Change]:
    """Figures that both print under one name."""
    before, after = old.figures(), new.figures()
    for what, was in before.items():
        if what in after and after[what] != was:
            yield Change("figures", f"{what}: {was} before, {after[what]} now.", was, after[what])


# --- answers ---------------------------------------------------------------------------------------------------------


def _answers(old: Side, new: Side) -> Iterator[Change]:
    """What changed in the answers that both rest on, by the exhibits' names."""
    if old.spec.classes != new.spec.classes or old.told["subject"]["name"] != new.told["subject"]["name"]:
        return
    for kind, compare in _COMPARED.items():
        for first in old.bundle.exhibits:
            second = new.bundle.exhibit(first.name)
            if second is None or {first.kind, second.kind} != {kind.__name__} or first.name.startswith("resample"):
                continue
            was, now = first.result, second.result
            if was.digest != now.digest:
                yield from compare(first.name, old, new, was, now)


def _decisions(name: str, old: Side, new: Side, was: Prediction, now: Prediction) -> Iterator[Change]:
    """Decisions, or predicted numbers, on the rows that both are about."""
    ids, first, second = _shared(was, now)
    known = ~(np.isnan(was.outputs[first]).any(axis=1) | np.isnan(now.outputs[second]).any(axis=1))
    ids = [row_id for row_id, each in zip(ids, known, strict=True) if each]
    before, after = was.outputs[first][known], now.outputs[second][known]
    if not ids or np.array_equal(before, after):
        return
    rows = counted(len(ids), old.row_noun)
    if not old.spec.classes:
        moved = float(np.abs(after - before).mean())
        yield Change(
            "decisions", f"{name}: over {rows} the prediction moved by {number(moved)} on average.", None, moved
        )
        return
    chosen = decide(before, old.spec, old.cutoff), decide(after, new.spec, new.cutoff)
    turned = [place for place in range(len(ids)) if chosen[0][place] != chosen[1][place]]
    sides = [
        {ids[place]: _decided(side, outputs[place], decided[place]) for place in turned}
        for side, outputs, decided in ((old, before, chosen[0]), (new, after, chosen[1]))
    ]
    told = [f"{ids[place]} ({sides[0][ids[place]]} before, {sides[1][ids[place]]} now)" for place in turned]
    said = f"{name}: of {rows} {len(turned):,} {'is' if len(turned) == 1 else 'are'} decided otherwise"
    yield Change("decisions", f"{said}: {_some(told)}." if told else f"{said}.", *sides)


def _decided(side: Side, outputs: np.ndarray, decided: int) -> str:
    return f"{side.spec.classes[decided]} {chance(float(probabilities(outputs[None], side.spec)[0, decided]))}"


def _effects(name: str, old: Side, new: Side, was: Attribution, now: Attribution) -> Iterator[Change]:
    """The order of the features by their effects, on the rows that both are about."""
    ids, first, second = _shared(was, now)
    if not ids or was.values.shape[1:] != now.values.shape[1:] or was.query.target != now.query.target:
        return
    before, after = was.values[first], now.values[second]
    sizes = [np.abs(each.reshape(len(each), -1)).mean(axis=0) for each in (before, after)]
    rank = rank_correlation(*sizes)
    over = f"for {old.row_noun} {ids[0]}" if len(ids) == 1 else f"over {counted(len(ids), old.row_noun)}"
    same = "" if np.isnan(rank) else f" The order of all has the rank correlation {rank:.2f}; 1 is the same order."
    tops = [[int(place) for place in ranking(each)[:_TOP]] for each in (before, after)]
    if old.spec.modality != "table":
        shared = len(set(tops[0]) & set(tops[1]))
        said = f"of the {_TOP} largest effects {over} {shared} {'is' if shared == 1 else 'are'} the same."
        yield Change("effects", f"{name}: {said}{same}", tops[0], tops[1])
        return
    titles = [[side.spec.features[place].title for place in top] for side, top in ((old, tops[0]), (new, tops[1]))]
    if titles[0] == titles[1]:
        said = f"the {_TOP} largest effects {over} have the order that they had."
    else:
        said = f"the largest effects {over} were {', '.join(titles[0])} and are {', '.join(titles[1])}."
    yield Change("effects", f"{name}: {said}{same}", *titles)


def _attacks(name: str, old: Side, new: Side, was: Attacked, now: Attacked) -> Iterator[Change]:
    """Decisions that the same attack turned, on the rows that both are about."""
    ids, first, second = _shared(was, now)
    if not ids or (was.norm, was.size) != (now.norm, now.size):
        return
    before, after = (float(each.success[rows].mean()) for each, rows in ((was, first), (now, second)))
    if before != after:
        rows = counted(len(ids), old.row_noun)
        said = f"{name}: of {rows} the attack turned {percent(before)} and turns {percent(after)}."
        yield Change("attacks", said, before, after)


_COMPARED = {Prediction: _decisions, Attribution: _effects, Attacked: _attacks}


def _shared(was: Result, now: Result) -> tuple[list[str], list[int], list[int]]:
    """The ids of the rows that both are about, and where they stand in each."""
    places = {row_id: place for place, row_id in enumerate(now.query.row_ids)}
    ids = [row_id for row_id in was.query.row_ids if row_id in places]
    own = {row_id: place for place, row_id in enumerate(was.query.row_ids)}
    return ids, [own[row_id] for row_id in ids], [places[row_id] for row_id in ids]


def _some(names: list[str]) -> str:
    """At most five by name, the others counted."""
    rest = len(names) - _NAMED
    return listed(names) if rest <= 0 else f"{', '.join(names[:_NAMED])} and {rest:,} more"
