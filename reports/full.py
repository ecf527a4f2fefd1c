"""The report on a whole model, for an auditor: what it is, how it does, what moves it, and how all that was found."""

import re
from collections.abc import Callable
from typing import Any

import numpy as np

from core.likeness import LEVEL, drift
from core.nouns import Feature
from reports import blocks, explained, measured, words
from reports.blocks import Block
from reports.dossier import Dossier
from reports.manifest import Manifest, environment
from reports.numbers import counted, listed, percent, plural
from reports.report import Report, Stamp
from reports.rules import SECTIONS, rules
from reports.whole import Whole, share

Section = dict[str, Any]
_MOST_FEATURES = 80
_MOST_CLASSES = 12
_CLOSE = 0.05
_CARD = "What the model's card says"
_OUTPUTS = {
    "margin": "the log-odds of the second class",
    "logit": "one logit a class",
    "probability": "one probability a class",
    "value": "the predicted number",
}
_CAPABILITIES = {"gradients": "its gradients", "trees": "its trees", "linear": "its weights"}


def report(dossier: Dossier, stamp: Stamp, command: str = "", computed: Manifest | None = None) -> Report:
    """The report on the dossier's model. `computed` is the environment in which that was done; None: this one."""
    whole = Whole(dossier)
    subject, model = dossier.subject, dossier.model
    named = {name: _SECTIONS[name](whole) for name in SECTIONS}
    named["reproduction"]["blocks"][1:1] = [blocks.command(command), _computed(computed or environment())]
    printed = {
        "kind": "Report on a whole model",
        "title": whole.title,
        "cover": _cover(whole),
        "sections": [_conclusion(whole), *named.values(), _asked(named)],
        "running": f"{subject.title}, {model.title}",
    }
    return Report("full", subject, model, (), whole.exhibits, blocks.with_glossary(printed), command, stamp)


def _cover(whole: Whole) -> dict[str, Any]:
    return {
        "subject": whole.subject.title,
        "statement": [whole.conclusion, words.limits_paragraph(whole.subject)],
        "figures": [[each.figure, each.what] for each in whole.findings() if len(each.figure) < 12][:4],
        "facts": [
            ["Model", whole.model.title],
            ["Explained", _target(whole)],
            ["Exhibits", str(len(whole.exhibits))],
        ],
    }


def _target(whole: Whole) -> str:
    """What is explained; of texts, which are explained one by one, each for the class decided where there are many."""
    if whole.dossier.surveyed is None and len(whole.spec.classes) > 2:
        return "the class decided of each case"
    return words.target_phrase(whole.spec, whole.dossier.target)


# --- what was found --------------------------------------------------------------------------------------------------


def _conclusion(whole: Whole) -> Section:
    rows = [[f"{each.what} [{each.marks}]", each.figure, each.sure] for each in whole.findings()]
    said = "Marks in brackets are exhibits; the last section gives the question and the digest of each."
    return blocks.section(
        "What was found?",
        whole.conclusion,
        [
            {"kind": "use"},
            blocks.table(
                ["Finding", "figure", "how sure, or beside what"], rows, said, folded=False, widths=(5, 3, 3.6)
            ),
            blocks.text(
                "These are findings about this model on this data, at these sizes and seeds. Whether they are good "
                "enough for the stated use is for the reader to decide; the report gives figures and no verdict."
            ),
            blocks.title("", "What was not examined", 30),
            blocks.listed(unexamined(whole)),
        ],
    )


def unexamined(whole: Whole) -> list[str]:
    """What nothing in the report speaks of, a sentence each."""
    found = [] if whole.judged else ["Performance: no row has a true answer that training did not see."]
    if whole.dossier.surveyed is None:
        found.append("Importance over many rows: each text is compared with itself.")
    if not whole.dossier.attacked:
        found.append("Changes made on purpose: no attack applies to this model.")
    return [
        *found,
        "Whether the data stand for the people and times on which the model is used.",
        "Poisoning, extraction and what the model gives away about its training rows.",
        "How decisions are overseen, corrected and contested in practice.",
    ]


# --- what it is ------------------------------------------------------------------------------------------------------


