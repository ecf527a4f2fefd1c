"""Answers to take away: JSON, NumPy's zip, or a zip of them all with a manifest.

The keys are those of docs/command-line.md. Where columns are masked their values are null or NaN and their names stand
under `masked`; the digests are those of the whole answers, which the blank ones no longer have.
"""

import io
import json
import math
import zipfile
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from access.masks import hidden, masked_result
from core.nouns import MethodId, ModelFile, Query, Reference, Subject
from core.results import Attacked, Attribution, Prediction, Result
from storage.evidence import question_key

Contract = dict[str, Any]
_EPOCH = (1980, 1, 1, 0, 0, 0)


def contract(subject: Subject, model: ModelFile, result: Result) -> Contract:
    """A result as plain values and arrays by name; an array has one entry a row along its first axis."""
    shown, query, spec = masked_result(result, model.spec), result.query, model.spec
    told: Contract = {
        "subject": subject.name,
        "model": model.name,
        "seed": query.seed,
        "row_ids": np.array(query.row_ids),
        "features": [feature.name for feature in spec.features] if spec.modality == "table" else [],
        "inputs": shown.query.rows,
        "method": _method(result.method),
        **_OF[type(result)](model, shown, query),
        "facts": {} if isinstance(result, Prediction) else dict(result.facts),
        "question": question_key(query, result.method),
        "digest": result.digest,
    }
    names = [spec.features[place].name for place in hidden(spec)]
    return told | ({"masked": names} if names else {})


def as_json(told: Contract) -> bytes:
    """One line for each key, missing numbers as null."""
    lines = [f"{json.dumps(key)}: {json.dumps(plain(value), allow_nan=False)}" for key, value in told.items()]
    return ("{\n " + ",\n ".join(lines) + "\n}\n").encode()


def as_npz(told: Contract) -> bytes:
    """The arrays under their names, everything else in `meta`, a string of JSON."""
    arrays = {key: value for key, value in told.items() if isinstance(value, np.ndarray)}
    rest = {key: plain(value) for key, value in told.items() if key not in arrays}
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **arrays, meta=np.array(json.dumps(rest, allow_nan=False)))
    return buffer.getvalue()


def bundle(manifest: Mapping[str, Any], answers: Iterable[Contract]) -> bytes:
    """A zip: `manifest.json`, and one file an answer under the first digits of its question. Always the same bytes."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr(zipfile.ZipInfo("manifest.json", _EPOCH), as_json(dict(manifest)))
        for told in answers:
            archive.writestr(zipfile.ZipInfo(f"answers/{told['question'][:16]}.npz", _EPOCH), as_npz(told))
    return buffer.getvalue()


def _predicted(_model: ModelFile, found: Prediction, _asked: Query) -> Contract:
    return {"outputs": found.outputs}


def _explained(model: ModelFile, found: Attribution, asked: Query) -> Contract:
    classes, target = model.spec.classes, asked.target
    return {
        "target": {"class": classes[target.output] if classes else None, "scale": target.scale},
        "reference": None if asked.reference is None else _reference(asked.reference),
        "values": found.values,
        "base": found.base,
        "output": found.output,
        "residual": found.residual,
        "error": found.error,
        "tolerance": found.tolerance,
        "complete": found.complete,
    }


def _attacked(model: ModelFile, found: Attacked, _asked: Query) -> Contract:
    classes = np.array(model.spec.classes)
    return {
        "norm": found.norm,
        "size": found.size,
        "perturbed": found.perturbed,
        "clean_class": classes[found.clean_class],
        "attacked_class": classes[found.attacked_class],
        "success": found.success,
        "distance": found.distance,
        "model_calls": found.model_calls,
        "noise_success": found.noise_success,
    }


_OF: dict[type, Any] = {Prediction: _predicted, Attribution: _explained, Attacked: _attacked}


def _reference(whole: Reference) -> Contract:
    return {"rows": len(whole), "seed": whole.seed, "digest": whole.digest, "row_ids": list(whole.row_ids)}


def _method(method: MethodId) -> Contract:
    return {"name": method.name, "version": method.version, "options": dict(method.options)}


def plain(value: Any) -> Any:
    """`value` as JSON has it."""
    if isinstance(value, np.ndarray | np.generic):
        return plain(value.tolist())
    if isinstance(value, Mapping):
        return {key: plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
