"""What `torch.save` writes of weights (a state_dict), read as data: nothing in the file is run.

Such a file is a zip: `data.pkl`, a pickle of a few kinds of value, and one entry with the bytes of each
storage. The pickle's opcodes are followed here one by one, and those that weights do not need are not
known; PyTorch's own loader is not asked, since it believes the sizes that a file claims.
Format: torch/serialization.py and https://docs.python.org/3/library/pickletools.html.
"""

import io
import pickletools
import struct
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

_LONGEST = 16 << 20
_DICT = "collections OrderedDict"
_TENSOR = "torch._utils _rebuild_tensor_v2"
_PARAMETER = "torch._utils _rebuild_parameter"
_STORAGES = {
    "torch FloatStorage": "float32",
    "torch DoubleStorage": "float64",
    "torch HalfStorage": "float16",
    "torch BFloat16Storage": "bfloat16",
    "torch LongStorage": "int64",
    "torch IntStorage": "int32",
    "torch ShortStorage": "int16",
    "torch CharStorage": "int8",
    "torch ByteStorage": "uint8",
    "torch BoolStorage": "bool",
}
_NAMES = {_DICT, _TENSOR, _PARAMETER, *_STORAGES}
_DAMAGED = (
    zipfile.BadZipFile, struct.error, EOFError, OSError, RuntimeError,  # by zipfile
    ValueError, TypeError, LookupError, AttributeError, StopIteration,  # by a pickle that is none of weights
)  # fmt: skip
_MARK = object()


@dataclass(frozen=True)
class _Name:
    """A class or function that the pickle names; it is never looked up."""

    name: str


@dataclass(frozen=True)
class _Stored:
    """A tensor as the pickle describes it: its type, and where it lies in which entry, counted in numbers."""

    dtype: str
    entry: str
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


def is_weights(data: bytes) -> bool:
    """Whether `data` is a file of `torch.save` whose pickle names nothing but tensors. Never raises."""
    try:
        _, pickle = _opened(data)
        return {value for opcode, value, _ in pickletools.genops(pickle) if "GLOBAL" in opcode.name} <= _NAMES
    except _DAMAGED:
        return False


def read_weights(data: bytes) -> dict[str, Any]:
    """The tensors in `data` by name, copies, in all no larger than the file.

    Raises ValueError for a file that is damaged, claims more than it holds, or holds more than tensors by name.
    """
    try:
        archive, pickle = _opened(data)
        found = _follow(pickle)
        if not isinstance(found, dict) or not all(isinstance(each, _Stored) for each in found.values()):
            raise ValueError("more is in it than tensors by their names")
        folder = archive.namelist()[0].split("/")[0]
        tensors, left = {}, len(data)
        for name, stored in found.items():
            tensors[name] = _tensor(stored, archive.read(f"{folder}/data/{stored.entry}"))
            left -= tensors[name].nbytes
            if left < 0:
                raise ValueError("its tensors are larger than the file")
        return tensors
    except _DAMAGED as error:
        raise ValueError(str(error)) from error


def _opened(data: bytes) -> tuple[zipfile.ZipFile, bytes]:
    """The zip and its pickle. Raises one of `_DAMAGED` for what `torch.save` does not write."""
    if not data.startswith(b"PK"):
        raise ValueError("it is no zip")
    archive = zipfile.ZipFile(io.BytesIO(data))
    entries = archive.infolist()
    if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
        raise ValueError("a part of it is packed")
    if sum(entry.file_size for entry in entries) > len(data) or len(set(archive.namelist())) < len(entries):
        raise ValueError("its parts lie over each other")
    (pickle,) = [entry for entry in entries if entry.filename.endswith("/data.pkl")]
    if pickle.file_size > _LONGEST:
        raise ValueError("its list of tensors is too long")
    return archive, archive.read(pickle)


def _follow(pickle: bytes) -> Any:
    """What the pickle describes, for weights a dictionary."""
    stack: list[Any] = []
    memo: dict[int, Any] = {}
    for opcode, value, _ in pickletools.genops(pickle):
        if opcode.name == "STOP":
            break
        if opcode.name not in _STEPS:
            raise ValueError(f"weights need no {opcode.name}")
        _STEPS[opcode.name](stack, memo, value)
    (found,) = stack
    return found