def _use(whole: Whole) -> Section:
    subject, spec = whole.subject, whole.spec
    rows = [("Decides about", f"one {subject.row_noun} at a time"), ("Decision", _rule(whole))]
    rows += [
        (name, value) for name, value in (("Source of the data", subject.source), ("Limits", subject.limits)) if value
    ]
    heading = f"{words.capital(plural(subject.row_noun))} are decided as {listed(list(spec.classes), 'or')}."
    if not spec.classes:
        heading = f"Each {subject.row_noun} is given a number: the predicted {spec.outcome.title}."
    elif len(spec.classes) > 4:
        heading = f"{words.capital(plural(subject.row_noun))} are decided as one of {len(spec.classes)} classes."
    shown = [{"kind": "use"}, blocks.text(subject.summary), blocks.pairs("The system", rows)]
    card = _card(whole.model.card)
    if card:
        shown.append(blocks.pairs(_CARD, card))
    else:
        shown.append(blocks.missing("a model card", "None came with the model.", "put a README.md beside the model."))
    return blocks.section("What is the system for?", heading, shown, 60)


def _rule(whole: Whole) -> str:
    spec, cutoff = whole.spec, 0.5 if whole.subject.cutoff is None else whole.subject.cutoff
    if not spec.classes:
        return "the predicted number itself"
    if whole.two:
        return f"{spec.classes[1]} from a probability of {cutoff:g} upwards, else {spec.classes[0]}"
    return "the class with the largest output"


def _card(card: str) -> list[tuple[str, str]]:
    """The paragraphs of a card that begin with a term in bold; one that only leads to a table is left out."""
    found = []
    for paragraph in card.split("\n\n"):
        term = re.match(r"\*\*([^*]{1,60}?)[.:]?\*\*[:,.]?\s*(.+)", paragraph.strip(), re.DOTALL)
        if term and not term[2].rstrip().endswith(":"):
            found.append((term[1], _plain(term[2])))
    return found


def _plain(text: str) -> str:
    """Markdown as one line: a list is told one after the other, an address without its brackets."""
    text = re.sub(r"^[-*] ", "", re.sub(r"<(https?://[^\s>]+)>", r"\1", text.replace("`", "")))
    return " ".join(re.sub(r"\n[-*] ", "; ", re.sub(r":\n[-*] ", ": ", text)).split())


def card_in(sheet: Manifest) -> str:
    """The card that pages print, as `_card` would read it again; "" where they print none."""
    printed = [
        each for section in sheet.get("sections", []) for each in section["blocks"] if each.get("title") == _CARD
    ]
    return "\n\n".join(f"**{term}.** {said}" for each in printed for term, said in each["rows"])


def _model(whole: Whole) -> Section:
    model, spec = whole.model, whole.spec
    things = plural(words.things(spec)) if spec.modality != "text" else "tokens at most"
    rows = [
        ("Name", model.name),
        ("Format", model.format),
        ("Reads", f"{len(spec.features):,} {things}"),
        ("Gives", _OUTPUTS[spec.output]),
        ("Classes", listed(list(spec.classes)) if spec.classes else f"none, it predicts {spec.outcome.title}"),
        (
            "Can be looked into by",
            listed([_CAPABILITIES[each] for each in spec.capabilities]) or "nothing, it is asked alone",
        ),
        *((words.capital(name.replace("_", " ")), str(value)) for name, value in sorted(model.settings.items())),
        ("Model digest", spec.digest),
    ]
    heading = f"{model.title}: {len(spec.features):,} {things} in, {_OUTPUTS[spec.output]} out."
    return blocks.section("Which model is it?", heading, [blocks.pairs("The model", rows)], 70)


def _data(whole: Whole) -> Section:
    subject, spec, data = whole.subject, whole.spec, whole.subject.dataset
    rows = [("Rows", f"{len(data):,}, from {data.row_ids[0]} to {data.row_ids[-1]}")]
    held = (
        f"{int(data.held_out.sum()):,}" if data.split_known else "not known, so that performance may flatter the model"
    )
    rows += [
        ("Held out of training", held),
        ("True answers", _labels(whole)),
        ("Reference", f"{_reference(whole)} [{whole.mark(whole.dossier.population)}]"),
        ("Data digest", data.digest),
    ]
    heading = f"{counted(len(data), subject.row_noun)}, {int(data.held_out.sum()):,} of them held out of training."
    if not data.split_known:
        heading = f"{counted(len(data), subject.row_noun)}; which of them training saw is not known."
    shown = [blocks.pairs("The data", rows), *_drift(whole)]
    if spec.modality == "table":
        shown.append(_features(whole))
    elif spec.modality == "image":
        height, width, channels = spec.shape
        first = spec.features[0]
        said = f"Pictures of {height} by {width} pixels in {counted(channels, 'channel')}, each"
        shown.append(blocks.text(f"{said} from {first.lower:g} to {first.upper:g}. {blocks.grey_note(spec)}"))
    return blocks.section("What data was it examined on?", heading, shown, 55)


