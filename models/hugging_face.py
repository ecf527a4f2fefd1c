"""Hugging Face text classifiers: a zip of the folder that `save_pretrained` writes for a model and its tokenizer.

Three files are read: `config.json`, `model.safetensors`, `tokenizer.json`, and `tokenizer_config.json` where it is
there. No file is asked to say which code runs: the network is one of transformers' own, from a list kept here.
Rows are token ids (n, length), shorter texts filled up with the pad token.
"""

import io
import json
import os
import zipfile
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from core.errors import UserFacingError
from core.facts import ModelFacts
from core.models import Model
from core.nouns import ModelSpec
from models._peek import zip_entries
from models.base import broken

TITLE = "Hugging Face"
CAPABILITIES = ()
LONGEST = 256
"""Tokens of a text that are read: more would make every explanation slow."""

_ARCHITECTURES = {
    "albert": 0,
    "bert": 0,
    "camembert": 2,
    "deberta": 0,
    "deberta-v2": 0,
    "distilbert": 0,
    "electra": 0,
    "mpnet": 2,
    "roberta": 2,
    "xlm-roberta": 2,
}
"""The networks that are taken, and how many of their positions they keep for padding."""

_MIB = 1 << 20
_SIZES = {
    "config.json": _MIB,
    "tokenizer_config.json": _MIB,
    "tokenizer.json": 64 * _MIB,
    "model.safetensors": 4096 * _MIB,
}
_OPTIONAL = {"tokenizer_config.json"}
_MOST_ENTRIES = 1000
_MOST_PACKED = 200  # times that a file may be larger than it is packed
_MOST_LAYERS = 256
_MOST_NUMBER = 10_000_000
_LONGEST_TEXT = 100_000  # characters of a text that are looked at
_BATCH = 64
_MASKS, _PADS, _UNKNOWNS = ("[MASK]", "<mask>"), ("[PAD]", "<pad>"), ("[UNK]", "<unk>")
_DAMAGED = (zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError, NotImplementedError, ValueError)
_SAVE = """from transformers import AutoModelForSequenceClassification, AutoTokenizer
AutoModelForSequenceClassification.from_pretrained("model").save_pretrained("safe", safe_serialization=True)
AutoTokenizer.from_pretrained("model").save_pretrained("safe")
import shutil; shutil.make_archive("safe", "zip", "safe")"""


class HuggingFaceModel(Model):
    """A text classifier; equal texts of one call are sent through the network once."""

    def __init__(self, network: Any, spec: ModelSpec, pad: int, tokens: int, device: str) -> None:
        self.spec = spec
        self._network = network
        self._pad = pad
        self._tokens = tokens
        self._device = device

    def predict(self, rows: np.ndarray) -> np.ndarray:
        ids = rows.astype(np.int64)
        if ids.size and not (ids.min() >= 0 and ids.max() < self._tokens):
            raise broken(TITLE, f"A text holds a token that is none of its {self._tokens:,}", "Bring its own tokenizer")
        different, place = np.unique(ids, axis=0, return_inverse=True)
        lengths = np.where(different != self._pad, np.arange(1, ids.shape[1] + 1), 1).max(axis=1, initial=1)
        order = np.argsort(lengths, kind="stable")
        outputs = np.empty((len(different), self.spec.columns))
        for start in range(0, len(different), _BATCH):
            chosen = order[start : start + _BATCH]
            outputs[chosen] = self._logits(different[chosen, : lengths[chosen[-1]]])
        return outputs[place.ravel()]

    def _logits(self, ids: np.ndarray) -> np.ndarray:
        import torch

        batch = torch.tensor(ids, device=self._device)
        kept = batch != self._pad
        kept[:, 0] = True  # a text of nothing but padding still needs something to look at
        with torch.no_grad():
            return self._network(input_ids=batch, attention_mask=kept.long()).logits.double().cpu().numpy()


def recognises(data: bytes) -> bool:
    """Whether `data` is a zip with a config.json and safetensors in it."""
    names = {entry.name.rsplit("/", 1)[-1] for entry in zip_entries(data)}
    return "config.json" in names and any(".safetensors" in name for name in names)


