"""What a bundle says of itself: whose evidence it is, of what, made where and how, and the digest of every file."""

import hashlib
import platform
import tomllib
from collections.abc import Sequence
from dataclasses import fields
from datetime import date
from functools import cache
from importlib.metadata import version
from pathlib import Path
from types import NoneType
from typing import Any

from core.digest import digest
from core.nouns import MethodId, ModelSpec
from core.results import Result
from reports.report import FORMAT, Exhibit, Report, Stamp, masked_names
from reports.rules import rules
from reports.withholding import others

Manifest = dict[str, Any]
ROUNDING = 1e-5
"""How far a number may be from the same one computed elsewhere, as a share of its scale (ADR 0016)."""

_EXACT = ("tree_shap",)
_ROOT = Path(__file__).parents[1]
_LIBRARIES = (
    "numpy", "scipy", "pyarrow", "torch", "xgboost-cpu", "lightgbm", "catboost", "scikit-learn", "onnx", "onnxruntime",
    "tokenizers", "transformers", "captum", "shap", "numba", "typst",
)  # fmt: skip
_EXHIBIT = {
    "name": str,
    "kind": str,
    "file": str,
    "question": str,
    "query": str,
    "digest": str,
    "method": {"name": str, "version": str, "options": {...: object}},
    "target": {"output": int, "scale": str},
    "seed": int,
    "rows": int,
    "withheld": int,
    "reference": ({"rows": int, "seed": (int, NoneType), "digest": str}, NoneType),
    "whole": bool,
    "tolerance": float,
}
_SHAPE = {
    "format": str,
    "audience": str,
    "id": str,
    "digest": str,
    "row_ids": [str],
    "stamp": {each.name: str for each in fields(Stamp)} | {"final": bool, "log": ([object], NoneType)},
    "command": str,
    "subject": {"name": str, "title": str, "row_noun": str, "schema": str},
    "model": {"name": str, "title": str, "format": str, "digest": str, "sha256": str},
    "data": {"rows": int, "digest": str, "sha256": str},
    "masked": [str],
    "rules": {"read": str, "digest": str},
    "environment": {"assay": str, "python": str, "system": str, "libraries": {...: str}, "lock": str},
    "exhibits": [_EXHIBIT],
    "files": {...: str},
}


def manifest(report: Report, model: bytes, data: bytes, entries: Sequence[Manifest], files: Manifest) -> Manifest:
    """The manifest of a report, of whose subject `model` and `data` are the files; `files`: the others' digests."""
    subject, spec = report.subject, report.model.spec
    return {
        "format": FORMAT,
        "audience": report.audience,
        "id": report.id,
        "digest": report.digest,
        "row_ids": list(report.row_ids),
        "stamp": stamped(report.stamp),
        "command": report.command,
        "subject": {
            "name": subject.name,
            "title": subject.title,
            "row_noun": subject.row_noun,
            "schema": schema_digest(spec),
        },
        "model": {
            "name": report.model.name,
            "title": report.model.title,
            "format": report.model.format,
            "digest": spec.digest,
            "sha256": sha256(model),
        },
        "data": {
            "rows": len(subject.dataset),
            "digest": subject.dataset.digest,
            "sha256": sha256(data),
        },
        "masked": list(masked_names(spec)),
        "rules": {"read": rules().read.isoformat(), "digest": rules().digest},
        "environment": environment(),
        "exhibits": list(entries),
        "files": files,
    }


def entry(exhibit: Exhibit, file: str, shown: Result, report: Report) -> Manifest:
    """What a manifest says of one exhibit, which is `shown` in `file`."""
    result = exhibit.result
    query, method, reference = result.query, result.method, result.query.reference
    return {
        "name": exhibit.name,
        "kind": type(result).__name__,
        "file": file,
        "question": exhibit.question,
        "query": query.digest,
        "digest": result.digest,
        "method": {"name": method.name, "version": method.version, "options": dict(method.options)},
        "target": vars(query.target),
        "seed": query.seed,
        "rows": len(query),
        "withheld": int(others(query, report.row_ids).sum()) if report.audience == "letter" else 0,
        "reference": None
        if reference is None
        else {"rows": len(reference), "seed": reference.seed, "digest": reference.digest},
        "whole": shown.digest == result.digest,
        "tolerance": tolerance(method),
    }


def schema_digest(spec: ModelSpec) -> str:
    """That of how rows and classes are read."""
    return digest(spec.modality, spec.shape, spec.features, spec.classes)


def tolerance(method: MethodId) -> float:
    """How far an answer by this method may be from the same one computed elsewhere, as a share of its scale."""
    return 0.0 if method.name in _EXACT else ROUNDING


def fits(told: Any, shape: Any = _SHAPE) -> bool:
    """Whether `told`, from JSON, has a manifest's shape: a type, one of several, or the shapes of what is in it."""
    if isinstance(shape, tuple):
        return any(fits(told, each) for each in shape)
    if isinstance(shape, list):
        return isinstance(told, list) and all(fits(each, shape[0]) for each in told)
    if isinstance(shape, dict):
        each_one = shape.get(...)
        keys = isinstance(told, dict) and (each_one is not None or told.keys() == shape.keys())
        return keys and all(fits(each, each_one or shape[key]) for key, each in told.items())
    return shape is object or type(told) is shape


def stamped(stamp: Stamp) -> Manifest:
    """A stamp as JSON has it."""
    return {**vars(stamp), "as_of": stamp.as_of.isoformat(), "log": stamp.log and list(stamp.log)}


def unstamped(told: Manifest) -> Stamp:
    """The stamp that `stamped` made JSON of. Raises ValueError where it is none."""
    log = told["log"]
    if log is not None and [type(each) for each in log] != [int, str]:
        raise ValueError("the head of the log is a number and a digest")
    return Stamp(**{**told, "as_of": date.fromisoformat(told["as_of"]), "log": log and tuple(log)})


@cache
def environment() -> Manifest:
    """What computes here: versions, system and processor, and the SHA-256 of the files that pin every version."""
    pins = b"".join((_ROOT / name).read_bytes() for name in ("constraints.txt", "requirements.txt"))
    return {
        "assay": tomllib.loads((_ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"],
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "libraries": {name: version(name) for name in _LIBRARIES},
        "lock": sha256(pins),
    }


def sha256(body: bytes) -> str:
    """The SHA-256 of a file, hexadecimal."""
    return hashlib.sha256(body).hexdigest()
