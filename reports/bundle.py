"""The bundle (`.assay`): a report's evidence in one file, to be read with nothing but a zip, JSON and NumPy's arrays.

docs/bundle.md describes what is in it. The same report gives the same bytes, and there is one form only: what is read
is written again, and has to be what was read. So nothing can be in it that its manifest does not name.
"""

import io
import json
import struct
import tomllib
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cached_property, lru_cache
from typing import Any, NoReturn

import numpy as np

from core import codec
from core.digest import digest
from core.errors import UserFacingError
from core.nouns import MethodId, ModelFile, Query, Reference
from core.results import Result
from engine.places import TOML, located
from engine.subjects import corrections, files_beside, read_subject
from reports import rules
from reports.manifest import Manifest, entry, fits, manifest, sha256, unstamped
from reports.report import (
    AUDIENCES,
    FORMAT,
    ID,
    Report,
    RowNames,
    is_about,
    masked_names,
    report_digest,
    rows_of,
)
from reports.withholding import seen

LARGEST = 256 << 20
"""Bytes that a bundle may have."""
UNPACKED = 2 << 30
"""Bytes to which all exhibits together may unpack."""
MOST = 1_000
"""Exhibits of one bundle."""
TELLING = ("lower", "upper", "categories", "decimals")
"""What a schema says of a column's values."""

_MANIFEST, _SHEET, _RULES = "manifest.json", "printed.json", "rules.toml"
_LARGEST_JSON = 32 << 20
_DEEPEST = 32
_END = struct.Struct("<4s4H2LH")
_EPOCH = (1980, 1, 1, 0, 0, 0)
_LIKE_ROWS = ("values", "error", "perturbed", "noise")
_NAMED = {"subject": ("name", "title", "row_noun"), "model": ("name", "title", "format")}
_SHAPES: Mapping[str, Callable[[Manifest], tuple[int, ...] | None]] = {
    "table": lambda tables: (len(tables["feature"]),),
    "image": lambda tables: tuple(tables["image"]["shape"]),
    "text": lambda tables: None,
}


@dataclass(frozen=True)
class Filed:
    """An exhibit as a bundle holds it: what the manifest says of it, and the bytes of its file.

    `digest` is that of the whole result and `query` that of the whole question. Where it is not `whole`, some of it is
    blank: masked columns, `withheld` rows, the rows of its reference.
    """

    name: str
    kind: str
    file: str
    question: str
    query: str
    digest: str
    method: Mapping[str, Any]
    target: Mapping[str, Any]
    seed: int
    rows: int
    withheld: int
    reference: Mapping[str, Any] | None
    whole: bool
    tolerance: float
    body: bytes

    @property
    def method_id(self) -> MethodId:
        return MethodId(self.method["name"], self.method["version"], tuple(self.method["options"].items()))

    @property
    def result(self) -> Result:
        """The result, unpacked anew each time that it is asked for."""
        return codec.load(self.body)


@dataclass(frozen=True)
class Bundle:
    """What was read: the manifest, all that is printed (`Report.sheet`), the exhibits, and every file by name."""

    manifest: Manifest
    sheet: Manifest
    exhibits: tuple[Filed, ...]
    files: Mapping[str, bytes]

    @property
    def audience(self) -> str:
        return self.manifest["audience"]

    @cached_property
    def schema(self) -> Manifest:
        """subject.toml as tables, with one model."""
        return tomllib.loads(self.files[TOML].decode())

    def exhibit(self, name: str) -> Filed | None:
        """The exhibit of that name; None where there is none."""
        return next((each for each in self.exhibits if each.name == name), None)


# --- writing ---------------------------------------------------------------------------------------------------------