def inspect(data: bytes) -> ModelFacts:
    """What the folder says of itself. Raises UserFacingError for one that is not taken."""
    folder = _Folder(data)
    return ModelFacts(
        format="hugging_face",
        title=f"{TITLE} text classifier ({folder.architecture})",
        modality="text",
        shape=(0,),
        columns=len(folder.classes),
        outputs=("logit",),
        told_by="such classifiers give one number a class before softmax",
        classes=folder.classes,
        notes=folder.notes,
    )


def load(data: bytes, spec: ModelSpec, settings: Mapping[str, Any]) -> HuggingFaceModel:
    """The classifier in `data`; `settings` takes no keys. Raises UserFacingError where it and `spec` do not agree.

    Memory is taken for the weights only when their shapes are those of the network that the config describes.
    """
    import torch

    if settings:
        raise broken(TITLE, f"It takes no settings and was given {sorted(settings)[0]!r}", "Leave [model.settings] out")
    folder = _Folder(data)
    if spec.output != "logit" or spec.columns != len(folder.classes):
        raise broken(
            TITLE,
            f"It gives {len(folder.classes)} logits and the subject says {spec.columns} columns of {spec.output}",
            "Name its classes, in their order, and the output logit",
        )
    if spec.vocabulary is not None and spec.vocabulary.pad != folder.pad:
        raise broken(TITLE, f"It pads with {folder.pad}, not {spec.vocabulary.pad}", "Correct pad under [text]")
    if spec.shape[0] > folder.positions:
        raise broken(TITLE, f"It reads {folder.positions} tokens at most", "Shorten the texts")
    device = "cuda" if torch.cuda.is_available() else "cpu"
    network = _network(folder).to(device)
    return HuggingFaceModel(network, spec, folder.pad, int(folder.config["vocab_size"]), device)


def encode(data: bytes, texts: Sequence[str]) -> dict[str, Any]:
    """`texts` as token ids, cut after the longest that is read, as plain JSON values.

    `ids` holds a list a text; `pieces` what is printed for each id that occurs, by the id as text, with a space
    before what starts a word; `mask`, `pad` and `special` the tokens of those roles; `cut` how many texts were cut.
    """
    folder = _Folder(data)
    tokenizer = folder.tokenizer
    shortened = [text[:_LONGEST_TEXT] for text in texts]
    tokenizer.no_padding()
    tokenizer.enable_truncation(folder.longest)
    found = [tokenizer.encode(text) for text in shortened]
    ids = [each.ids or [folder.pad] for each in found]
    occurring = {token for each in ids for token in each} | {folder.mask, folder.pad, *folder.special}
    return {
        "ids": ids,
        "pieces": {str(token): _piece(tokenizer, token) for token in sorted(occurring)},
        "mask": folder.mask,
        "pad": folder.pad,
        "special": list(folder.special),
        "cut": sum(bool(each.overflowing) for each in found),
    }


