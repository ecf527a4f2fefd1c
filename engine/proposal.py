"""From what two files say of themselves to a subject: which column is which input, and what must be asked.

`propose` is a pure function. Corrections are a person's word, in the form of a subject.toml in which
everything may be left out; they come from the page's table and from `--subject` alike, and always win.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from math import floor, log10
from typing import Any

from core.errors import UserFacingError
from core.facts import Column, DataFacts, Input, ModelFacts, Wanted
from core.nouns import Capability, Feature, Output

Corrections = Mapping[str, Any]

SETTINGS = {
    "divide": "the number that pixels are divided by",
    "layout": "where the channels of a picture stand",
}
"""What the settings that a file may leave open are called."""

_HELD_OUT = "held_out"
_LARGEST = 1e100
_UNNAMED = re.compile(r"LABEL_\d+")  # what transformers calls a class that nobody named
_WHOLE = re.compile(r"-?\d+\.0")
_ID_NAMES = ("id", "row_id", "index", "key", "number", "case", "patient", "application", "name")
_PROTECTED = {"age", "sex", "gender", "race", "ethnicity", "religion", "nationality", "disability", "marital_status"}
_CORRECTABLE = {each.name for each in fields(Feature) if each.compare} - {"name"}


@dataclass(frozen=True)
class Reading:
    """One way to read the model: on which scale its outputs are, and with which settings."""

    output: Output
    settings: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Proposal:
    """A subject as it would be. `readings` are the ways in which the model may be read, the likelier first;
    more than one: numbers must tell, or a person. `warnings` are sentences to read before agreeing; those in
    `lasting` bear on every figure and stay with the subject.
    """

    modality: str
    shape: tuple[int, ...]
    features: tuple[Feature, ...]
    classes: tuple[str, ...]
    readings: tuple[Reading, ...]
    capabilities: tuple[Capability, ...]
    wanted: Wanted
    warnings: tuple[str, ...] = ()
    lasting: tuple[str, ...] = ()

    @property
    def outcome(self) -> str:
        """What a predicted number is called; nothing of a classification."""
        return "" if self.classes else self.wanted.label.replace("_", " ")


def propose(model: ModelFacts, data: DataFacts, target: str = "", corrections: Corrections | None = None) -> Proposal:
    """The subject that model and data make. Raises UserFacingError where their columns do not fit together.

    `target` names the column with the true answer; empty: there is none, or the pictures carry it.
    """
    said = corrections or {}
    warnings: list[str] = []
    lasting = list(model.notes)
    _check_modality(model, data)
    _check_names(model, data, said)
    label = _label(data, target, said)
    readings = _readings(model, label, said)
    classes = _classes(model, label, readings[0].output, said, lasting)
    wanted = Wanted(label=label.name if label else "", classes=classes)
    if model.modality == "table":
        features, wanted = _table(model, data, wanted, said, warnings)
        shape: tuple[int, ...] = (len(features),)
    elif model.modality == "image":
        features, shape = (), _picture(model, data)
    else:
        features, shape, wanted = (), (), _texts(data, wanted, said)
    _warn_about_labels(label, classes, wanted, warnings, lasting)
    return Proposal(
        modality=model.modality,
        shape=shape,
        features=features,
        classes=classes,
        readings=readings,
        capabilities=model.capabilities,
        wanted=wanted,
        warnings=tuple(warnings),
        lasting=tuple(lasting),
    )


def _check_modality(model: ModelFacts, data: DataFacts) -> None:
    if (model.modality == "image") == bool(data.shape):
        return
    reads, found = ("pictures", "a table") if model.modality == "image" else ("a table or texts", "pictures")
    raise UserFacingError(
        "The model and the data do not fit", f"The model reads {reads} and the data is {found}", "Bring what it reads"
    )


def _check_names(model: ModelFacts, data: DataFacts, said: Corrections) -> None:
    """Refuses what a person says of a column that is none, or that the model does not read: nothing said is lost."""
    names = [each["name"] for each in said.get("feature", [])]
    known = {each.name for each in model.inputs if each.name} or {each.name for each in data.columns}
    wrong = next((name for name in names if name not in known), None)
    twice = next((name for number, name in enumerate(names) if name in names[:number]), None)
    if wrong is not None or twice is not None:
        raise UserFacingError(
            f"The corrections cannot be taken: [[feature]] {wrong if wrong is not None else twice!r}",
            "The model reads no such column" if wrong is not None else "It is there twice",
            f"The columns are: {_listed(sorted(known))}",
        )


def open_columns(model: ModelFacts, data: DataFacts, target: str) -> list[str]:
    """The columns that are left for inputs without names: not the answer, the rows' ids or what was held out."""
    held_out = _held_out(data, {})
    row_id = _row_id(data, {target, held_out}, len(data.columns) - len(model.inputs))
    return [each.name for each in data.columns if each.name not in {target, held_out, row_id}]


