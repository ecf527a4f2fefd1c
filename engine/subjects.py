"""Subjects from their folders: `subject.toml`, the data as Parquet, model files that are read but never opened.

docs/subjects.md describes the folder. Everything in it is checked here, before anything is asked.
"""

import hashlib
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, get_args

import numpy as np

from core.digest import digest
from core.errors import UserFacingError
from core.nouns import Capability, Dataset, Feature, ModelFile, ModelSpec, Subject
from models import capabilities

if TYPE_CHECKING:
    import pyarrow

SAMPLES = Path(__file__).parent.parent / "sample_models"
MAX_CELLS = 50_000_000

_NUMBER = (int, float)
_TABLES = {"subject": dict, "data": dict, "model": list}
_OPTIONAL_TABLES = {"reference": dict, "feature": list, "image": dict}
_SUBJECT = dict.fromkeys(("name", "title", "modality", "row_noun"), str) | {"classes": list}
_OPTIONAL_SUBJECT = dict.fromkeys(("summary", "example", "source", "licence", "limits"), str) | {
    "verdicts": list,
    "cutoff": _NUMBER,
}
_MODEL = dict.fromkeys(("name", "title", "format", "file", "output", "digest"), str)
_OPTIONAL_MODEL = {"settings": dict, "capabilities": list}
_FEATURE_TYPES = {str: str, float: _NUMBER, int: int, bool: bool, tuple: list}
_FEATURE = {field.name: _FEATURE_TYPES[type(getattr(Feature(""), field.name))] for field in fields(Feature)}


def subject_names() -> tuple[str, ...]:
    """The subjects to start from."""
    return ("tumours", "digits", "loans")


def subject_title(name: str) -> str:
    """A sample subject's title, without its data."""
    return _take(_read_toml(SAMPLES / name)["subject"], "[subject]", _SUBJECT, _OPTIONAL_SUBJECT)["title"]


def load_subject(name_or_folder: str) -> Subject:
    """The sample subject of that name, or the one in that folder, checked throughout.

    Raises UserFacingError for a name that there is not, and for a file that is missing, broken or
    at odds with another.
    """
    folder = SAMPLES / name_or_folder if name_or_folder in subject_names() else Path(name_or_folder)
    folder = folder.resolve()
    if not folder.is_dir():
        raise UserFacingError(
            f"There is no subject {name_or_folder!r}",
            f"The subjects here are: {', '.join(subject_names())}",
            "Choose one of them, or give the path of a folder with a subject.toml",
        )
    tables = _read_toml(folder)
    about = _take(tables["subject"], "[subject]", _SUBJECT, _OPTIONAL_SUBJECT)
    classes = _names(about["classes"], "[subject] classes")
    if len(classes) < 2:
        _refuse("[subject] classes names fewer than two", "Name every class that the models tell apart")
    shape, features = _features(about["modality"], tables)
    dataset = _read_data(folder, tables["data"], shape, features, classes)
    reference = _take(tables.get("reference", {}), "[reference]", {}, {"size": int, "seed": int})
    spec = ModelSpec(about["modality"], shape, features, classes, "logit", "")
    subject = Subject(
        name=about["name"],
        title=about["title"],
        summary=about.get("summary", ""),
        row_noun=about["row_noun"],
        dataset=dataset,
        models=_models(folder, tables["model"], spec),
        cutoff=about.get("cutoff"),
        reference_size=reference.get("size", min(100, len(dataset))),
        reference_seed=reference.get("seed", 7),
        example=about.get("example", dataset.row_ids[0]),
        source=" ".join(filter(None, [about.get("source"), about.get("licence")])),
        verdicts=_names(about.get("verdicts", []), "[subject] verdicts"),
        limits=about.get("limits", ""),
    )
    _check_rule(subject, classes)
    return subject


def read_model(model: ModelFile) -> bytes:
    """The bytes of a model file, for a worker to open. Raises UserFacingError where they have changed since loading."""
    data = _read_bytes(Path(model.path))
    if _model_digest(data, model.format, model.settings, model.spec) != model.spec.digest:
        raise UserFacingError(
            f"The model {model.name} has changed",
            "Its file is no longer the one that was loaded with its subject",
            "Load the subject again",
        )
    return data


