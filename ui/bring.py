"""Bringing a model and data on the page: two files, what they are, the table of columns, the preflight.

Everything stays with the person who brought it until it is saved as a subject.
"""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import streamlit as st

from access.desk import Desk
from core.errors import UserFacingError
from core.facts import DataFacts, ModelFacts
from core.nouns import Feature
from engine.intake import Agreed, Brought, Cancelled, Progress, Tried, agree, look_at_data, look_at_model
from engine.limits import limits
from engine.preflight import Preflight, examine
from engine.proposal import SETTINGS, Proposal, open_columns, propose
from reports.words import capital
from ui import waiting
from ui.problems import literal

_FILES = "bring.files"
_LOOKED = "bring.looked"
_SAID = "bring.said"
_KINDS = ("real", "integer", "boolean", "category")
_LIKELY = ("target", "label", "class", "y", "outcome", "decision", "diagnosis", "true_answer")

Look = Callable[[bytes, Progress, Cancelled], Any]


@dataclass(frozen=True)
class Ready:
    """A model and data that fit together and were tried."""

    brought: Brought
    agreed: Agreed
    preflight: Preflight


@dataclass(frozen=True)
class Upload:
    """A file that a person brought, as it is called on their machine, and what it is."""

    id: str
    name: str
    body: bytes
    digest: str
    facts: Any = None


def model(desk: Desk) -> Upload | None:
    """The model's file; None before one is there."""
    return _upload(desk, "Model", limits().model, look_at_model, _MODEL_HELP)


def data(desk: Desk) -> Upload | None:
    """The data's file; None before one is there."""
    return _upload(desk, "Data", limits().data, look_at_data, _DATA_HELP)


_MODEL_HELP = "Told by its content, whatever it is called. How to export one is in docs/bring-a-model.md."
_DATA_HELP = "Told by its content, whatever it is called. What is understood is in docs/bring/data.md."