# --- the answer ------------------------------------------------------------------------------------------------------


def _label(data: DataFacts, target: str, said: Corrections) -> Column | None:
    """The column with the true answer."""
    name = target or said.get("data", {}).get("label", "")
    if not name and data.shape and any(column.name == "label" for column in data.columns):
        name = "label"  # what pictures in named folders carry
    if not name:
        return None
    label = _column(data, name)
    if max(abs(label.lower or 0.0), abs(label.upper or 0.0)) >= _LARGEST:
        raise _too_large(label)
    return label


def _column(data: DataFacts, name: str) -> Column:
    for column in data.columns:
        if column.name == name:
            return column
    known = ", ".join(repr(column.name) for column in data.columns[:40])
    raise UserFacingError(f"The data has no column {name!r}", f"Its columns are: {known or 'none'}", "Name one of them")


def _readings(model: ModelFacts, label: Column | None, said: Corrections) -> tuple[Reading, ...]:
    """The ways to read the model that a person has not ruled out."""
    told = _said_of_model(said)
    outputs = (told["output"],) if "output" in told else model.outputs
    if set(outputs) == {"margin", "value"} and label is not None:
        outputs = ("margin",) if _tells_classes(label) else ("value",)
    settings = [dict(model.settings) | dict(told.get("settings", {}))]
    for name, values in model.ask.items():
        if name not in told.get("settings", {}):
            settings = [{**each, name: value} for each in settings for value in values]
    return tuple(Reading(outputs[0], each) for each in settings)


def _said_of_model(said: Corrections) -> Mapping[str, Any]:
    models = said.get("model", [])
    if len(models) > 1:
        raise UserFacingError(
            "The corrections name several models", "One model is brought at a time", "Leave one [[model]]"
        )
    return models[0] if models else {}


def _tells_classes(label: Column) -> bool:
    return label.kind in ("category", "boolean") or (label.kind == "integer" and label.distinct == 2)


def _classes(
    model: ModelFacts, label: Column | None, output: Output, said: Corrections, lasting: list[str]
) -> tuple[str, ...]:
    """The classes in the order of the outputs; none of a regression."""
    if output == "value":
        return ()
    count = max(2, model.columns)
    found = tuple(said.get("subject", {}).get("classes", ()))
    if found:
        if len(found) != count:
            raise UserFacingError(
                f"{len(found)} classes are named", f"The model tells {count} apart", "Name each of them, in order"
            )
        return found
    names = _label_names(label) if label else ()
    own = () if all(_UNNAMED.fullmatch(name) for name in model.classes) else model.classes
    if own:
        if not set(map(_plain_class, names)) <= set(map(_plain_class, own)):
            raise UserFacingError(
                f"The classes of the model and the answers in {label.name!r} are called differently",
                f"The model's are {_listed(own)}, in this order, and the column holds {_listed(names)}",
                "Name the column's answers in the order of the model's classes: classes under [subject] in a "
                "subject.toml, or on the page under How the model is read",
            )
        return own
    numbers = tuple(str(number) for number in range(count))
    if set(map(_plain_class, names)) <= set(numbers):
        if len(names) < count:
            lasting.append("The model does not name its classes; they go by number, from 0, as its outputs do.")
        return numbers
    if len(names) != count:
        raise UserFacingError(
            f"The column {label.name!r} does not fit the model",
            f"It holds {len(names)} different answers and the model tells {count} classes apart",
            "Choose the column with the true class, or name the classes in their order",
        )
    order = ", ".join(f"{number} is {name}" for number, name in enumerate(names))
    lasting.append(
        f"The model does not name its classes. Those of the column {label.name!r} were taken in ascending order: "
        f"{order}. Name them in another order if they were numbered otherwise in training."
    )
    return names