def _check_rule(subject: Subject, classes: tuple[str, ...]) -> None:
    """Refuses a decision rule, a reference or an example that does not fit."""
    if subject.verdicts and len(subject.verdicts) != len(classes):
        _refuse("[subject] verdicts and classes differ in number", "Give one verdict for each class")
    if subject.cutoff is not None and (len(classes) != 2 or not 0 < subject.cutoff < 1):
        _refuse(
            "[subject] cutoff does not apply",
            "Give a probability between 0 and 1, and only where there are two classes",
        )
    if subject.example not in subject.dataset.row_ids:
        _refuse(f"[subject] example {subject.example!r} is no row of the data", "Name a row that there is")
    subject.reference()


def _read_toml(folder: Path) -> dict[str, Any]:
    try:
        tables = tomllib.loads(_read_bytes(folder / "subject.toml").decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        _refuse(f"subject.toml is not valid TOML: {error}", "Correct that line")
    return _take(tables, "subject.toml", _TABLES, _OPTIONAL_TABLES)


def _read_bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        _refuse(f"The file {path.name} is missing or may not be read", f"Put it into the folder {path.parent.name}")


def _features(modality: str, tables: Mapping[str, Any]) -> tuple[tuple[int, ...], tuple[Feature, ...]]:
    """The shape of a row and its features, in the order in which the models read them."""
    if modality == "table" and tables.get("feature"):
        features = tuple(_feature(table, number) for number, table in enumerate(tables["feature"], 1))
        _check_unique((feature.name for feature in features), "[[feature]]")
        return (len(features),), features
    if modality == "image" and "image" in tables:
        image = _take(tables["image"], "[image]", {"shape": list, "lower": _NUMBER, "upper": _NUMBER}, {})
        shape = tuple(image["shape"])
        if len(shape) != 3 or not all(type(size) is int and size > 0 for size in shape):
            _refuse("[image] shape is not three whole numbers above zero", "Give height, width and channels")
        if np.prod(shape, dtype=float) > MAX_CELLS:
            _refuse(f"[image] shape {shape} is too large", f"Keep it under {MAX_CELLS:,} numbers a picture")
        return shape, _pixels(shape, image["lower"], image["upper"])
    return _refuse(
        f"A subject of modality {modality!r} was found, with no features that fit it",
        "Choose table and list every [[feature]], or choose image and describe the [image]",
    )


def _feature(table: Any, number: int) -> Feature:
    where = f"[[feature]] number {number}"
    known = _take(table, where, {"name": str, "kind": str}, _FEATURE)
    where = f"The feature {known['name']}"
    categories = _names(known.pop("categories", []), f"{where}: categories")
    kind = known["kind"]
    if kind not in ("real", "integer", "category", "boolean"):
        _refuse(f"{where} has the kind {kind!r}", "Choose real, integer, category or boolean")
    if known.get("direction", "any") not in ("any", "up", "down"):
        _refuse(f"{where} has the direction {known['direction']!r}", "Choose any, up or down")
    if (kind == "category") != (len(categories) > 1):
        _refuse(f"{where} of kind {kind} has {len(categories)} categories", "Give a category two or more, others none")
    if kind in ("category", "boolean"):
        known |= {"lower": 0, "upper": max(len(categories) - 1, 1)}
    if not {"lower", "upper"} <= set(known) or not known["lower"] < known["upper"]:
        _refuse(f"{where} has no range", "Give lower and upper, the smallest and largest value that make sense")
    known |= {"lower": float(known["lower"]), "upper": float(known["upper"])}
    return Feature(**known, categories=categories)


def _pixels(shape: tuple[int, ...], lower: float, upper: float) -> tuple[Feature, ...]:
    """One feature a pixel and channel, row by row; `pixel_2_5` is row 2, column 5, counted from 0."""
    pixel = Feature("", kind="pixel", lower=float(lower), upper=float(upper), decimals=0)
    names = []
    for row, column, channel in np.ndindex(*shape):
        extra = (f"_{channel}", f", channel {channel + 1}") if shape[2] > 1 else ("", "")
        names.append((f"pixel_{row}_{column}{extra[0]}", f"Row {row + 1}, column {column + 1}{extra[1]}"))
    return tuple(replace(pixel, name=name, label=label) for name, label in names)


def _read_data(
    folder: Path, table: Any, shape: tuple[int, ...], features: tuple[Feature, ...], classes: tuple[str, ...]
) -> Dataset:
    names = _take(table, "[data]", {"file": str, "id": str}, {"label": str, "held_out": str})
    path = _inside(folder, names.pop("file"))
    data = _read_parquet(path, [*(feature.name for feature in features), *names.values()])
    columns = np.column_stack([_numbers(data[feature.name], feature) for feature in features])
    ids = tuple(str(value) for value in data[names["id"]].to_pylist())
    _check_unique(ids, f"The column {names['id']}")
    labels = np.full(len(ids), -1)
    if "label" in names:
        labels = np.nan_to_num(_codes(data[names["label"]], classes, names["label"]), nan=-1)
    held_out = np.zeros(len(ids), dtype=bool)
    if "held_out" in names:
        held_out = np.array(data[names["held_out"]].to_pylist()) == True  # noqa: E712  (None is not held out)
    return Dataset(columns.reshape(-1, *shape), ids, labels, held_out)


def _read_parquet(path: Path, columns: list[str]) -> "pyarrow.Table":
    """The named columns, read only when they are all there and of a bearable size."""
    import pyarrow
    from pyarrow import parquet

    body = pyarrow.BufferReader(_read_bytes(path))
    try:
        file = parquet.ParquetFile(body)
        missing = sorted(set(columns) - set(file.schema_arrow.names))
        if missing:
            _refuse(f"{path.name} has no column {missing[0]!r}", "Add it, or correct its name in subject.toml")
        if not 0 < file.metadata.num_rows * len(columns) <= MAX_CELLS:
            _refuse(
                f"{path.name} holds {file.metadata.num_rows:,} rows of {len(columns)} columns",
                f"Keep it at one row or more, and under {MAX_CELLS:,} numbers in all",
            )
        return file.read(columns)
    except (pyarrow.ArrowException, OSError):
        _refuse(f"{path.name} is not a readable Parquet file", "Write it again")


def _numbers(column: "pyarrow.ChunkedArray", feature: Feature) -> np.ndarray:
    """A column as float64 in raw units, checked against its feature."""
    import pyarrow

    if feature.kind == "category":
        values = _codes(column, feature.categories, feature.name)
    else:
        try:
            small = column.cast(pyarrow.int8()) if pyarrow.types.is_boolean(column.type) else column
            values = _float64(small.cast(pyarrow.float64()))
        except pyarrow.ArrowException:
            _refuse(f"The column {feature.name} does not hold numbers", "Write it as numbers, or make it a category")
    present = values[~np.isnan(values)]
    if len(present) < len(values) and not feature.missing:
        _refuse(f"The column {feature.name} has missing values", "Set missing = true for it, or fill them in")
    wrong = (present < feature.lower) | (present > feature.upper)
    if wrong.any():
        _refuse(
            f"The column {feature.name} holds {present[wrong][0]:g}, outside {feature.lower:g} to {feature.upper:g}",
            "Correct the data, or widen lower and upper",
        )
    if feature.kind in ("integer", "boolean") and (present % 1).any():
        _refuse(f"The column {feature.name} holds values that are not whole numbers", "Make its kind real")
    return values


def _codes(column: "pyarrow.ChunkedArray", categories: tuple[str, ...], name: str) -> np.ndarray:
    """Names as their index in `categories`, NaN where missing."""
    import pyarrow

    if not pyarrow.types.is_string(column.type):
        _refuse(f"The column {name} does not hold names", f"Write them as text: {', '.join(categories)}")
    places = {category: float(place) for place, category in enumerate(categories)} | {None: np.nan}
    values = column.to_pylist()
    unknown = next((value for value in values if value not in places), None)
    if unknown is not None:
        _refuse(f"The column {name} holds {unknown!r}", f"It may hold: {', '.join(categories)}")
    return np.array([places[value] for value in values])


def _float64(column: "pyarrow.ChunkedArray") -> np.ndarray:
    """A column of doubles as an array, NaN where missing; without pandas, which `to_numpy` would import first."""
    filled = column.fill_null(float("nan")) if column.null_count else column
    return np.from_dlpack(filled.combine_chunks())


def _models(folder: Path, tables: list[Any], spec: ModelSpec) -> tuple[ModelFile, ...]:
    if not tables:
        _refuse("subject.toml names no model", "Add a [[model]]")
    card = folder / "README.md"
    text = card.read_text(encoding="utf-8") if card.is_file() else ""
    models = tuple(_model(folder, table, number, spec, text) for number, table in enumerate(tables, 1))
    _check_unique((model.name for model in models), "[[model]]")
    return models


def _model(folder: Path, table: Any, number: int, spec: ModelSpec, card: str) -> ModelFile:
    known = _take(table, f"[[model]] number {number}", _MODEL, _OPTIONAL_MODEL)
    outputs = ("margin", "logit", "probability") if len(spec.classes) == 2 else ("logit", "probability")
    if known["output"] not in outputs:
        _refuse(f"The model {known['name']} has the output {known['output']!r}", f"Choose {' or '.join(outputs)}")
    path = _inside(folder, known["file"])
    data, settings = _read_bytes(path), known.get("settings", {})
    found = hashlib.sha256(data).hexdigest()
    if found != known["digest"]:
        _refuse(
            f"The file {path.name} has the digest {found[:8]} and subject.toml names {known['digest'][:8]}",
            "Put the right file back, or name its digest if the change was meant",
        )
    spec = replace(spec, output=known["output"], capabilities=_capabilities(known))
    spec = replace(spec, digest=_model_digest(data, known["format"], settings, spec))
    return ModelFile(known["name"], known["title"], known["format"], str(path), spec, settings, card)


def _capabilities(known: Mapping[str, Any]) -> tuple[Capability, ...]:
    """What the model can do as subject.toml says, else what its format usually can; a worker checks it."""
    usual = capabilities(known["format"])
    said = _names(known.get("capabilities", list(usual)), f"The model {known['name']}: capabilities")
    wrong = sorted(set(said) - set(get_args(Capability)))
    if wrong:
        _refuse(f"The model {known['name']} has the capability {wrong[0]!r}", "Choose gradients, trees or linear")
    return said


def _model_digest(data: bytes, format: str, settings: Mapping[str, Any], spec: ModelSpec) -> str:
    """The digest of a model file and of how it is read."""
    return digest(data, format, dict(settings), spec.output, spec.shape, spec.classes, spec.features)


def _inside(folder: Path, file: str) -> Path:
    if Path(file).name != file:
        _refuse(f"The file {file!r} is not in the subject's folder", "Put it there and give its bare name")
    return folder / file


def _take(table: Any, where: str, required: Mapping[str, Any], optional: Mapping[str, Any]) -> dict[str, Any]:
    """A table of subject.toml, its keys and their types checked."""
    known = {**optional, **required}
    if not isinstance(table, dict):
        _refuse(f"{where} is not a table", "Correct it in subject.toml")
    for key in required:
        if key not in table:
            _refuse(f"{where} has no {key!r}", "Add it to subject.toml")
    for key, value in table.items():
        if key not in known:
            _refuse(f"{where} has a key {key!r} that means nothing", f"It may have: {', '.join(known)}")
        number = known[key] in (_NUMBER, int) and isinstance(value, bool)
        if number or not isinstance(value, known[key]):
            _refuse(f"{where} has the wrong type of value for {key!r}", "Correct it in subject.toml")
    return dict(table)


def _names(values: list[Any], where: str) -> tuple[str, ...]:
    if not all(isinstance(value, str) for value in values):
        _refuse(f"{where} holds something that is not text", "Correct it in subject.toml")
    _check_unique(values, where)
    return tuple(values)


def _check_unique(names: Iterable[str], where: str) -> None:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            _refuse(f"{where} names {name!r} twice", "Give each its own name")
        seen.add(name)


def _refuse(why: str, remedy: str) -> NoReturn:
    raise UserFacingError("This subject cannot be read", why, remedy)
