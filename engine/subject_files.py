"""Makes a subject's files, in the layout of `sample_models/`, and puts them into the vault or into a folder.

`engine.subjects` reads them again before anybody sees them, and they appear whole or not at all: in the vault in one
transaction; a folder is made beside its place and moved there.
"""

import hashlib
import secrets
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from core.errors import UserFacingError
from core.facts import Extracted, ModelFacts
from core.nouns import Feature
from engine.places import FROZEN, NAME, SAMPLE_NAMES, TOML, Folder
from engine.proposal import Proposal, Reading
from engine.subjects import CARD, read_subject
from storage.stores import stores
from storage.vault import Item, Taken

if TYPE_CHECKING:
    import pyarrow

MODEL, DATA = "model.bin", "data.parquet"
ID, LABEL, HELD_OUT = "row_id", "true_answer", "held_out"


@dataclass(frozen=True)
class Tokens:
    """Texts as a model reads them: one tuple of token ids a text, and the piece of text each id stands for.

    `mask`, `pad` and `special` are the ids of those roles; `cut` counts the texts that were too long.
    """

    ids: tuple[tuple[int, ...], ...]
    pieces: Mapping[int, str]
    mask: int
    pad: int
    special: tuple[int, ...]
    cut: int = 0


@dataclass(frozen=True)
class About:
    """What a person says of a subject, beyond what the files hold."""

    name: str
    title: str
    row_noun: str = "row"
    summary: str = ""
    source: str = ""
    limits: str = ""
    cutoff: float | None = None
    verdicts: tuple[str, ...] = ()
    example: str = ""
    outcome: str = ""
    unit: str = ""
    licence: str = ""
    decimals: int | None = None
    reference_size: int | None = None
    reference_seed: int | None = None
    card: str = ""


@dataclass(frozen=True)
class Agreed:
    """What a subject is made of: the proposal, the one reading that was taken, and the rows.

    `pixels` are the least and largest value that a picture's pixel may have; `tokens` are there for texts.
    """

    proposal: Proposal
    reading: Reading
    extracted: Extracted
    pixels: tuple[float, float] = (0.0, 255.0)
    tokens: Tokens | None = None


class NameTaken(UserFacingError):
    """A subject of that name is there already."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"There is a subject called {name} already",
            "A subject that was explained is not overwritten",
            "Choose another name, or remove the other one first",
        )


def check_name(name: str) -> None:
    """Refuses a name that cannot be a folder and a part of an address."""
    if not NAME.fullmatch(name):
        raise UserFacingError(
            f"A subject cannot be called {name!r}",
            "Its name is a folder's and stands in addresses",
            "Use small letters, digits and hyphens, 48 at most, starting with a letter or digit",
        )


def subject_files(about: About, model: ModelFacts, model_file: bytes, agreed: Agreed) -> dict[str, bytes]:
    """The files of a subject by name: subject.toml, its data, its model and its card."""
    proposal, reading = agreed.proposal, agreed.reading
    entry = {
        "name": model.format.replace("_", "-"),
        "title": model.title,
        "format": model.format,
        "file": MODEL,
        "output": reading.output,
        "digest": hashlib.sha256(model_file).hexdigest(),
        "capabilities": list(proposal.capabilities),
        "settings": dict(reading.settings),
    }
    files = {TOML: _toml(about, agreed, entry).encode(), MODEL: model_file, DATA: _data_file(agreed)}
    return files | ({CARD: about.card.encode()} if about.card else {})


def keep_subject(name: str, files: Mapping[str, bytes], owner: str = "", expires: float | None = None) -> None:
    """Puts a subject's files into the vault under `name`, until a time in seconds since 1970 or for good.

    Raises UserFacingError where that name is taken.
    """
    items = [
        Item("subject", f"{name}/{file}", body, team=name, owner=owner, expires=expires) for file, body in files.items()
    ]
    try:
        stores().vault.put_all(items, create=True)
    except Taken as error:
        raise NameTaken(name) from error


def check_free(name: str) -> None:
    """Refuses a name that a subject cannot be saved under, because a sample or a frozen copy goes by it."""
    check_name(name)
    if name in SAMPLE_NAMES:
        raise UserFacingError(
            f"There is a sample called {name} already", "Subjects go by their names", "Choose another name"
        )
    if FROZEN.fullmatch(name):
        raise UserFacingError(
            f"A subject cannot be called {name!r}", "Frozen copies go by such names", "Choose another name"
        )


def write_subject(folder: Path, files: Mapping[str, bytes]) -> None:
    """Makes `folder` of these files. Raises UserFacingError where it is there already or cannot be written."""
    part = folder.with_name(f".new-{secrets.token_hex(8)}")
    try:
        part.mkdir(parents=True, mode=0o700)
        for name, body in files.items():
            (part / name).write_bytes(body)
        read_subject(Folder(part))  # what cannot be read again is not put in its place
        move(part, folder)
    except OSError as error:
        raise UserFacingError(
            "The subject could not be saved",
            f"The folder {folder.name} cannot be written ({error.strerror})",
            "Make room or choose another place",
        ) from error
    finally:
        shutil.rmtree(part, ignore_errors=True)


def move(source: Path, folder: Path) -> None:
    """Puts a finished folder in its place. Raises UserFacingError where something is there already."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    try:
        folder.mkdir(mode=0o700)  # the name is taken by one only, whoever asks at the same time
    except FileExistsError as error:
        raise NameTaken(folder.name) from error
    try:
        source.replace(folder)
    except OSError:
        folder.rmdir()
        raise