def _plain_class(name: str) -> str:
    """One form for what the rows' reader takes for one class: 1, 1.0 and true; 0, 0.0 and false."""
    if name.lower() in ("true", "false"):
        return str(int(name.lower() == "true"))
    return name.removesuffix(".0") if _WHOLE.fullmatch(name) else name


def _label_names(label: Column) -> tuple[str, ...]:
    """The different answers of a label column as text, in ascending order."""
    if label.categories:
        return label.categories
    if label.kind == "boolean":
        return ("0", "1") if label.lower is not None else ("no", "yes")
    raise UserFacingError(
        f"The column {label.name!r} is no class",
        f"{label.why[:1].upper()}{label.why[1:]}",
        "Choose the column with the true class",
    )


def _warn_about_labels(
    label: Column | None, classes: tuple[str, ...], wanted: Wanted, warnings: list[str], lasting: list[str]
) -> None:
    if label is None:
        warnings.append(
            "No column holds the true answer, so that nothing can be said about how well the model decides."
        )
    elif classes and label.distinct == 1:
        warnings.append(f"The column {label.name!r} holds one class only: a score on it says nothing.")
    if label is not None and label.missing:
        warnings.append(f"{label.missing:,} rows have no true answer; they are not scored.")
    if label is not None and not wanted.held_out:
        lasting.append("Whether the model was trained on these rows is not known: its figures may flatter it.")


# --- a table's columns -----------------------------------------------------------------------------------------------


def _table(
    model: ModelFacts, data: DataFacts, wanted: Wanted, said: Corrections, warnings: list[str]
) -> tuple[tuple[Feature, ...], Wanted]:
    held_out = _held_out(data, said)
    named = [each["name"] for each in said.get("feature", [])]
    row_id = said.get("data", {}).get("id")
    taken = {wanted.label, held_out}
    if row_id is None:
        inputs = named or [each.name for each in model.inputs if each.name]
        row_id = _row_id(data, taken | set(inputs), len(data.columns) - len(model.inputs))
    columns = _matched(model, data, named, taken | {row_id}, warnings)
    corrections = {each["name"]: each for each in said.get("feature", [])}
    features = tuple(
        _feature(column, given, corrections.get(column.name, {}), warnings)
        for column, given in zip(columns, model.inputs, strict=True)
    )
    label = _column(data, wanted.label) if wanted.label else None
    _warn_about_columns(columns, data, taken | {row_id}, label, warnings)
    return features, replace(wanted, features=features, id=row_id, held_out=held_out)


def _held_out(data: DataFacts, said: Corrections) -> str:
    """The column that says which rows no model was trained on; told by its name alone."""
    name = said.get("data", {}).get("held_out", "")
    if name:
        return _column(data, name).name
    return next((each.name for each in data.columns if each.name == _HELD_OUT and each.kind == "boolean"), "")


def _row_id(data: DataFacts, taken: set[str], spare: int) -> str:
    """A column that no input is and that names every row differently; empty: there is none."""
    able = [
        column.name
        for column in data.columns
        if column.name not in taken
        and column.distinct == data.rows
        and not column.missing
        and column.kind in ("integer", "text", "category")
    ]
    likely = [name for name in able if name.lower() in _ID_NAMES or name.lower().endswith(("_id", " id"))]
    return next(iter(likely if spare > 0 else []), "")


def _matched(
    model: ModelFacts, data: DataFacts, named: Sequence[str], taken: set[str], warnings: list[str]
) -> list[Column]:
    """The column of each input, by name; by place only where the model names none."""
    wanted = [each.name for each in model.inputs]
    if all(wanted):
        missing = [name for name in wanted if name not in {column.name for column in data.columns}]
        if missing:
            raise _not_there(missing, data)
        columns = [_column(data, name) for name in wanted]
        order = [column.name for column in data.columns if column.name in set(wanted)]
        if order != wanted:
            warnings.append(
                "The table's columns stand in another order than the model's inputs. They were matched by name."
            )
        return columns
    if named:
        columns = [_column(data, name) for name in named]
    else:
        columns = [column for column in data.columns if column.name not in taken]
    if len(columns) != len(wanted):
        raise UserFacingError(
            "The columns cannot be matched to the model's inputs",
            f"The model names none of its {len(wanted)} inputs, and {len(columns)} columns are left for them: "
            f"{_listed(column.name for column in columns)}",
            "Choose those that it was trained on, in that order: on the page, or as [[feature]] in a subject.toml",
        )
    if not named:
        warnings.append(
            "The model does not name its inputs. The table's columns were taken in their order: "
            f"{_listed(column.name for column in columns)}. Check that the model was trained in this order."
        )
    return columns