def pack(report: Report) -> bytes:
    """The bundle of a report, for its reader: what they may not see is not in it.

    Raises UserFacingError where the subject is no longer the one that was explained, and for what is too large.
    """
    files = files_beside(report.model)
    tables = _tables(files, report.model)
    _check_unchanged(report, files)
    entries, held = [], {}
    for number, exhibit in enumerate(report.exhibits, 1):
        file = f"exhibits/{number:03d}.npz"
        shown = seen(exhibit.result, report.model.spec, report.audience, report.row_ids)
        entries.append(entry(exhibit, file, shown, report))
        held[file] = codec.dump(shown)
    held[_SHEET] = _as_json(report.sheet)
    held[TOML] = _schema(tables, masked_names(report.model.spec))
    held[_RULES] = rules.FILE.read_bytes()
    model, data = files[tables["model"][0]["file"]], files[tables["data"]["file"]]
    digests = {name: sha256(body) for name, body in sorted(held.items())}
    whole = _zipped({**held, _MANIFEST: _as_json(manifest(report, model, data, entries, digests))})
    size = sum(_unpacked(body) for name, body in held.items() if name.endswith(".npz"))
    if len(whole) > LARGEST or len(entries) > MOST or size > UNPACKED:
        raise UserFacingError(
            "The evidence is too large for one file",
            f"It has {len(entries):,} exhibits and {len(whole) >> 20:,} MiB",
            "Compare with fewer reference rows",
        )
    return whole


def _check_unchanged(report: Report, files: Mapping[str, bytes]) -> None:
    """The digests of data and model in a bundle are those of the files whose SHA-256 stand beside them."""
    data, models = _read_again(report.model.path, tuple(map(sha256, files.values())))
    if data != report.subject.dataset.digest or report.model.spec.digest not in models:
        raise UserFacingError(
            f"{report.subject.title} has changed",
            "Its files are no longer those that were explained",
            "Make the report again",
        )


@lru_cache(maxsize=8)
def _read_again(path: str, _files: tuple[str, ...]) -> tuple[str, tuple[str, ...]]:
    """The digests of the data and of the models at a place, read once until a file there changes."""
    subject = read_subject(located(path)[0])
    return subject.dataset.digest, tuple(model.spec.digest for model in subject.models)


def _tables(files: Mapping[str, bytes], model: ModelFile) -> dict[str, Any]:
    """subject.toml with the one model that the report is about."""
    tables = tomllib.loads(files[TOML].decode())
    return {**tables, "model": [each for each in tables["model"] if each["name"] == model.name]}


def _schema(tables: dict[str, Any], masked: Sequence[str]) -> bytes:
    """subject.toml for the report's reader: it names no other row, and nothing tells a masked column's values."""
    from tomli_w import dumps

    about = {name: value for name, value in tables["subject"].items() if name != "example"}
    features = [
        {key: value for key, value in each.items() if each["name"] not in masked or key not in TELLING}
        for each in tables.get("feature", [])
    ]
    return dumps({**tables, "subject": about, **({"feature": features} if features else {})}).encode()


def _as_json(told: Mapping[str, Any]) -> bytes:
    """JSON for people too. Raises ValueError for what would not be the same when it is read."""
    body = json.dumps(told, allow_nan=False, ensure_ascii=False, indent=1).encode()
    if json.loads(body) != _listed(told):
        raise ValueError("it is not what JSON has")
    return body


def _listed(value: Any) -> Any:
    """`value` with lists for tuples."""
    if isinstance(value, Mapping):
        return {key: _listed(each) for key, each in value.items()}
    return [_listed(each) for each in value] if isinstance(value, list | tuple) else value