@dataclass(frozen=True)
class _Folder:
    """The files of a zip, checked; what they say."""

    data: bytes

    def __post_init__(self) -> None:
        _check_config(self.config)
        _check_classes(self.classes, self.config)
        if self.longest < 3:
            raise broken(TITLE, "It reads fewer than three tokens")

    @cached_property
    def files(self) -> dict[str, bytes]:
        return _files(self.data)

    @cached_property
    def config(self) -> dict[str, Any]:
        return _object(self.files["config.json"], "config.json")

    @property
    def architecture(self) -> str:
        return str(self.config.get("model_type"))

    @cached_property
    def classes(self) -> tuple[str, ...]:
        """The classes in the order of the logits; two by number where the config names none, as transformers does."""
        named = self.config.get("id2label")
        if not isinstance(named, dict):
            count = self.config.get("num_labels", 2)
            return tuple(f"LABEL_{place}" for place in range(count if type(count) is int else 0))
        try:
            order = sorted(named, key=int)
        except ValueError as error:
            raise broken(TITLE, "Its config numbers its classes by something else than numbers") from error
        if [int(place) for place in order] != list(range(len(order))):
            raise broken(TITLE, "Its config does not number its classes from 0")
        return tuple(str(named[place]) for place in order)

    @property
    def positions(self) -> int:
        """How many tokens the network has places for."""
        return int(self.config.get("max_position_embeddings", 512)) - _ARCHITECTURES[self.architecture]

    @property
    def longest(self) -> int:
        """How many tokens of a text are read."""
        said = self._tokenizer_config.get("model_max_length", LONGEST)
        own = int(said) if isinstance(said, int | float) and 0 < said < _MOST_NUMBER else LONGEST
        return min(LONGEST, self.positions, own)

    @cached_property
    def tokenizer(self) -> Any:
        os.environ["TOKENIZERS_PARALLELISM"] = "false"  # a fenced worker has no threads to spare
        import tokenizers

        try:
            return tokenizers.Tokenizer.from_str(self.files["tokenizer.json"].decode())
        except Exception as error:  # the library raises bare Exception
            raise broken(TITLE, "Its tokenizer.json cannot be read", "Save the tokenizer again") from error

    @property
    def mask(self) -> int:
        """The token that hides a word: the mask, else the one for what is unknown."""
        found = self._role("mask_token", _MASKS)
        found = self._role("unk_token", _UNKNOWNS) if found is None else found
        if found is None:
            raise broken(
                TITLE, "Its tokenizer has no token that hides a word", "Use a tokenizer with a mask or an unknown token"
            )
        return found

    @property
    def pad(self) -> int:
        """The token that fills a row up."""
        found = self.config.get("pad_token_id")
        found = self._role("pad_token", _PADS) if found is None else found
        if type(found) is not int or not 0 <= found < int(self.config["vocab_size"]):
            raise broken(TITLE, "It has no token that fills a row up", "Set pad_token_id in its config")
        return found

    @cached_property
    def special(self) -> tuple[int, ...]:
        """The tokens that frame a text, the pad token among them."""
        added = self.tokenizer.get_added_tokens_decoder()
        marked = {token for token, about in added.items() if about.special}
        outside = marked - {self.mask, self._role("unk_token", _UNKNOWNS)}
        return tuple(sorted(outside | {self.pad}))

    @property
    def notes(self) -> tuple[str, ...]:
        said = [f"Texts are read up to {self.longest} tokens; what comes after is cut off."]
        if self._role("mask_token", _MASKS) is None:
            said.append("Its tokenizer has no mask: a hidden word is read as an unknown one.")
        return tuple(said)

    @cached_property
    def _tokenizer_config(self) -> dict[str, Any]:
        body = self.files.get("tokenizer_config.json")
        return _object(body, "tokenizer_config.json") if body else {}

    def _role(self, name: str, usual: Iterable[str]) -> int | None:
        """The id of the token of that role: as the tokenizer's config names it, else by a usual name."""
        said = self._tokenizer_config.get(name)
        said = said.get("content") if isinstance(said, dict) else said
        names = [said] if isinstance(said, str) else list(usual)
        found = (self.tokenizer.token_to_id(each) for each in names)
        return next((token for token in found if token is not None), None)


# --- the zip ---------------------------------------------------------------------------------------------------------


