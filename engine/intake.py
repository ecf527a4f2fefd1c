"""Bringing a model and data: looked at in fresh workers, matched, tried on some rows, saved as a subject.

The page and `assay.py check` take the same steps: `look_at_model`, `look_at_data`, `proposal.propose`, `agree`,
`preflight.examine` and `save`, or `draft` where nothing is to be kept.
"""

import contextlib
import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, get_args

import numpy as np

from core.errors import UserFacingError
from core.facts import DataFacts, Extracted, ModelFacts, data_facts, model_facts
from core.nouns import Capability, Feature, ModelSpec, Subject
from core.scores import decide
from data_files import FORMATS as DATA_FORMATS
from engine import wire
from engine.limits import check_size, limits
from engine.oneshot import distrust, run_task
from engine.places import Memory
from engine.proposal import SETTINGS, Proposal, Reading
from engine.subject_files import About, Agreed, Tokens, check_free, keep_subject, subject_files, write_subject
from engine.subjects import MAX_CELLS, read_subject
from engine.tasks import from_bytes
from models import FORMATS as MODEL_FORMATS

TRIED = 2_000
SEED = 7
_CLEARLY = 0.1  # by how much the labels must favour one reading for it to be told

Progress = Callable[[float], None]
Cancelled = Callable[[], bool]


@dataclass(frozen=True)
class Brought:
    """Two files and what they say of themselves."""

    model: ModelFacts
    model_file: bytes
    data: DataFacts
    data_file: bytes


@dataclass(frozen=True)
class Tried:
    """The model's outputs (n, columns) for the rows at `positions` (n,) of the data, under the reading that was taken.

    `told_by` says how that reading was told from others.
    """

    positions: np.ndarray
    outputs: np.ndarray
    told_by: str


def look_at_model(file: bytes, progress: Progress | None = None, cancelled: Cancelled | None = None) -> ModelFacts:
    """What a model file is, found out in a worker of its own."""
    check_size("model", len(file))
    found, _ = run_task("inspect_model", {}, file, limits().seconds, progress, cancelled)
    with _trusted():
        facts = model_facts(found)
        if facts.format not in MODEL_FORMATS:
            raise ValueError(f"{facts.format!r} is no model format")
        return facts


def look_at_data(file: bytes, progress: Progress | None = None, cancelled: Cancelled | None = None) -> DataFacts:
    """What a data file is, found out in a worker of its own."""
    check_size("data", len(file))
    found, _ = run_task("inspect_data", {}, file, limits().seconds, progress, cancelled)
    with _trusted():
        facts = data_facts(found)
        if facts.format not in DATA_FORMATS:
            raise ValueError(f"{facts.format!r} is no data format")
        return replace(facts, digest=hashlib.sha256(file).hexdigest())


def agree(
    brought: Brought, proposal: Proposal, progress: Progress | None = None, cancelled: Cancelled | None = None
) -> tuple[Agreed, Tried]:
    """The rows that a proposal asks for, and what the model says about some of them under its likeliest reading."""
    extracted = _extract(brought, proposal, progress, cancelled)
    tokens = None
    pixels = (brought.data.lower, brought.data.upper)
    if proposal.modality == "text":
        tokens, extracted = _encode(brought, extracted, progress, cancelled)
        if tokens.cut:
            cut = f"{tokens.cut:,} texts are longer than is read; they were cut, and nothing after the cut counts."
            proposal = replace(proposal, lasting=(*proposal.lasting, cut))
    if proposal.modality == "image":
        pixels = (0.0, 1.0) if pixels[1] <= 1 else (0.0, 255.0) if pixels[1] <= 255 else pixels
    agreed = Agreed(proposal, proposal.readings[0], extracted, pixels, tokens)
    return _try(brought, agreed, progress, cancelled)


def spec_of(agreed: Agreed) -> ModelSpec:
    """What the model is as a subject says it, its digest left open."""
    proposal = agreed.proposal
    features = proposal.features
    shape = agreed.extracted.rows.shape[1:]
    if proposal.modality == "image":
        low, high = agreed.pixels
        features = (Feature("pixel", "pixel", lower=low, upper=high),) * int(np.prod(shape))
    elif agreed.tokens is not None:
        features = (Feature("token", "token"),) * int(np.prod(shape))
    output = agreed.reading.output
    return ModelSpec(proposal.modality, shape, features, proposal.classes, output, "", proposal.capabilities)