def _not_there(missing: Sequence[str], data: DataFacts) -> UserFacingError:
    like = {_letters(column.name): column.name for column in data.columns}
    near = [f"{like[_letters(name)]!r} looks like {name!r}" for name in missing if _letters(name) in like]
    return UserFacingError(
        f"The data has no column {_listed(map(repr, missing))}",
        f"The model reads it by this name, and the columns are: {_listed(column.name for column in data.columns)}",
        f"Rename the column: {_listed(near)}" if near else "Add it, or rename the column that holds it",
    )


def _letters(name: str) -> str:
    """A name without its case and without what is neither letter nor digit."""
    return "".join(char for char in name.lower() if char.isalnum())


def _listed(names: Iterable[str]) -> str:
    """The first names, and how many more there are."""
    each = list(names)
    return ", ".join(each[:12]) + (f" and {len(each) - 12} more" if len(each) > 12 else "")


def _feature(column: Column, given: Input, corrected: Mapping[str, Any], warnings: list[str]) -> Feature:
    """A feature as the model's file, the data and last a person say it is."""
    kind, categories = _kind(column, given, corrected)
    lower, upper = _bounds(column)
    coded = kind in ("category", "boolean")
    guess = {
        "kind": kind,
        "label": _plain(column.name),
        "lower": 0.0 if coded else lower,
        "upper": float(max(len(categories) - 1, 1)) if coded else upper,
        "categories": categories,
        "missing": column.missing > 0,
        "protected": column.name.strip().lower().replace(" ", "_") in _PROTECTED,
        "decimals": min(column.decimals, 6),
        "group": column.group,
    }
    own = {name: value for name, value in corrected.items() if name in _CORRECTABLE}
    merged = guess | own | {"kind": kind, "categories": categories}
    return Feature(column.name, **merged)


def _plain(name: str) -> str:
    """A column's name as a person would write it."""
    words = " ".join(name.replace("_", " ").split())
    return words[:1].upper() + words[1:]


def _kind(column: Column, given: Input, corrected: Mapping[str, Any]) -> tuple[str, tuple[str, ...]]:
    """The kind of a feature and its categories in the order of the codes that the model reads."""
    kind, names = _kind_said(column, given, corrected)
    if kind == "category" and len(names) < 2:
        raise UserFacingError(
            f"The column {column.name!r} cannot be read",
            f"It is a category and holds {' and '.join(map(repr, names)) or 'nothing'} in every row",
            "Name all its categories, or bring rows with others too",
        )
    return kind, names


def _kind_said(column: Column, given: Input, corrected: Mapping[str, Any]) -> tuple[str, tuple[str, ...]]:
    names = tuple(corrected.get("categories", ()))
    kind = corrected.get("kind") or given.kind or column.kind
    if names and not corrected.get("kind"):
        kind = "category"
    if kind == "boolean" and column.kind in ("category", "text"):
        kind = "category"
    if kind != "category":
        if kind == "text" or (column.kind in ("category", "text") and kind in ("real", "integer")):
            raise UserFacingError(
                f"The column {column.name!r} cannot be read",
                f"The model reads a number there, and the column holds {_listed(map(repr, column.examples[:3]))}",
                "Write the number that the model was trained on, or name the categories in the order of their codes",
            )
        return kind, ()
    if names:
        return kind, names
    if given.categories:
        return kind, given.categories
    if given.kind == "category":  # the model reads names, not codes: their order does not matter
        many = column.kind == "integer" and not column.categories
        return (column.kind, ()) if column.kind == "boolean" or many else (kind, _names(column))
    raise UserFacingError(
        f"The column {column.name!r} cannot be read",
        f"It holds names such as {_listed(map(repr, column.examples[:3]))}, the model reads codes, and its file does "
        "not say which code stands for which name",
        "Name its categories in the order of the codes",
    )