def _last(stack: list[Any], count: int) -> list[Any]:
    """The last `count` values, taken off the stack."""
    items = stack[-count:]
    del stack[-count:]
    return items


def _since_mark(stack: list[Any]) -> list[Any]:
    """What was put on the stack since the last mark, taken off together with it."""
    at = next(at for at in range(len(stack) - 1, -1, -1) if stack[at] is _MARK)
    return _last(stack, len(stack) - at)[1:]


def _set(target: dict[str, Any], items: list[Any]) -> None:
    if not isinstance(target, dict) or not all(isinstance(key, str) for key in items[::2]):
        raise ValueError("its tensors have no names")
    target.update(zip(items[::2], items[1::2], strict=True))


def _made(called: _Name, arguments: tuple[Any, ...]) -> Any:
    """What PyTorch would have made of a call, as a description."""
    name = called.name
    if name == _DICT and arguments == ():
        return {}
    if name == _PARAMETER:
        return arguments[0]
    if name != _TENSOR:
        raise ValueError(f"weights do not call {name}")
    (_, storage, entry, _, _), offset, shape, strides = arguments[:4]
    numbers = (offset, *shape, *strides)
    if not all(isinstance(number, int) and number >= 0 for number in numbers) or len(shape) != len(strides):
        raise ValueError("a tensor has no shape")
    return _Stored(_STORAGES[storage.name], entry, offset, shape, strides)


# What each opcode does to the stack, the memo and with its own value. A storage stands for itself, and what is
# built on a dictionary is a note about versions.
_STEPS: dict[str, Callable[[list[Any], dict[int, Any], Any], Any]] = {
    "PROTO": lambda stack, memo, value: None,
    "BINPERSID": lambda stack, memo, value: None,
    "BUILD": lambda stack, memo, value: stack.pop(),
    "NONE": lambda stack, memo, value: stack.append(None),
    "NEWTRUE": lambda stack, memo, value: stack.append(True),
    "NEWFALSE": lambda stack, memo, value: stack.append(False),
    "EMPTY_TUPLE": lambda stack, memo, value: stack.append(()),
    "EMPTY_DICT": lambda stack, memo, value: stack.append({}),
    "MARK": lambda stack, memo, value: stack.append(_MARK),
    "GLOBAL": lambda stack, memo, value: stack.append(_Name(value)),
    **dict.fromkeys(
        ("BINUNICODE", "BININT", "BININT1", "BININT2", "LONG1"), lambda stack, memo, value: stack.append(value)
    ),
    **dict.fromkeys(("BINPUT", "LONG_BINPUT"), lambda stack, memo, value: memo.update({value: stack[-1]})),
    **dict.fromkeys(("BINGET", "LONG_BINGET"), lambda stack, memo, value: stack.append(memo[value])),
    "TUPLE": lambda stack, memo, value: stack.append(tuple(_since_mark(stack))),
    "TUPLE1": lambda stack, memo, value: stack.append(tuple(_last(stack, 1))),
    "TUPLE2": lambda stack, memo, value: stack.append(tuple(_last(stack, 2))),
    "TUPLE3": lambda stack, memo, value: stack.append(tuple(_last(stack, 3))),
    "SETITEM": lambda stack, memo, value: _set(stack[-3], _last(stack, 2)),
    "SETITEMS": lambda stack, memo, value: _set(items=_since_mark(stack), target=stack[-1]),
    "REDUCE": lambda stack, memo, value: stack.append(_made(*_last(stack, 2))),
}


def _tensor(stored: _Stored, content: bytes) -> Any:
    """The tensor that lies in `content`. Raises ValueError for one that claims more numbers than there are."""
    import torch

    dtype = getattr(torch, stored.dtype)
    held, asked = len(content) // dtype.itemsize, 1
    for size in stored.shape:
        asked *= size
    if asked == 0:
        return torch.empty(stored.shape, dtype=dtype)
    last = stored.offset + sum((size - 1) * step for size, step in zip(stored.shape, stored.strides, strict=True))
    if asked > held or last >= held:
        raise ValueError("a tensor claims more numbers than the file holds")
    numbers = torch.frombuffer(bytearray(content), dtype=dtype)
    return numbers.as_strided(stored.shape, stored.strides, stored.offset).clone()