def _files(data: bytes) -> dict[str, bytes]:
    """The files that are read, by their bare names, none larger than it may be."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            listed = archive.infolist()
            places = _places(listed)
            return {name: _read(archive, info, name) for name, info in places.items()}
    except UserFacingError:
        raise
    except _DAMAGED as error:
        raise broken(TITLE, "The zip is damaged", "Pack the folder again") from error


def _places(listed: list[zipfile.ZipInfo]) -> dict[str, zipfile.ZipInfo]:
    """Where the files stand that are read: bare, or all under one folder. Refuses what has no place in such a zip."""
    if len(listed) > _MOST_ENTRIES:
        raise broken(TITLE, f"The zip holds {len(listed):,} files", "Pack the model's folder alone")
    places: dict[str, zipfile.ZipInfo] = {}
    folders = set()
    for info in listed:
        parts = info.filename.split("/")
        if info.is_dir() or "__MACOSX" in parts:
            continue
        if ".." in parts or "\\" in info.filename or info.filename.startswith("/") or ":" in parts[0]:
            raise broken(TITLE, f"The zip holds {info.filename!r}, outside its folder", "Pack the folder again")
        _refuse_kind(parts[-1])
        if len(parts) > 2 or parts[-1] not in _SIZES:
            continue
        if parts[-1] in places:
            raise broken(TITLE, f"The zip holds {parts[-1]} twice", "Pack the folder of one model alone")
        places[parts[-1]] = info
        folders.add(tuple(parts[:-1]))
    missing = [name for name in _SIZES if name not in places and name not in _OPTIONAL]
    if missing:
        raise _again(f"The zip holds no {missing[0]}")
    if len(folders) > 1:
        raise broken(TITLE, "Its files stand in several folders of the zip", "Pack the folder of one model alone")
    return places


def _refuse_kind(name: str) -> None:
    """Refuses files that such a folder may hold and that are not read, by name, before anything is unpacked."""
    if name.endswith((".py", ".pyc", ".so")):
        raise UserFacingError(
            f"The {TITLE} model is not taken",
            f"It brings its own code, {name}, and no code of a model is ever run",
            f"Bring one of transformers' own networks: {', '.join(_ARCHITECTURES)}",
        )
    if name.endswith((".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".msgpack", ".h5")):
        raise _again(f"{name} is a pickle or another library's weights, and only model.safetensors is read")
    if name.endswith(".safetensors.index.json") or (name.startswith("model-") and name.endswith(".safetensors")):
        raise UserFacingError(
            f"The {TITLE} model is not taken",
            "Its weights are split into several files",
            "Where the model was trained, run these lines and bring safe.zip:",
            _SAVE.replace("safe_serialization=True", 'safe_serialization=True, max_shard_size="100GB"'),
        )


def _again(why: str) -> UserFacingError:
    return UserFacingError(
        f"The {TITLE} model is not taken",
        why,
        "Where the model was trained, run these lines and bring safe.zip:",
        _SAVE,
    )


def _read(archive: zipfile.ZipFile, info: zipfile.ZipInfo, name: str) -> bytes:
    """One file, never more than it says and may be."""
    if info.flag_bits & 1:
        raise broken(TITLE, f"{name} is encrypted", "Pack the folder without a password")
    if info.file_size > min(_SIZES[name], _MOST_PACKED * info.compress_size + _MIB):
        raise broken(TITLE, f"{name} unpacks to {info.file_size / _MIB:,.0f} MiB", "Bring a smaller model")
    with archive.open(info) as file:
        body = file.read(info.file_size + 1)
    if len(body) != info.file_size:
        raise broken(TITLE, f"{name} is not as large as the zip says", "Pack the folder again")
    return body


def _object(body: bytes, name: str) -> dict[str, Any]:
    try:
        found = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise broken(TITLE, f"{name} is not readable JSON", "Save the model again") from error
    if not isinstance(found, dict):
        raise broken(TITLE, f"{name} does not hold what such a file holds", "Save the model again")
    return found


# --- the config ------------------------------------------------------------------------------------------------------


def _check_config(config: Mapping[str, Any]) -> None:
    """Refuses a config that asks for code, for a network that is not listed, or for another task."""
    if "auto_map" in config or "custom_pipelines" in config:
        raise UserFacingError(
            f"The {TITLE} model is not taken",
            "Its config asks for code of its own (auto_map), and no code of a model is ever run",
            f"Bring one of transformers' own networks: {', '.join(_ARCHITECTURES)}",
        )
    if config.get("model_type") not in _ARCHITECTURES:
        raise UserFacingError(
            f"The {TITLE} model is not taken",
            f"Its network is a {str(config.get('model_type'))[:40]!r}",
            f"Bring one of: {', '.join(_ARCHITECTURES)}",
        )
    built = config.get("architectures") or []
    if not isinstance(built, list) or not all(str(each).endswith("ForSequenceClassification") for each in built):
        raise UserFacingError(
            f"The {TITLE} model is not taken",
            f"It is a {str(built[0] if isinstance(built, list) else built)[:60]}, which does not decide on texts",
            "Bring a model for sequence classification",
        )
    if "quantization_config" in config:
        raise _again("Its weights are quantised")
    for name, usual in (("vocab_size", None), ("max_position_embeddings", 512)):
        size = config.get(name, usual)
        if type(size) is not int or not 0 < size <= _MOST_NUMBER:
            raise broken(TITLE, f"Its config gives no usable {name}", "Save the model again")
    for name, value in config.items():
        most = _MOST_LAYERS if "layers" in name or "group" in name else _MOST_NUMBER
        if type(value) is int and not -1 <= value <= most:
            raise broken(TITLE, f"Its config sets {str(name)[:40]} to {value:.3g}", "Bring a network of a usual size")


def _check_classes(classes: tuple[str, ...], config: Mapping[str, Any]) -> None:
    """Refuses what does not choose one of several classes."""
    problem = config.get("problem_type")
    if len(classes) < 2 or problem == "regression":
        raise UserFacingError(
            f"The {TITLE} model is not taken",
            "It predicts a number from a text, and of texts only classifiers are taken",
            "Bring a model with two classes or more",
        )
    if problem == "multi_label_classification":
        raise UserFacingError(
            f"The {TITLE} model is not taken",
            "It gives a text several labels at once",
            "Bring a model that chooses one class",
        )
    if len(classes) > 10_000 or len(set(classes)) < len(classes):
        raise broken(TITLE, "Its config names too many classes, or two alike", "Give each class its own name")


# --- the network -----------------------------------------------------------------------------------------------------


def _network(folder: _Folder) -> Any:
    """The network with its weights. Built without memory first, and again when the weights are seen to fit."""
    import torch

    weights = _weights(folder.files["model.safetensors"])
    with torch.device("meta"):
        _check_weights(weights, _built(folder).state_dict())
    network = _built(folder)
    network.load_state_dict(weights, strict=True)
    return network.eval()


def _built(folder: _Folder) -> Any:
    """transformers' own network with random weights, from the plain values that its own config has."""
    _prepare()
    from transformers import (
        CONFIG_MAPPING,
        MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING,
        AutoModelForSequenceClassification,
    )

    kind = CONFIG_MAPPING[folder.architecture]
    MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING[kind]  # loads its code here: what fails then is no fault of the config
    known = set(kind().to_dict()) - {"dtype", "torch_dtype", "architectures", "id2label", "label2id", "num_labels"}
    plain = {
        name: value
        for name, value in folder.config.items()
        if name in known and not name.startswith("_") and isinstance(value, int | float | str | list | None)
    }
    try:
        config = kind(**plain, num_labels=len(folder.classes))
        return AutoModelForSequenceClassification.from_config(
            config, attn_implementation="eager", trust_remote_code=False
        )
    except Exception as error:  # whatever a config with odd values makes of transformers, it is the config's doing
        raise broken(TITLE, "Its config does not describe a network", "Save the model again") from error