def _names(column: Column) -> tuple[str, ...]:
    """The different values of a column of names."""
    if column.categories:
        return column.categories
    raise UserFacingError(
        f"The column {column.name!r} has too many different values for a category",
        f"It holds {column.distinct:,} of them",
        "Group the rare ones, or leave the column out of the model",
    )


def _bounds(column: Column) -> tuple[float, float]:
    """The range of a column of numbers, rounded outward to about a hundredth of its width."""
    if column.lower is None or column.upper is None:
        return 0.0, 1.0
    low, high = column.lower, column.upper
    if max(abs(low), abs(high)) >= _LARGEST:
        raise _too_large(column)
    if not low < high:
        return low, low + max(1.0, abs(low))
    step = 10.0 ** floor(log10(high - low) - 1)
    if column.kind == "integer" or column.decimals == 0:
        step = max(1.0, step)
    return min(low, _rounded(floor(low / step), step)), max(high, _rounded(-floor(-high / step), step))


def _too_large(column: Column) -> UserFacingError:
    return UserFacingError(
        f"The column {column.name!r} cannot be read",
        f"It holds numbers beyond {_LARGEST:g}, with which nothing can be computed",
        "Correct them, or write them in a larger unit",
    )


def _rounded(count: int, step: float) -> float:
    """`count` steps without the dust that multiplying leaves."""
    return float(f"{count * step:.12g}")


def _warn_about_columns(
    columns: Sequence[Column], data: DataFacts, taken: set[str], label: Column | None, warnings: list[str]
) -> None:
    used = {column.name for column in columns}
    left = [column.name for column in data.columns if column.name not in used | taken]
    if left:
        warnings.append(f"These columns are not read by the model and were left out: {_listed(left)}.")
    constant = [column.name for column in columns if column.distinct <= 1]
    if constant:
        warnings.append(f"These columns hold the same value in every row: {_listed(constant)}.")
    if label is not None and (label.name in used or label.duplicate_of in used):
        warnings.append(f"The true answer {label.name} is also what the model reads: it is given the answer.")
    for column in columns:
        if label is not None and column.duplicate_of == label.name:
            warnings.append(f"The column {column.name} holds the true answer: the model is given it.")
        elif column.duplicate_of:
            warnings.append(f"The column {column.name} holds the same values as {column.duplicate_of}.")
    missing = [f"{column.name} ({column.missing:,})" for column in columns if column.missing]
    if missing:
        warnings.append(f"Values are missing in: {_listed(missing)}.")
    warnings.extend(f"The column {column.name}: {note}" for column in columns for note in column.notes)


# --- pictures and texts ----------------------------------------------------------------------------------------------


def _picture(model: ModelFacts, data: DataFacts) -> tuple[int, ...]:
    """The shape of a picture, where model and data agree on it."""
    if len(model.shape) != len(data.shape) or any(
        wanted not in (0, found) for wanted, found in zip(model.shape, data.shape, strict=False)
    ):
        sizes = " x ".join(str(size) if size else "any" for size in model.shape)
        raise UserFacingError(
            "The model and the data do not fit",
            f"The model reads pictures of {sizes} (height, width, channels) and these have "
            f"{' x '.join(map(str, data.shape))}",
            "Bring pictures of that size",
        )
    return data.shape


def _texts(data: DataFacts, wanted: Wanted, said: Corrections) -> Wanted:
    """Which column holds the texts."""
    held_out = _held_out(data, said)
    row_id = said.get("data", {}).get("id")
    text = said.get("data", {}).get("text", "")
    if not text:
        able = [c.name for c in data.columns if c.kind in ("text", "category") and c.name not in (wanted.label, row_id)]
        texts = [c.name for c in data.columns if c.kind == "text" and c.name in able] or able
        texts = ["text"] if "text" in texts else texts
        if len(texts) != 1:
            raise UserFacingError(
                "The column with the texts cannot be told",
                f"{len(texts)} columns hold text{': ' + _listed(texts) if texts else ''}",
                "Name it as text under [data] in a subject.toml, or leave the others out",
            )
        text = texts[0]
    if row_id is None:
        row_id = _row_id(data, {wanted.label, held_out, text}, 1)
    return replace(wanted, text=_column(data, text).name, id=row_id, held_out=held_out)