def _toml(about: About, agreed: Agreed, model: dict[str, Any]) -> str:
    """subject.toml in the order in which a person reads it."""
    from tomli_w import dumps

    features = [f"[[feature]]\n{dumps(_feature(each))}" for each in agreed.proposal.features]
    reference = {"size": about.reference_size, "seed": about.reference_seed}
    reference = {name: value for name, value in reference.items() if value is not None}
    head = dumps(
        {"subject": _about(about, agreed), "data": _data(agreed)}
        | ({"reference": reference} if reference else {})
        | _shape(agreed)
    )
    return "\n".join([head, *features, dumps({"model": [model]})])


def _about(about: About, agreed: Agreed) -> dict[str, Any]:
    elsewhere = ("card", "reference_size", "reference_seed")
    own = {name: value for name, value in vars(about).items() if name not in elsewhere and value not in ("", None, ())}
    proposal = agreed.proposal
    own |= {"modality": proposal.modality, "example": about.example or agreed.extracted.row_ids[0]}
    if proposal.classes:
        own["classes"] = proposal.classes
    return {name: list(value) if isinstance(value, tuple) else value for name, value in own.items()}


def _data(agreed: Agreed) -> dict[str, str]:
    proposal = agreed.proposal
    names = {"file": DATA, "id": _id(proposal)}
    if proposal.wanted.held_out:
        names["held_out"] = _free(HELD_OUT, proposal)
    if _labelled(agreed.extracted):
        names["label"] = _label(proposal)
    return names


def _id(proposal: Proposal) -> str:
    return proposal.wanted.id or _free(ID, proposal)


def _label(proposal: Proposal) -> str:
    name = proposal.wanted.label or LABEL
    return name if name not in {each.name for each in proposal.features} else _free(LABEL, proposal)


def _free(name: str, proposal: Proposal) -> str:
    """`name`, longer where a feature has it."""
    taken = {each.name for each in proposal.features} | {proposal.wanted.id, proposal.wanted.label}
    while name in taken:
        name += "_"
    return name


def _labelled(extracted: Extracted) -> bool:
    known = extracted.labels >= 0 if extracted.labels.dtype.kind == "i" else ~np.isnan(extracted.labels)
    return bool(known.any())