def _zipped(files: Mapping[str, bytes]) -> bytes:
    """The one form of these files: in the order of their names, stored, without a date."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name, body in sorted(files.items()):
            info = zipfile.ZipInfo(name, _EPOCH)
            info.create_system = 3
            archive.writestr(info, body)
    return buffer.getvalue()


def _unpacked(body: bytes) -> int:
    """The bytes to which a packed result unpacks, as it says itself; no more are ever read."""
    with zipfile.ZipFile(io.BytesIO(body)) as archive:
        return sum(each.file_size for each in archive.infolist())


# --- reading ---------------------------------------------------------------------------------------------------------


def read(data: bytes) -> Bundle:
    """The bundle in `data`, a stranger's: every file is the one that its manifest names, and every digest is right.

    Whether what it says is true is another question (`reports.recompute`), and who says so a third. Raises
    UserFacingError for whatever else it is.
    """
    files = _entries(data)
    told, sheet = _json(files, _MANIFEST), _json(files, _SHEET)
    if told.get("format") != FORMAT:
        _refuse(f"It is of the form {str(told.get('format'))[:20]!r}, and {FORMAT!r} is read here")
    if not fits(told) or told["audience"] not in AUDIENCES:
        _refuse("Its manifest is not made as a manifest is")
    _check_files(files, told)
    shape = _row_shape(files[TOML], told)
    filed = [_filed(each, files[each["file"]], told, shape) for each in told["exhibits"]]
    if not is_about(told["audience"], told["row_ids"], [asked for _, asked in filed]):
        _refuse("It has no exhibits, or one about other rows than it says")
    _check_digest(told, sheet)
    return Bundle(told, sheet, tuple(each for each, _ in filed), files)


def _entries(data: bytes) -> dict[str, bytes]:
    """The files in a zip of the one form, by name. Nothing is unpacked: they lie in it as they are."""
    if not 0 < len(data) <= LARGEST:
        _refuse(f"It has {len(data):,} bytes, and {LARGEST:,} at most are read")
    if len(data) < _END.size or not _ends_well(data):
        _refuse("It is no zip as it is written here")
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            listed = archive.infolist()
            stored = all(each.compress_type == zipfile.ZIP_STORED and not each.flag_bits for each in listed)
            if not stored or sum(each.file_size for each in listed) > len(data):
                _refuse("It is no zip as it is written here")
            files = {each.filename: archive.read(each) for each in listed}
    except UserFacingError:
        raise
    except Exception as error:  # damage shows itself in more ways than can be listed
        raise _refusal("It is a damaged zip") from error
    if _zipped(files) != data:
        _refuse("There is more in it than its files")
    return files


def _ends_well(data: bytes) -> bool:
    """Whether the end of a zip names no more files than a bundle has, so that their list may be read."""
    mark, _, _, _, count, size, start, comment = _END.unpack(data[-_END.size :])
    return mark == b"PK\5\6" and count <= MOST + 8 and start + size + _END.size == len(data) and not comment


def _json(files: Mapping[str, bytes], name: str) -> dict[str, Any]:
    """A JSON object among the files."""
    body = files.get(name, b"")
    if not 0 < len(body) <= _LARGEST_JSON:
        _refuse(f"Its {name} is missing or too large")
    try:
        told = json.loads(body, object_pairs_hook=_once, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        raise _refusal(f"Its {name} is no JSON") from error
    if not isinstance(told, dict) or not _is_flat(told):
        _refuse(f"Its {name} is no JSON object of a bearable depth")
    return told


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(dict(pairs)) != len(pairs):
        raise ValueError("a key stands there twice")
    return dict(pairs)


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number")


def _is_flat(value: Any) -> bool:
    """Whether nothing lies deeper than is ever written."""
    level = [value]
    for _ in range(_DEEPEST):
        level = [each for one in level for each in (one.values() if isinstance(one, dict) else one)]
        level = [each for each in level if isinstance(each, dict | list)]
        if not level:
            return True
    return False


def _check_files(files: Mapping[str, bytes], told: Manifest) -> None:
    """Refuses files that the manifest does not name, or names otherwise."""
    exhibits = [each["file"] for each in told["exhibits"]]
    names = [each["name"] for each in told["exhibits"]]
    if len(exhibits) > MOST or len(set(exhibits)) < len(exhibits) or len(set(names)) < len(names):
        _refuse("Its manifest names an exhibit twice, or too many")
    wanted = {_SHEET, TOML, _RULES, *exhibits}
    if set(files) != wanted | {_MANIFEST} or set(told["files"]) != wanted:
        _refuse("Its files are not those that its manifest names")
    for name in sorted(wanted):
        if sha256(files[name]) != told["files"][name]:
            _refuse(f"The file {name} is not the one that its manifest names")
    if told["rules"]["digest"] != told["files"][_RULES]:
        _refuse("Its rule file is not the one that its manifest names")
    try:
        size = sum(_unpacked(files[name]) for name in exhibits)
    except Exception as error:
        raise _refusal("One of its exhibits is a damaged zip") from error
    if size > UNPACKED:
        _refuse(f"Its exhibits unpack to {size >> 20:,} MiB, and {UNPACKED >> 20:,} at most are unpacked")


def _check_digest(told: Manifest, sheet: Manifest) -> None:
    """Refuses a bundle that prints another stamp than its manifest has, or has another digest than it says."""
    try:
        beside = unstamped(told["stamp"]).beside(told["digest"])
    except ValueError as error:
        raise _refusal("Its date or the head of its log is none") from error
    if told["id"] != told["digest"][:ID] or {name: sheet.get(name) for name in beside} != beside:
        _refuse("What is printed has another stamp or digest than its manifest")
    about = (told["audience"], told["subject"]["name"], told["data"]["digest"], told["model"]["digest"])
    exhibits = [(each["name"], each["question"], each["digest"]) for each in told["exhibits"]]
    printed = {name: value for name, value in sheet.items() if name not in beside}
    if told["digest"] != report_digest(about, told["row_ids"], exhibits, printed, told["masked"]):
        _refuse("Its digest is not that of what it holds")


def _row_shape(toml: bytes, told: Manifest) -> tuple[int, ...] | None:
    """The shape of a row by the schema, which names what the manifest does; None of texts: their data tell it."""
    try:
        tables = corrections(tomllib.loads(toml.decode()))
        (model,) = tables["model"]
        said = {"subject": tables["subject"], "model": model}
        same = all(said[part][key] == told[part][key] for part, keys in _NAMED.items() for key in keys)
        files = {TOML, tables["data"]["file"], model["file"]}
        shape = _SHAPES[said["subject"]["modality"]](tables)
    except Exception as error:  # it can be wrong in more ways than can be listed
        raise _refusal("Its schema is not made as a schema is") from error
    if not same or len(files) < 3:
        _refuse("Its schema names another subject or model than its manifest")
    return shape


def _filed(told: Manifest, body: bytes, whole: Manifest, shape: tuple[int, ...] | None) -> tuple[Filed, RowNames]:
    """An exhibit, once unpacked and compared with all that the manifest says of it, and the names of its rows."""
    filed = Filed(**told, body=body)
    try:
        result = filed.result
        sound = _is_sound(result) and shape in (None, result.query.rows.shape[1:])
    except Exception as error:  # damage shows itself in more ways than can be listed
        raise _refusal(f"The exhibit {filed.name!r} cannot be read") from error
    if not sound or not _is_as_told(filed, result) or result.query.model != whole["model"]["digest"]:
        _refuse(f"The exhibit {filed.name!r} is not what its manifest says")
    blank = filed.withheld or whole["masked"] or whole["audience"] == "letter"
    if filed.whole and (result.digest, result.query.digest) != (filed.digest, filed.query):
        _refuse(f"The exhibit {filed.name!r} has another digest than its manifest says")
    if not filed.whole and not blank:
        _refuse(f"The exhibit {filed.name!r} is not whole, and nothing is withheld")
    return filed, rows_of(result.query)


def _is_as_told(filed: Filed, result: Result) -> bool:
    query, reference = result.query, result.query.reference
    told = filed.reference and (filed.reference["rows"], filed.reference["seed"])
    return (
        type(result).__name__ == filed.kind
        and result.method == filed.method_id
        and (query.seed, vars(query.target), len(query)) == (filed.seed, filed.target, filed.rows)
        and (reference and (len(reference), reference.seed)) == told
        and filed.question == digest(filed.query, filed.method_id.digest)
    )


def _is_sound(result: Result) -> bool:
    """Whether a result is shaped as its question is, whoever wrote it."""
    query = result.query
    numbers = (int, float, type(None))
    for each in fields(result):
        value = getattr(result, each.name)
        if isinstance(value, np.ndarray):
            depth = 2 if "output" in each.name and each.name != "output" else 1
            right = value.shape == query.rows.shape if each.name in _LIKE_ROWS else value.ndim == depth
            if not right or len(value) != len(query):
                return False
        elif each.name not in ("query", "method", "norm", "facts") and type(value) not in numbers:
            return False
    return isinstance(query, Query) and _are_rows(query) and _is_reference(query)


def _are_rows(rows: Query | Reference) -> bool:
    named = all(type(each) is str for each in rows.row_ids)
    return rows.rows.ndim > 1 and named and len(rows.row_ids) == len(rows.rows)


def _is_reference(query: Query) -> bool:
    reference = query.reference
    if reference is None:
        return True
    return (
        isinstance(reference, Reference) and _are_rows(reference) and reference.rows.shape[1:] == query.rows.shape[1:]
    )


def _refusal(why: str) -> UserFacingError:
    return UserFacingError("This is no evidence of Assay's", why, "Ask whoever gave it to you for the file once more")


def _refuse(why: str) -> NoReturn:
    raise _refusal(why)