def draft(brought: Brought, agreed: Agreed, about: About) -> Subject:
    """The subject as it would be saved; nothing of it leaves memory."""
    return read_subject(Memory(about.name, subject_files(about, brought.model, brought.model_file, agreed)))


def save(
    brought: Brought,
    agreed: Agreed,
    about: About,
    folder: Path | None = None,
    owner: str = "",
    expires: float | None = None,
) -> str:
    """Saves the subject into the vault as `owner`'s, or in the clear into `folder`; what `load_subject` knows it by.

    `expires`: when the vault lets go of it, in seconds since 1970; None: it stays.
    It is read again before it is there for anybody. Raises UserFacingError for a name that is taken.
    """
    files = subject_files(about, brought.model, brought.model_file, agreed)
    if folder is not None:
        write_subject(folder, files)
        return str(folder.absolute())
    check_free(about.name)
    read_subject(Memory(about.name, files))
    keep_subject(about.name, files, owner, expires)
    return about.name


def _extract(brought: Brought, proposal: Proposal, progress: Progress | None, cancelled: Cancelled | None) -> Extracted:
    data = brought.data
    options = {"format": data.format, "dialect": dict(data.dialect), "wanted": proposal.wanted}
    _, arrays = run_task("extract", options, brought.data_file, limits().seconds, progress, cancelled)
    with _trusted():
        taken = Extracted(
            arrays["rows"],
            from_bytes("row_ids", arrays),
            arrays["labels"],
            arrays["held_out"],
            from_bytes("texts", arrays),
        )
        _check_extracted(taken, proposal, data.shape)
        return taken


def _check_extracted(taken: Extracted, proposal: Proposal, picture: tuple[int, ...]) -> None:
    """Raises ValueError for rows of another form than was asked for."""
    count = len(taken.texts) if proposal.modality == "text" else len(taken.rows)
    wanted = (count, *(picture or (len(proposal.features),)))
    labels = taken.labels
    known = {"i": 0 <= labels.max(initial=-1) + 1 <= len(proposal.classes) and labels.min(initial=-1) >= -1, "f": True}
    if (
        (proposal.modality != "text" and (taken.rows.shape != wanted or taken.rows.dtype != np.float64))
        or not count == len(taken.row_ids) == len(labels) == len(taken.held_out)
        or (labels.ndim, taken.held_out.ndim, taken.held_out.dtype.kind) != (1, 1, "b")
        or labels.dtype.kind != ("i" if proposal.classes else "f")
        or not known[labels.dtype.kind]
    ):
        raise ValueError("rows of another form")


def _encode(
    brought: Brought, extracted: Extracted, progress: Progress | None, cancelled: Cancelled | None
) -> tuple[Tokens, Extracted]:
    """The texts as tokens, and as rows padded to the longest."""
    options = {"format": brought.model.format, "texts": extracted.texts}
    found, _ = run_task("encode", options, brought.model_file, limits().seconds, progress, cancelled)
    with _trusted():
        ids = tuple(tuple(map(int, each)) for each in found["ids"])
        pieces = {int(token): str(piece) for token, piece in found["pieces"].items()}
        special = tuple(map(int, found["special"]))
        tokens = Tokens(ids, pieces, int(found["mask"]), int(found["pad"]), special, int(found["cut"]))
        if len(ids) != len(extracted.texts) or not {token for each in ids for token in each} <= set(pieces):
            raise ValueError("tokens of other texts")
        longest = max(map(len, ids), default=1)
        if len(ids) * longest > MAX_CELLS:
            raise ValueError("tokens beyond all bounds")
    rows = np.full((len(ids), longest), float(tokens.pad))
    for row, each in zip(rows, ids, strict=True):
        row[: len(each)] = each
    return tokens, replace(extracted, rows=rows)


@dataclass(frozen=True)
class _Attempt:
    """One reading, the outputs (n, columns) under it, and what the model can do."""

    reading: Reading
    outputs: np.ndarray
    capabilities: tuple[Capability, ...]