def _prepare() -> None:
    """Lets transformers load where nothing may be written and nobody reached.

    PyTorch's compiler, which is not used, wants a folder for its cache when it is imported: one that exists will do.
    """
    os.environ["TRANSFORMERS_OFFLINE"] = os.environ["HF_HUB_OFFLINE"] = "1"
    os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(Path(__file__).parent))


def _weights(body: bytes) -> dict[str, Any]:
    """The tensors by name as float32, in all at most twice as large as the file; old copies of counters left out."""
    from safetensors import SafetensorError
    from safetensors.torch import load as load_tensors

    try:
        tensors = load_tensors(body)
    except (SafetensorError, RuntimeError, KeyError) as error:
        raise broken(TITLE, "model.safetensors is damaged", "Save the model again") from error
    kept = {name: tensor for name, tensor in tensors.items() if not name.endswith("position_ids")}
    return {name: tensor.float() if tensor.is_floating_point() else tensor for name, tensor in kept.items()}


def _check_weights(found: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    """Refuses weights that are not those of the network, one by one."""
    import torch

    remedy = "Save the model again with a current version of transformers"
    if set(found) != set(wanted):
        name = sorted(set(found) ^ set(wanted))[0]
        state = "missing from its weights" if name in wanted else "not part of the network that its config describes"
        raise broken(TITLE, f"The tensor {name[:120]} is {state}", remedy)
    for name, tensor in found.items():
        if tensor.shape != wanted[name].shape or tensor.dtype != wanted[name].dtype:
            sizes = (f"{each.dtype} {tuple(each.shape)}" for each in (tensor, wanted[name]))
            raise broken(TITLE, f"The tensor {name} is {' and not '.join(sizes)}", remedy)
        if tensor.is_floating_point() and not torch.isfinite(tensor).all():
            raise broken(TITLE, f"The tensor {name} holds numbers that are not finite")


def _piece(tokenizer: Any, token: int) -> str:
    """What is printed for a token: what it adds to a text when it follows another word."""
    before = tokenizer.encode("a", add_special_tokens=False).ids
    start = tokenizer.decode(before, skip_special_tokens=False)
    whole = tokenizer.decode([*before, token], skip_special_tokens=False)
    added = whole[len(start) :] if whole.startswith(start) else ""
    return added if added.strip() else f" {tokenizer.id_to_token(token)}"
