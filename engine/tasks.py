"""What a worker can find out about a file that nobody has opened yet.

A task takes the file's bytes, progress and its options; it gives JSON values and arrays by name. It raises
UserFacingError for a file that is not taken.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from core.errors import UserFacingError
from core.facts import Wanted, as_json
from core.nouns import ModelSpec
from data_files import extract_data, inspect_data
from engine.proposal import Reading
from models import encode_texts, found_capabilities, inspect_model, load_model

Progress = Callable[[float], None]
Finding = tuple[Mapping[str, Any], Mapping[str, np.ndarray]]


def as_bytes(name: str, texts: Sequence[str]) -> dict[str, np.ndarray]:
    """Many texts as two arrays: their UTF-8 bytes one after another, and where each ends."""
    encoded = [text.encode() for text in texts]
    ends = np.cumsum([len(each) for each in encoded], dtype=np.int64)
    return {name: np.frombuffer(b"".join(encoded), np.uint8), f"{name}.ends": ends}


def from_bytes(name: str, arrays: Mapping[str, np.ndarray]) -> tuple[str, ...]:
    """The texts that `as_bytes` made arrays of. Raises ValueError where they are none."""
    whole, ends = arrays[name].tobytes(), arrays[f"{name}.ends"].tolist()
    return tuple(whole[start:end].decode() for start, end in zip([0, *ends], ends, strict=False))


def _inspect_model(file: bytes, _progress: Progress) -> Finding:
    return as_json(inspect_model(file)), {}


def _inspect_data(file: bytes, _progress: Progress) -> Finding:
    return as_json(inspect_data(file)), {}


def _extract(file: bytes, _progress: Progress, format: str, dialect: Mapping[str, Any], wanted: Wanted) -> Finding:
    found = extract_data(file, format, dialect, wanted)
    arrays = {"rows": found.rows, "labels": found.labels, "held_out": found.held_out}
    return {}, arrays | as_bytes("row_ids", found.row_ids) | as_bytes("texts", found.texts)


def _encode(file: bytes, _progress: Progress, format: str, texts: Sequence[str]) -> Finding:
    return encode_texts(format, file, texts), {}


def _probe(
    file: bytes, progress: Progress, format: str, spec: ModelSpec, readings: Sequence[Reading], rows: np.ndarray
) -> Finding:
    """Under every reading the outputs for `rows` and what the model can do, or the sentence that refuses it."""
    said: dict[str, list[str]] = {}
    outputs: dict[str, np.ndarray] = {}
    for number, reading in enumerate(readings):
        try:
            wanted = replace(spec, output=reading.output, capabilities=())
            model = load_model(format, file, wanted, reading.settings)
            outputs[str(number)] = model.predict(rows)
            said[str(number)] = list(found_capabilities(model))
        except UserFacingError as error:
            said[str(number)] = [error.what, error.why, error.remedy]
        progress((number + 1) / len(readings))
    return said, outputs


TASKS: dict[str, Callable[..., Finding]] = {
    "inspect_model": _inspect_model,
    "inspect_data": _inspect_data,
    "extract": _extract,
    "encode": _encode,
    "probe": _probe,
}
