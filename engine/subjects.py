"""Subjects from their places: `subject.toml`, the data as Parquet, model files that are read but never opened.

docs/subjects.md describes the files. Everything in it is checked here, before anything is asked.
"""

import hashlib
import math
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, get_args

import numpy as np

from core.digest import digest
from core.errors import UserFacingError
from core.nouns import Capability, Dataset, Feature, ModelFile, ModelSpec, Pixels, Subject, Vocabulary
from engine.places import SAMPLE_NAMES, TOML, Place, located, place, saved_names
from engine.places import SAMPLES as SAMPLES
from models import capabilities

if TYPE_CHECKING:
    import pyarrow
    from pyarrow import parquet

CARD = "README.md"
MAX_CELLS = 50_000_000
MAX_TOKENS = 4096

_NUMBER = (int, float)
_TABLES = {"subject": dict, "data": dict, "model": list}
_OPTIONAL_TABLES = {"reference": dict, "feature": list, "image": dict, "text": dict}
_SUBJECT = dict.fromkeys(("name", "title", "modality", "row_noun"), str)
_OPTIONAL_SUBJECT = dict.fromkeys(("summary", "example", "source", "licence", "limits", "outcome", "unit"), str) | {
    "classes": list,
    "verdicts": list,
    "cutoff": _NUMBER,
    "decimals": int,
}
_IMAGE = {"shape": list, "lower": _NUMBER, "upper": _NUMBER}
_OPTIONAL_IMAGE = {"column": str, "dark": str}
_TEXT = {"mask": int, "pad": int, "special": list}
_MODEL = dict.fromkeys(("name", "title", "format", "file", "output", "digest"), str)
_OPTIONAL_MODEL = {"settings": dict, "capabilities": list}
_FEATURE_TYPES = {str: str, float: _NUMBER, int: int, bool: bool, tuple: list}
_FEATURE = {
    field.name: _FEATURE_TYPES[type(getattr(Feature(""), field.name))] for field in fields(Feature) if field.compare
}


def subject_names() -> tuple[str, ...]:
    """The subjects to start from, then those that were saved, each by its name. Frozen copies are not among them."""
    return (*SAMPLE_NAMES, *(name for name in saved_names() if name not in SAMPLE_NAMES))


def subject_title(name: str) -> str:
    """The title of a subject of that name, without its data. Raises UserFacingError where it cannot be read."""
    return subject_words(name)[0]


def subject_words(name: str) -> tuple[str, str]:
    """The title and summary of a subject of that name, without its data."""
    about = _take(_read_toml(_found(name))["subject"], "[subject]", _SUBJECT, _OPTIONAL_SUBJECT)
    return about["title"], about.get("summary", "")


def subject_version(name: str) -> int:
    """A number that changes when the subject of that name is written anew; 0 where there is none."""
    found = place(name)
    return found.version() if found else 0


def files_of(name: str) -> dict[str, bytes]:
    """The files that a subject of that name consists of: subject.toml, its data, its models and its card.

    Raises UserFacingError for a name that there is not, and for a file that is missing.
    """
    return _files(_found(name))


def files_beside(model: ModelFile) -> dict[str, bytes]:
    """The files of the subject that a model is from, as `files_of` has them."""
    return _files(located(model.path)[0])


def _files(found: Place) -> dict[str, bytes]:
    tables = _read_toml(found)
    models = [_take(table, "[[model]]", {"file": str}, {**_MODEL, **_OPTIONAL_MODEL}) for table in tables["model"]]
    data = _take(tables["data"], "[data]", {"file": str, "id": str}, {"label": str, "held_out": str})
    files = [TOML, *(_bare(each["file"]) for each in (data, *models)), *([CARD] if found.has(CARD) else [])]
    return {file: _read_bytes(found, file) for file in files}


def load_subject(name_or_folder: str) -> Subject:
    """The subject of that name, or the one in that folder, checked throughout.

    Raises UserFacingError for a name that there is not, and for a file that is missing, broken or
    at odds with another.
    """
    return read_subject(_found(name_or_folder))