def _reference(whole: Whole) -> str:
    """The rows that cases are compared with, and how they were drawn."""
    if whole.reference is None:
        return f"each {whole.subject.row_noun} itself, every word hidden"
    seed = whole.reference.seed
    return counted(len(whole.reference), "row") + ("" if seed is None else f", drawn with seed {seed}")


def _drift(whole: Whole) -> list[Block]:
    """Whether the reference is like the data it stands for."""
    if whole.reference is None:
        return []
    found = drift(whole.subject.dataset, whole.spec, whole.reference)
    said = words.drift_sentence(whole.subject, whole.model, found)
    if said:
        return [blocks.warning(said)]
    return [
        blocks.text(
            f"The reference was compared with the data, feature by feature, and differs in none by more than chance: a "
            f"draw by a seed is called different in at most {percent(LEVEL)} of cases."
        )
    ]


def _labels(whole: Whole) -> str:
    """How many true answers the data hold, and of which kind."""
    spec, labels = whole.spec, whole.subject.dataset.labels
    known = labels[labels >= 0] if spec.classes else labels[~np.isnan(labels)]
    if not len(known):
        return "none"
    if not spec.classes:
        low, middle, high = (words.outcome(spec, each) for each in np.quantile(known, [0, 0.5, 1]))
        return f"{len(known):,}, from {low} to {high}, median {middle}"
    counts = np.bincount(known, minlength=len(spec.classes))
    order = np.argsort(-counts, kind="stable")[:_MOST_CLASSES]
    parts = [f"{spec.classes[k]} {counts[k]:,} ({percent(counts[k] / len(known))})" for k in order]
    rest = len(counts) - len(order)
    return f"{len(known):,}: {', '.join(parts)}" + (f" and {counted(rest, 'more class')}" if rest else "")


def _features(whole: Whole) -> Block:
    """Every feature with its range in the schema, what is usual, and what is known of it."""
    spec, rows = whole.spec, whole.subject.dataset.rows
    listed_rows = [
        [
            words.capital(feature.title),
            "hidden" if feature.hidden else _range(feature),
            blocks.usual(feature, rows[:, i]),
            percent(float(np.isnan(rows[:, i]).mean())),
            _notes(feature),
        ]
        for i, feature in enumerate(spec.features[:_MOST_FEATURES])
    ]
    left = len(spec.features) - _MOST_FEATURES
    said = "Usual is the median of all rows; for categories the most frequent one."
    said += f" The other {left:,} features are not listed." if left > 0 else ""
    return blocks.table(["Feature", "range", "usual", "missing", "an attack may"], listed_rows, said, folded=False)


def _range(feature: Feature) -> str:
    if feature.kind == "category":
        return f"{len(feature.categories)} categories"
    if feature.kind == "boolean":
        return "yes or no"
    return f"{feature.show(feature.lower).removesuffix(feature.unit).rstrip()} to {feature.show(feature.upper)}"


def _notes(feature: Feature) -> str:
    moves = (
        {"any": "move it", "up": "raise it", "down": "lower it"}[feature.direction]
        if feature.mutable
        else "not change it"
    )
    return f"{moves}; protected" if feature.protected else moves


# --- what is left ----------------------------------------------------------------------------------------------------


def _limits(whole: Whole) -> Section:
    items = [
        "It describes how the model arrives at its answers. It does not say what brings an outcome about in the world.",
        "Effects are against the named reference; against another they differ.",
        "Methods that agree may still both mislead, and an importance is no advice on what to change.",
        "Where features depend on each other, a row with one of them replaced may be one that does not occur.",
        "An attack that finds nothing does not mean that there is nothing to find.",
        "Figures are those of the rows, seeds and sizes named; intervals say how far sampling alone may move them.",
        *unexamined(whole),
    ]
    stated = whole.subject.limits or "none was stated by whoever brought the model"
    heading = "It describes a model on its data, and nothing beyond."
    return blocks.section(
        "What does this report not say?",
        heading,
        [blocks.pairs("Limits stated with the subject", [("Stated", stated)]), blocks.listed(items)],
        60,
    )