def _upload(desk: Desk, label: str, most: int, look: Look, help: str) -> Upload | None:
    """A file that the person brings; it is kept while they look at other pages."""
    kept: dict[str, Upload] = st.session_state.setdefault(_FILES, {})
    given = st.file_uploader(
        label,
        key=f"bring-{label.lower()}",
        max_upload_size=min(most // 2**20, st.get_option("server.maxUploadSize")),
        help=help,
        on_change=kept.pop,
        args=(label, None),
    )
    if given is not None and (label not in kept or kept[label].id != given.file_id):
        body = given.getvalue()
        desk.upload(label.lower(), body)
        kept[label] = Upload(given.file_id, given.name, body, hashlib.sha256(body).hexdigest())
    if label not in kept:
        return None
    upload = kept[label]
    if given is None:
        st.caption(f"Still here: {literal(upload.name)}. Choose another file to replace it.")
    found = _once(
        label, f"{label}/{upload.digest}", lambda *ways: look(upload.body, *ways), f"Looking at {upload.name}"
    )
    return replace(upload, facts=found)


def _once(slot: str, key: str, work: Callable[[Progress, Cancelled], Any], what: str) -> Any:
    """What `work` gives for `key`, the last one of its slot kept while the person stays: an error too, so that no
    rerun opens a bad file again.
    """
    kept = st.session_state.setdefault(_LOOKED, {})
    if kept.get(slot, ("",))[0] != key:
        try:
            kept[slot] = (key, waiting.work(key, work, what))
        except UserFacingError as error:
            if not waiting.was_cancelled(key):
                kept[slot] = (key, error)
            raise
    found = kept[slot][1]
    if isinstance(found, UserFacingError):
        raise found
    return found


def scope(model: Upload, data: Upload) -> str:
    """What is chosen for two files is theirs alone."""
    return f"{model.digest[:12]}-{data.digest[:12]}"


def target(model: Upload, data: Upload) -> str:
    """The column with the true answer, as the person chooses it."""
    names = [column.name for column in data.facts.columns]
    inputs = {each.name for each in model.facts.inputs}
    left = [name for name in names if name not in inputs]
    likely = [name for name in left if name.lower() in _LIKELY] or (left[-1:] if all(inputs) else names[-1:])
    choices = ["", *names]
    return st.selectbox(
        "Column with the true answer",
        choices,
        index=choices.index(likely[0]) if likely else 0,
        format_func=lambda name: name or "none",
        key=f"bring-target-{scope(model, data)}",
        help="What really was the case in each row, by which the model's decisions are judged.",
    )


def corrections(model: Upload, data: Upload, answer: str) -> dict[str, Any]:
    """What the person says of roles, readings and columns, in the form of a subject.toml."""
    key = scope(model, data)
    said: dict[str, Any] = dict(st.session_state.get(_SAID, {}).get(key, {}))
    said |= _reading(model.facts, data.facts, answer, key)
    order = _order(model.facts, data.facts, answer, key)
    if order:
        details = {each["name"]: each for each in said.get("feature", [])}
        said["feature"] = [details.get(name, {"name": name}) for name in order]
    return said


def _reading(model: ModelFacts, data: DataFacts, answer: str, key: str) -> dict[str, Any]:
    """How the model is read, where its file leaves that open: its scale, settings, and the order of its classes."""
    told: dict[str, Any] = {}
    label = next((column for column in data.columns if column.name == answer), None)
    with st.popover("How the model is read", icon=":material/tune:"):
        if len(model.outputs) > 1:
            output = st.selectbox(
                "Scale of its outputs", model.outputs, key=f"bring-output-{key}", help=f"{model.told_by}."
            )
            if output != model.outputs[0]:
                told["output"] = output
        for name, values in model.ask.items():
            usual = "as the labels tell"
            choice = st.selectbox(
                capital(SETTINGS.get(name, name)), [usual, *values], key=f"bring-setting-{name}-{key}"
            )
            if choice != usual:
                told.setdefault("settings", {})[name] = choice
        classes = st.multiselect(
            "Classes, in the order of the model's outputs",
            label.categories if label else (),
            key=f"bring-classes-{answer}-{key}",
            placeholder="As told from the files",
            help="Name all of them, where what is said below has them in another order than in training.",
        )
    return ({"model": [told]} if told else {}) | ({"subject": {"classes": classes}} if classes else {})


def _order(model: ModelFacts, data: DataFacts, answer: str, key: str) -> list[str]:
    """The columns in the order of inputs that have no names, where the person says one; else empty."""
    if model.modality != "table" or data.shape or all(each.name for each in model.inputs):
        return []
    able = open_columns(model, data, answer)
    usual = able if len(able) == len(model.inputs) else []
    chosen = st.multiselect(
        f"Columns that the model reads, in the order of training ({len(model.inputs)})",
        [column.name for column in data.columns if column.name != answer],
        default=usual,
        key=f"bring-order-{answer}-{key}",
        help="The model's file does not name its inputs, so that only their order tells which is which.",
    )
    return [] if chosen == usual else chosen


def forget() -> None:
    """Lets go of the files that were brought and of all that was found out about them."""
    for name in (_FILES, _LOOKED, _SAID):
        st.session_state.pop(name, None)


def table(model: Upload, data: Upload, proposal: Proposal | None, order: Sequence[str] = ()) -> None:
    """The columns as they will be read, to be corrected; without a proposal, as the data alone say."""
    key = scope(model, data)
    names = [each.name for each in model.facts.inputs if each.name] or order
    rows = [_line(each) for each in proposal.features] if proposal else _guesses(data.facts, names)
    if not rows:
        return
    said = st.session_state.get(_SAID, {}).get(key, {})
    version = hashlib.sha256(json.dumps([rows, said, key], default=str).encode()).hexdigest()[:12]
    edited = st.data_editor(
        rows,
        key=f"bring-table-{version}",
        hide_index=True,
        disabled=["name"],
        height=min(420, 40 + 36 * len(rows)),
        column_config=_columns(),
        alt="Every column that the model reads: its kind, bounds, categories and what may be changed.",
    )
    changed = edited != rows or proposal is None
    if st.button("Check again with these corrections", disabled=not changed, key=f"bring-apply-{version}"):
        wanted = dict(said) | {"feature": [_correction(line) for line in edited]}
        st.session_state.setdefault(_SAID, {})[key] = wanted
        st.rerun()


def _line(feature: Feature) -> dict[str, Any]:
    coded = feature.kind in ("category", "boolean")
    return {
        "name": feature.name,
        "label": feature.label,
        "kind": feature.kind,
        "unit": feature.unit,
        "lower": None if coded else feature.lower,
        "upper": None if coded else feature.upper,
        "categories": list(feature.categories),
        "missing": feature.missing,
        "mutable": feature.mutable,
        "direction": feature.direction,
        "group": feature.group,
        "protected": feature.protected,
    }


def _guesses(data: DataFacts, names: Sequence[str]) -> list[dict[str, Any]]:
    """These columns as far as they are there."""
    columns = {column.name: column for column in data.columns}
    return [
        _line(
            Feature(
                column.name,
                "category" if column.kind == "text" else column.kind,
                lower=column.lower or 0.0,
                upper=column.upper if column.upper is not None else 1.0,
                categories=column.categories if column.kind != "boolean" else (),
                missing=column.missing > 0,
            )
        )
        for column in (columns[name] for name in names if name in columns)
    ]


def _correction(line: Mapping[str, Any]) -> dict[str, Any]:
    """A line of the table as a [[feature]]; what does not apply to its kind is left out."""
    coded = line["kind"] in ("category", "boolean")
    left_out = {"lower", "upper"} if coded else {"categories"}
    if line["kind"] == "boolean":
        left_out |= {"categories"}
    return {name: value for name, value in line.items() if name not in left_out and value is not None}


def _columns() -> dict[str, Any]:
    column = st.column_config
    return {
        "name": column.TextColumn("Column", pinned=True),
        "label": column.TextColumn("Plain name", help="What a person reads instead of the column's name."),
        "kind": column.SelectboxColumn("Kind", options=_KINDS, required=True),
        "unit": column.TextColumn("Unit"),
        "lower": column.NumberColumn("Lowest", help="The least value that makes sense; also an attack's bound."),
        "upper": column.NumberColumn("Highest", help="The largest value that makes sense; also an attack's bound."),
        "categories": column.ListColumn("Categories, in the order of their codes"),
        "missing": column.CheckboxColumn("May be missing"),
        "mutable": column.CheckboxColumn("Can change", help="Whether the person concerned could have another value."),
        "direction": column.SelectboxColumn("Only", options=("any", "up", "down"), required=True),
        "group": column.TextColumn("Family", help="Columns of one family are ranked together."),
        "protected": column.CheckboxColumn("Protected", help="What a decision may not rest on."),
    }


def fit(model: Upload, data: Upload, answer: str, said: Mapping[str, Any]) -> tuple[Brought, Proposal]:
    """What the two files make together. Raises UserFacingError where their columns do not match."""
    brought = Brought(model.facts, model.body, data.facts, data.body)
    return brought, propose(brought.model, brought.data, answer, said)


def ready(model: Upload, brought: Brought, proposal: Proposal) -> Ready:
    """The rows taken and the model tried on some of them; waited for in place, once."""
    key = hashlib.sha256(f"{model.digest}/{brought.data.digest}/{proposal!r}".encode()).hexdigest()

    def work(progress: Progress, cancelled: Cancelled) -> tuple[Agreed, Tried]:
        return agree(brought, proposal, progress, cancelled)

    agreed, tried = _once("try", key, work, "Trying the model on your rows")
    return Ready(brought, agreed, examine(brought, agreed, tried))