def _shape(agreed: Agreed) -> dict[str, Any]:
    """The table that says what one picture or text is."""
    proposal, tokens = agreed.proposal, agreed.tokens
    if proposal.modality == "image":
        low, high = agreed.pixels
        image = {"shape": list(proposal.shape), "lower": low, "upper": high, "column": "pixels"}
        return {"image": image | ({"dark": "lower"} if proposal.shape[2] == 1 else {})}
    if tokens is not None:
        return {"text": {"mask": tokens.mask, "pad": tokens.pad, "special": list(tokens.special)}}
    return {}


def _feature(feature: Feature) -> dict[str, Any]:
    """A feature's table: its name and kind, the range of a number, and what is not as usual."""
    coded = feature.kind in ("category", "boolean")
    usual = vars(Feature(feature.name))
    always = {"name", "kind"} | (set() if coded else {"lower", "upper", "decimals"})
    never = {"lower", "upper"} if coded else set()
    own = {name: value for name, value in vars(feature).items() if name in always or value != usual[name]}
    return {
        name: list(value) if isinstance(value, tuple) else value for name, value in own.items() if name not in never
    }


def _data_file(agreed: Agreed) -> bytes:
    """The rows as Parquet, a column each for what a person knows by name."""
    import pyarrow
    from pyarrow import parquet

    proposal, extracted, tokens = agreed.proposal, agreed.extracted, agreed.tokens
    columns: dict[str, Any] = {_id(proposal): pyarrow.array(extracted.row_ids, pyarrow.string())}
    if proposal.modality == "image":
        flat = extracted.rows.reshape(len(extracted.rows), -1)
        narrow = flat.astype(np.uint8) if _are_bytes(flat) else flat.astype(np.float32)
        columns["pixels"] = pyarrow.FixedSizeListArray.from_arrays(pyarrow.array(narrow.ravel()), narrow.shape[1])
    elif tokens is not None:
        columns["text"] = pyarrow.array(extracted.texts, pyarrow.string())
        columns["tokens"] = pyarrow.array([list(each) for each in tokens.ids], pyarrow.list_(pyarrow.int32()))
        pieces = [[tokens.pieces[token] for token in each] for each in tokens.ids]
        columns["pieces"] = pyarrow.array(pieces, pyarrow.list_(pyarrow.string()))
    for feature, values in zip(proposal.features, extracted.rows.T if proposal.features else (), strict=True):
        columns[feature.name] = _values(values, feature)
    if _labelled(extracted):
        columns[_label(proposal)] = _answers(extracted.labels, proposal.classes)
    if proposal.wanted.held_out:
        columns[_free(HELD_OUT, proposal)] = pyarrow.array(extracted.held_out)
    body = pyarrow.BufferOutputStream()
    parquet.write_table(pyarrow.table(columns), body)
    return body.getvalue().to_pybytes()


def _are_bytes(flat: np.ndarray) -> bool:
    return bool(flat.min(initial=0) >= 0 and flat.max(initial=0) <= 255 and not (flat % 1).any())


def _values(values: np.ndarray, feature: Feature) -> "pyarrow.Array":
    """One feature's column (n,) as a person would write it: names for categories, whole numbers without a point."""
    import pyarrow

    absent = np.isnan(values)
    if feature.kind == "category":
        return _named(np.where(absent, -1, values).astype(np.int64), feature.categories)
    if feature.kind in ("boolean", "integer"):
        whole = np.where(absent, 0, values).astype(bool if feature.kind == "boolean" else np.int64)
        return pyarrow.array(whole, mask=absent)
    return pyarrow.array(values, mask=absent)


def _named(codes: np.ndarray, names: Sequence[str]) -> "pyarrow.Array":
    """Codes (n,) as their names, nothing where a code is below 0."""
    import pyarrow

    known = pyarrow.array(list(names), pyarrow.string())
    return known.take(pyarrow.array(codes, mask=codes < 0))


def _answers(labels: np.ndarray, classes: Sequence[str]) -> "pyarrow.Array":
    import pyarrow

    return _named(labels, classes) if classes else pyarrow.array(labels, mask=np.isnan(labels))