def _oversight(whole: Whole) -> Section:
    """Where a person has most to decide, in figures, and what this report cannot see."""
    subject, spec = whole.subject, whole.spec
    rows = []
    if whole.two:
        cutoff = 0.5 if subject.cutoff is None else subject.cutoff
        close = np.abs(whole.chances[:, 1] - cutoff) < _CLOSE
        rows.append(
            [
                f"Within {_CLOSE:.2f} of the cut-off",
                f"{int(close.sum()):,} of {len(close):,}",
                share(float(close.mean())),
            ]
        )
        known = close & whole.known
        if known.any():
            wrong = (whole.decided != whole.labels)[known]
            rows.append(
                [
                    "Of these decided otherwise than labelled",
                    f"{int(wrong.sum()):,} of {int(known.sum()):,}",
                    share(float(wrong.mean())),
                ]
            )
    elif spec.classes:
        top = np.sort(whole.chances, axis=1)
        close = top[:, -1] - top[:, -2] < 2 * _CLOSE
        rows.append(
            [
                f"Two likeliest classes within {2 * _CLOSE:.2f} of each other",
                f"{int(close.sum()):,} of {len(close):,}",
                share(float(close.mean())),
            ]
        )
    strange = whole.unlike
    rows.append(
        [
            "Unlike the data, so that no reasons are named",
            f"{int(strange.sum()):,} of {len(strange):,}",
            share(float(strange.mean())),
        ]
    )
    _, _, without = whole.swaps
    if whole.reasons:
        rows.append(
            [
                "Cases of this report without a reason",
                f"{without} of {len(whole.reasons)}",
                share(without / len(whole.reasons)),
            ]
        )
    missing = blocks.missing(
        "how people oversee the decisions",
        "That is not in the model or its data.",
        "a description of who may decide otherwise, with what time and knowledge, and how often they do.",
    )
    shown = (
        [
            blocks.table(
                ["Where a person has most to decide", plural(subject.row_noun), "share"],
                rows,
                f"[{whole.mark(whole.dossier.judged)}]",
                folded=False,
            )
        ]
        if rows
        else []
    )
    return blocks.section(
        "Where is a person needed?",
        "The model decides; these are the cases on which its answer says least.",
        [*shown, missing],
        60,
    )


def _log(whole: Whole) -> Section:
    said = (
        "Signing is written into the log before the report is signed; the log's size and its head then stand here. "
        "Whoever has the log can check that this head is in it and that nothing before it was changed."
    )
    return blocks.section(
        "What was written down?", "The log's head at signing is printed here.", [blocks.text(said), {"kind": "log"}], 60
    )


def _computed(found: Manifest) -> Block:
    used = [("Assay", found["assay"]), ("Python", found["python"]), *found["libraries"].items()]
    return blocks.pairs("Computed with", [*used, ("Digest of the files that pin every version", found["lock"])])


def _reproduction(whole: Whole) -> Section:
    return blocks.section(
        "How can all this be computed again?",
        f"{counted(len(whole.exhibits), 'exhibit')}, each a question to ask again and an answer with its digest.",
        [
            blocks.identity(),
            blocks.exhibits([(whole.mark(each.result), each) for each in whole.exhibits]),
        ],
        70,
    )


def _asked(sections: dict[str, Section]) -> Section:
    """What each rule asks for, and the sections that may serve as evidence for it."""
    file = rules()
    tables = []
    for source in file.sources:
        rows = [
            [rule.cites, rule.asks, " ".join(sections[name]["question"] for name in rule.sections)]
            for rule in file.rules
            if rule.source is source
        ]
        head = [source.title, "asks for", "see the sections"]
        tables.append(blocks.table(head, rows, source.text, folded=False, widths=(3, 4, 5), left=True))
    read = blocks.pairs(
        "The rule file", [("Last read", f"{file.read.day} {file.read:%B %Y}"), ("Rule file digest", file.digest)]
    )
    question, heading = "Which rules ask for this?", "What each section may serve as evidence for."
    return blocks.section(question, heading, [blocks.text(file.notice), read, *tables], 60)


_SECTIONS: dict[str, Callable[[Whole], Section]] = {
    "use": _use,
    "model": _model,
    "data": _data,
    "performance": measured.performance,
    "methods": explained.methods,
    "accuracy": explained.accuracy,
    "behaviour": measured.behaviour,
    "cases": explained.cases,
    "reasons": explained.reasons,
    "groups": measured.groups,
    "attacks": measured.attacks,
    "limits": _limits,
    "oversight": _oversight,
    "log": _log,
    "reproduction": _reproduction,
}