def read_subject(source: Place) -> Subject:
    """The subject whose files are in that place, checked throughout. Raises UserFacingError as `load_subject` does."""
    tables = _read_toml(source)
    about = _take(tables["subject"], "[subject]", _SUBJECT, _OPTIONAL_SUBJECT)
    classes = _classes(about)
    spec = _spec(source, tables, about, classes)
    dataset = _read_data(source, tables, spec)
    if spec.modality == "text":
        spec = _with_pieces(spec, source, tables, dataset)
    if not classes:
        spec = replace(spec, outcome=_outcome(about, dataset.labels))
    reference = _take(tables.get("reference", {}), "[reference]", {}, {"size": int, "seed": int})
    subject = Subject(
        name=about["name"],
        title=about["title"],
        summary=about.get("summary", ""),
        row_noun=about["row_noun"],
        dataset=dataset,
        models=_models(source, tables["model"], spec),
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
    data = _read_bytes(*located(model.path))
    if _model_digest(data, model.format, model.settings, model.spec) != model.spec.digest:
        raise UserFacingError(
            f"The model {model.name} has changed",
            "Its file is no longer the one that was loaded with its subject",
            "Load the subject again",
        )
    return data


def _found(name_or_folder: str) -> Place:
    """Where the subject of that name is, or the one in that folder."""
    found = place(name_or_folder)
    if found is None and name_or_folder.startswith("frozen-"):  # whoever was granted one does not learn of others
        raise UserFacingError(
            f"There is no subject {name_or_folder!r}",
            "No version is frozen under that name, or it was removed",
            "Look at the list of frozen versions",
        )
    if found is None:
        raise UserFacingError(
            f"There is no subject {name_or_folder!r}",
            f"The subjects here are: {', '.join(subject_names())}",
            "Choose one of them, or give the path of a folder with a subject.toml",
        )
    return found


def _classes(about: Mapping[str, Any]) -> tuple[str, ...]:
    """The classes; none where a number is predicted."""
    if "classes" not in about:
        return ()
    classes = _names(about["classes"], "[subject] classes")
    if len(classes) < 2:
        _refuse(
            "[subject] classes names fewer than two",
            "Name every class that the models tell apart, or leave classes out where they predict a number",
        )
    wrong = next((key for key in ("outcome", "unit", "decimals") if key in about), None)
    if wrong:
        _refuse(f"[subject] has classes and {wrong!r}", "Leave one of them out: a model decides or predicts a number")
    return classes


def _outcome(about: Mapping[str, Any], labels: np.ndarray) -> Feature:
    """The number that is predicted, in words; unless said, with as many decimals as its range makes worth reading."""
    known = labels[~np.isnan(labels)]
    spread = float(np.ptp(known)) if len(known) else 0.0
    usual = min(6, max(0, 2 - math.floor(math.log10(spread)))) if spread > 0 else 2
    return Feature(
        about.get("outcome", "value"), unit=about.get("unit", ""), decimals=max(0, about.get("decimals", usual))
    )


def _check_rule(subject: Subject, classes: tuple[str, ...]) -> None:
    """Refuses a decision rule, a reference or an example that does not fit."""
    if subject.verdicts and len(subject.verdicts) != max(1, len(classes)):
        _refuse(
            "[subject] verdicts and classes differ in number",
            "Give one verdict for each class" if classes else "Give one verdict for the number, as in: is valued at",
        )
    if subject.cutoff is not None and (len(classes) != 2 or not 0 < subject.cutoff < 1):
        _refuse(
            "[subject] cutoff does not apply",
            "Give a probability between 0 and 1, and only where there are two classes",
        )
    if subject.example not in subject.dataset.row_ids:
        _refuse(f"[subject] example {subject.example!r} is no row of the data", "Name a row that there is")
    subject.reference()


def _read_toml(source: Place) -> dict[str, Any]:
    try:
        tables = tomllib.loads(_read_bytes(source, TOML).decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        _refuse(f"subject.toml is not valid TOML: {error}", "Correct that line")
    return _take(tables, "subject.toml", _TABLES, _OPTIONAL_TABLES)


def corrections(tables: Mapping[str, Any]) -> dict[str, Any]:
    """A subject.toml in which everything may be left out, its keys and types checked. A single [model] is taken too."""
    tables = dict(tables)
    if isinstance(tables.get("model"), dict):
        tables["model"] = [tables["model"]]
    _take(tables, "subject.toml", {}, {**_TABLES, **_OPTIONAL_TABLES})
    about = _take(tables.get("subject", {}), "[subject]", {}, {**_SUBJECT, **_OPTIONAL_SUBJECT})
    for key in ("classes", "verdicts"):
        _names(about.get(key, []), f"[subject] {key}")
    _take(tables.get("data", {}), "[data]", {}, dict.fromkeys(("file", "id", "label", "held_out", "text"), str))
    _take(tables.get("reference", {}), "[reference]", {}, {"size": int, "seed": int})
    for number, each in enumerate(tables.get("feature", []), 1):
        known = _take(each, f"[[feature]] number {number}", {"name": str}, _FEATURE)
        _names(known.get("categories", []), f"The feature {known['name']}: categories")
    for each in tables.get("model", []):
        _take(each, "[[model]]", {}, {**_MODEL, **_OPTIONAL_MODEL})
    return tables


def _read_bytes(source: Place, file: str) -> bytes:
    try:
        return source.read(file)
    except OSError:
        _refuse(f"The file {file} is missing or may not be read", source.remedy)


def _spec(source: Place, tables: Mapping[str, Any], about: Mapping[str, Any], classes: tuple[str, ...]) -> ModelSpec:
    """What every model of the subject takes and gives; its own output, digest and capabilities left open."""
    modality, output = about["modality"], "logit" if classes else "value"
    if modality == "table" and tables.get("feature"):
        features = tuple(_feature(table, number) for number, table in enumerate(tables["feature"], 1))
        _check_unique((feature.name for feature in features), "[[feature]]")
        return ModelSpec(modality, (len(features),), features, classes, output, "")
    if modality == "image" and "image" in tables:
        image = _take(tables["image"], "[image]", _IMAGE, _OPTIONAL_IMAGE)
        shape = tuple(image["shape"])
        if len(shape) != 3 or not all(type(size) is int and size > 0 for size in shape):
            _refuse("[image] shape is not three whole numbers above zero", "Give height, width and channels")
        if np.prod(shape, dtype=float) > MAX_CELLS:
            _refuse(f"[image] shape {shape} is too large", f"Keep it under {MAX_CELLS:,} numbers a picture")
        if not image["lower"] < image["upper"]:
            _refuse("[image] has no range", "Give lower and upper, the least and largest pixel there can be")
        if image.get("dark", "upper") not in ("upper", "lower"):
            _refuse(f"[image] dark is {image['dark']!r}", "Choose upper for ink on paper, lower for light")
        pixels = Pixels(shape, float(image["lower"]), float(image["upper"]))
        return ModelSpec(modality, shape, pixels, classes, output, "", inked=image.get("dark", "upper") == "upper")
    if modality == "text" and "text" in tables:
        return _text_spec(source, tables, classes, output)
    return _refuse(
        f"A subject of modality {modality!r} was found, with no features that fit it",
        "Choose table and list every [[feature]], choose image and describe the [image], or text and the [text]",
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


def _text_spec(source: Place, tables: Mapping[str, Any], classes: tuple[str, ...], output: Any) -> ModelSpec:
    """A text's length is that of the longest; its vocabulary is filled in by `_with_pieces`."""
    text = _take(tables["text"], "[text]", _TEXT, {})
    if not all(type(token) is int and token >= 0 for token in (text["mask"], text["pad"], *text["special"])):
        _refuse("[text] holds a token that is not a whole number from 0", "Give mask, pad and special as token ids")
    data = _take(tables["data"], "[data]", {"file": str, "id": str}, {"label": str, "held_out": str})
    column = _read_parquet(source, data["file"], ["tokens"])["tokens"]
    lengths, values = _lists(column, "tokens")
    length = int(lengths.max(initial=0))
    if not 0 < length <= MAX_TOKENS:
        _refuse(f"The longest text has {length:,} tokens", f"Keep them between 1 and {MAX_TOKENS:,}")
    upper = float(max(values.max(initial=0.0), text["mask"], text["pad"]))
    features = tuple(
        Feature(f"token_{place}", "token", f"Token {place}", upper=upper, decimals=0) for place in range(1, length + 1)
    )
    vocabulary = Vocabulary((), text["mask"], text["pad"], tuple(text["special"]))
    return ModelSpec("text", (length,), features, classes, output, "", vocabulary=vocabulary)


def _with_pieces(spec: ModelSpec, source: Place, tables: Mapping[str, Any], dataset: Dataset) -> ModelSpec:
    """`spec` with the printed piece of every token that the data hold."""
    column = _read_parquet(source, tables["data"]["file"], ["pieces"])["pieces"]
    lists = column.to_pylist()
    pieces: dict[int, str] = {}
    for row, row_id, printed in zip(dataset.rows, dataset.row_ids, lists, strict=True):
        if printed is None or not all(isinstance(piece, str) for piece in printed):
            _refuse("The column pieces does not hold lists of text", "Write one printed piece for each token")
        if len(printed) > len(row) or (row[len(printed) :] != spec.vocabulary.pad).any():
            _refuse(f"The row {row_id} has tokens without a printed piece", "Write one printed piece for each token")
        pieces |= zip(map(int, row), printed, strict=False)
    return replace(spec, vocabulary=replace(spec.vocabulary, pieces=tuple(sorted(pieces.items()))))


def _read_data(source: Place, tables: Mapping[str, Any], spec: ModelSpec) -> Dataset:
    names = _take(tables["data"], "[data]", {"file": str, "id": str}, {"label": str, "held_out": str})
    file = names.pop("file")
    single = {"image": tables.get("image", {}).get("column"), "text": "tokens"}.get(spec.modality)
    inputs = [single] if single else [feature.name for feature in spec.features]
    data = _read_parquet(source, file, [*inputs, *names.values()])
    if spec.modality == "text":
        rows = _padded(data[single], spec)
    elif single:
        rows = _pixels(data[single], single, spec)
    else:
        columns = [_numbers(data[feature.name], feature) for feature in spec.features]
        rows = np.column_stack(columns).reshape(-1, *spec.shape)
    ids = tuple(str(value) for value in data[names["id"]].to_pylist())
    _check_unique(ids, f"The column {names['id']}")
    labels = _labels(data[names["label"]] if "label" in names else None, names.get("label", ""), spec, len(ids))
    held_out = np.ones(len(ids), dtype=bool)
    if "held_out" in names:
        held_out = np.array(data[names["held_out"]].to_pylist()) == True  # noqa: E712  (None is not held out)
    return Dataset(rows, ids, labels, held_out, split_known="held_out" in names)


def _labels(column: "pyarrow.ChunkedArray | None", name: str, spec: ModelSpec, rows: int) -> np.ndarray:
    """Class indices (rows,), -1 where unknown; the true numbers, NaN where unknown, of a regression."""
    if not spec.classes:
        return np.full(rows, np.nan) if column is None else _as_numbers(column, name)
    if column is None:
        return np.full(rows, -1)
    return np.nan_to_num(_codes(column, spec.classes, name), nan=-1).astype(np.int64)


def _lists(column: "pyarrow.ChunkedArray", name: str) -> tuple[np.ndarray, np.ndarray]:
    """A column of lists of numbers: how many each holds (n,), and all of them as float64, one after the other."""
    import pyarrow
    from pyarrow import compute

    whole = column.combine_chunks()
    kind = whole.type
    lists = (pyarrow.types.is_list, pyarrow.types.is_large_list, pyarrow.types.is_fixed_size_list)
    if not any(is_list(kind) for is_list in lists) or whole.null_count:
        _refuse(f"The column {name} does not hold lists", "Write one list of numbers for each row")
    lengths = _as_numbers(compute.list_value_length(whole), name).astype(np.int64)
    if lengths.sum() > MAX_CELLS:
        _refuse(f"The column {name} holds {lengths.sum():,} numbers", f"Keep it under {MAX_CELLS:,} in all")
    return lengths, _as_numbers(whole.flatten(), name)


def _pixels(column: "pyarrow.ChunkedArray", name: str, spec: ModelSpec) -> np.ndarray:
    """Pictures (n, height, width, channels) from one list of numbers each, row by row and channel by channel."""
    lengths, values = _lists(column, name)
    wanted = int(np.prod(spec.shape))
    if (lengths != wanted).any():
        found = int(lengths[lengths != wanted][0])
        _refuse(f"The column {name} holds a picture of {found:,} numbers", f"The shape needs {wanted:,}: correct one")
    first = spec.features[0]
    wrong = ~((values >= first.lower) & (values <= first.upper))
    if wrong.any():
        _refuse(
            f"The column {name} holds {values[wrong][0]:g}, outside {first.lower:g} to {first.upper:g}",
            "Correct the data, or widen lower and upper",
        )
    return values.reshape(-1, *spec.shape)


def _padded(column: "pyarrow.ChunkedArray", spec: ModelSpec) -> np.ndarray:
    """Token ids (n, length), shorter texts filled up with the pad token."""
    lengths, values = _lists(column, "tokens")
    if not lengths.all() or not (values >= 0).all() or (values % 1).any():
        _refuse("The column tokens holds an empty text or what is no token id", "Write whole numbers from 0")
    rows = np.full((len(lengths), *spec.shape), float(spec.vocabulary.pad))
    rows[np.arange(spec.shape[0]) < lengths[:, None]] = values
    return rows


def _read_parquet(source: Place, name: str, columns: list[str]) -> "pyarrow.Table":
    """The named columns, read only when they are all there and of a bearable size."""
    import pyarrow
    from pyarrow import parquet

    body = pyarrow.BufferReader(_read_bytes(source, _bare(name)))
    try:
        file = parquet.ParquetFile(body)
        missing = sorted(set(columns) - set(file.schema_arrow.names))
        if missing:
            _refuse(f"{name} has no column {missing[0]!r}", "Add it, or correct its name in subject.toml")
        if not 0 < _cells(file.metadata, set(columns)) <= MAX_CELLS:
            _refuse(
                f"{name} holds {file.metadata.num_rows:,} rows of {len(columns)} columns",
                f"Keep it at one row or more, and under {MAX_CELLS:,} numbers in all",
            )
        return file.read(columns)
    except (pyarrow.ArrowException, OSError):
        _refuse(f"{name} is not a readable Parquet file", "Write it again")


def _cells(metadata: "parquet.FileMetaData", columns: set[str]) -> int:
    """How many values the named columns hold, those inside lists one by one."""
    chunks = (
        metadata.row_group(group).column(column)
        for group in range(metadata.num_row_groups)
        for column in range(metadata.num_columns)
    )
    return sum(chunk.num_values for chunk in chunks if chunk.path_in_schema.split(".")[0] in columns)


def _numbers(column: "pyarrow.ChunkedArray", feature: Feature) -> np.ndarray:
    """A column as float64 in raw units, checked against its feature."""
    if feature.kind == "category":
        values = _codes(column, feature.categories, feature.name)
    else:
        values = _as_numbers(column, feature.name)
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


def _as_numbers(column: "pyarrow.ChunkedArray | pyarrow.Array", name: str) -> np.ndarray:
    """A column as float64, NaN where missing."""
    import pyarrow

    try:
        small = column.cast(pyarrow.int8()) if pyarrow.types.is_boolean(column.type) else column
        return _float64(small.cast(pyarrow.float64()))
    except pyarrow.ArrowException:
        _refuse(f"The column {name} does not hold numbers", "Write it as numbers, or make it a category")


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


def _float64(column: "pyarrow.ChunkedArray | pyarrow.Array") -> np.ndarray:
    """A column of doubles as an array, NaN where missing; without pandas, which `to_numpy` would import first."""
    import pyarrow

    filled = column.fill_null(float("nan")) if column.null_count else column
    return np.from_dlpack(filled.combine_chunks() if isinstance(filled, pyarrow.ChunkedArray) else filled)


def _models(source: Place, tables: list[Any], spec: ModelSpec) -> tuple[ModelFile, ...]:
    if not tables:
        _refuse("subject.toml names no model", "Add a [[model]]")
    text = _read_bytes(source, CARD).decode(errors="replace") if source.has(CARD) else ""
    models = tuple(_model(source, table, number, spec, text) for number, table in enumerate(tables, 1))
    _check_unique((model.name for model in models), "[[model]]")
    return models


def _model(source: Place, table: Any, number: int, spec: ModelSpec, card: str) -> ModelFile:
    known = _take(table, f"[[model]] number {number}", _MODEL, _OPTIONAL_MODEL)
    outputs = {0: ("value",), 2: ("margin", "logit", "probability")}.get(len(spec.classes), ("logit", "probability"))
    if known["output"] not in outputs:
        _refuse(f"The model {known['name']} has the output {known['output']!r}", f"Choose {' or '.join(outputs)}")
    file = _bare(known["file"])
    data, settings = _read_bytes(source, file), known.get("settings", {})
    found = hashlib.sha256(data).hexdigest()
    if found != known["digest"]:
        _refuse(
            f"The file {file} has the digest {found[:8]} and subject.toml names {known['digest'][:8]}",
            "Put the right file back, or name its digest if the change was meant",
        )
    spec = replace(spec, output=known["output"], capabilities=_capabilities(known))
    spec = replace(spec, digest=_model_digest(data, known["format"], settings, spec))
    return ModelFile(known["name"], known["title"], known["format"], source.path(file), spec, settings, card)


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
    how = (spec.output, spec.shape, spec.classes, spec.features)
    return digest(data, format, dict(settings), *how, *([spec.vocabulary] if spec.vocabulary else []))


def _bare(file: str) -> str:
    if Path(file).name != file:
        _refuse(f"The file {file!r} is not in the subject's folder", "Put it there and give its bare name")
    return file


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