def _try(
    brought: Brought, agreed: Agreed, progress: Progress | None, cancelled: Cancelled | None
) -> tuple[Agreed, Tried]:
    """Asks the model about some rows under every reading, and takes the one that the labels tell."""
    extracted, readings = agreed.extracted, agreed.proposal.readings
    count = min(TRIED, len(extracted.rows))
    positions = np.sort(np.random.default_rng(SEED).permutation(len(extracted.rows))[:count])
    options: Mapping[str, Any] = {
        "format": brought.model.format,
        "spec": spec_of(agreed),
        "readings": readings,
        "rows": extracted.rows[positions],
    }
    said, outputs = run_task("probe", options, brought.model_file, limits().seconds, progress, cancelled)
    with _trusted():
        able = [
            _Attempt(reading, outputs[str(number)], _capabilities(said[str(number)]))
            for number, reading in enumerate(readings)
            if str(number) in outputs
        ]
        if not able:
            raise wire.told(said["0"])
        for each in able:
            columns = replace(spec_of(agreed), output=each.reading.output).columns
            if each.outputs.shape != (count, columns) or each.outputs.dtype.kind != "f":
                raise ValueError(f"outputs of shape {each.outputs.shape}")
    best, told = _told(able, agreed, extracted.labels[positions])
    _check_finite(best.outputs)
    proposal = replace(agreed.proposal, capabilities=best.capabilities)
    tried = Tried(positions, best.outputs, told or brought.model.told_by)
    return replace(agreed, proposal=proposal, reading=best.reading), tried


def _capabilities(names: Sequence[str]) -> tuple[Capability, ...]:
    if not set(names) <= set(get_args(Capability)):
        raise ValueError(f"{names} are no capabilities")
    return tuple(names)


@contextlib.contextmanager
def _trusted() -> Iterator[None]:
    """What a worker sends is not trusted: what makes no sense ends the intake in words."""
    try:
        yield
    except (KeyError, TypeError, ValueError, AttributeError, IndexError, OverflowError) as error:
        raise distrust() from error


def _check_finite(outputs: np.ndarray) -> None:
    wrong = int((~np.isfinite(outputs).all(axis=1)).sum())
    if wrong:
        raise UserFacingError(
            "The model gives no usable answer",
            f"Its answer to {wrong:,} of {len(outputs):,} rows is not a finite number",
            "Fill in missing values as in training, and bring the data that the model was made for",
        )


def _told(able: Sequence[_Attempt], agreed: Agreed, labels: np.ndarray) -> tuple[_Attempt, str]:
    """The attempt that the labels favour. Raises UserFacingError where they favour none and a person must say."""
    if len(able) == 1:
        return able[0], ""
    scores = [_score(each, agreed, labels) for each in able]
    order = np.argsort(scores)[::-1]
    best, second = able[order[0]], able[order[1]]
    against = f"{scores[order[0]]:.2f} right against {scores[order[1]]:.2f}"
    if not _clearly(best, second, agreed, labels):
        settings = best.reading.settings
        open_ones = sorted(name for name in settings if settings[name] != second.reading.settings.get(name))
        values = list(dict.fromkeys(str(each.reading.settings[name]) for name in open_ones for each in able))
        raise UserFacingError(
            f"How the model is read cannot be told: {' and '.join(SETTINGS.get(each, each) for each in open_ones)}",
            f"Its file does not say it, and the labels do not either ({against})",
            f"Choose {' or '.join(values)}: on the page under How the model is read, or as {' and '.join(open_ones)} "
            "under [model.settings] in a subject.toml",
        )
    said = ", ".join(f"{name} = {value}" for name, value in best.reading.settings.items())
    return best, f"read with {said}, told by the labels: {against}"


def _clearly(best: _Attempt, second: _Attempt, agreed: Agreed, labels: np.ndarray) -> bool:
    """Whether the labels tell two readings apart: by a tenth of the rows, and by more than chance (McNemar 1947)."""
    known = labels >= 0
    first, other = ((_decided(each, agreed) == labels)[known] for each in (best, second))
    gained, lost = int((first & ~other).sum()), int((other & ~first).sum())
    return gained - lost >= max(_CLEARLY * known.sum(), 2 * np.sqrt(gained + lost)) > 0


def _decided(attempt: _Attempt, agreed: Agreed) -> np.ndarray:
    return decide(attempt.outputs, replace(spec_of(agreed), output=attempt.reading.output), None)


def _score(attempt: _Attempt, agreed: Agreed, labels: np.ndarray) -> float:
    """The share of labelled rows that are decided rightly; 0 where none is labelled."""
    known = labels >= 0
    return float(np.mean((_decided(attempt, agreed) == labels)[known])) if known.any() else 0.0


def suggested_name(file_name: str) -> str:
    """A subject's name from a file's, as good as it goes."""
    stem = Path(file_name).stem.lower()
    name = "".join(char if char.isascii() and char.isalnum() else "-" for char in stem).strip("-")[:40]
    return name or "subject"
