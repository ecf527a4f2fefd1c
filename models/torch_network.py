"""PyTorch networks: weights in a safetensors file or one of `torch.save`, the architecture in the subject's settings.

A network takes float32 rows (n, *shape) in raw units and scales them itself, by the stored buffers
`scale.offset` and `scale.width`, so that gradients and attacks are in raw units too. Images are
(n, height, width, channels).

    architecture = "dense"    flatten, then a ReLU layer for each size in `hidden`, then the outputs
    architecture = "cnn"      a 3x3 convolution with ReLU for each size in `channels` (all but the
                              first halve the picture by their stride), then as `dense`
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from core.errors import UserFacingError
from core.facts import Input, ModelFacts
from core.models import Differentiable
from core.nouns import ModelSpec
from models._torch_file import is_weights, read_weights
from models.base import broken

TITLE = "PyTorch"
CAPABILITIES = ("gradients",)

_BATCH = 1024
_LONGEST_HEADER = 100_000_000
_EXPORT = """import torch
model.eval()
torch.onnx.export(model, (example,), "model.onnx", dynamo=True, external_data=False, \
dynamic_shapes=({0: torch.export.Dim.DYNAMIC},))"""


class TorchNetwork(Differentiable):
    """A network on the accelerator where there is one."""

    def __init__(self, network: Any, spec: ModelSpec, device: str) -> None:
        self.spec = spec
        self.device = device
        self._network = network

    def module(self) -> Any:
        return self._network

    def predict(self, rows: np.ndarray) -> np.ndarray:
        import torch

        outputs = np.empty((len(rows), self.spec.columns))
        with torch.no_grad():
            for start in range(0, len(rows), _BATCH):
                batch = torch.tensor(rows[start : start + _BATCH], dtype=torch.float32, device=self.device)
                outputs[start : start + _BATCH] = self._network(batch).cpu().numpy()
        return outputs


def build(shape: tuple[int, ...], columns: int, settings: Mapping[str, Any]) -> Any:
    """The network that `settings` describe, with PyTorch's default weights.

    Raises UserFacingError for an architecture or a size that there is not.
    """
    from torch import nn

    architecture = settings.get("architecture")
    if architecture not in _ARCHITECTURES:
        raise _setting("architecture", f"must be one of: {', '.join(_ARCHITECTURES)}")
    if architecture == "cnn" and len(shape) != 3:
        raise _setting("architecture", "can be cnn for images only")
    keys = _ARCHITECTURES[architecture]
    unknown = sorted(set(settings) - {"architecture", *keys})
    if unknown:
        raise _setting(unknown[0], f"is not a setting of {architecture}, which takes: {', '.join(keys)}")
    network = nn.Sequential()
    network.add_module("scale", _scale(shape))
    size = int(np.prod(shape))
    if architecture == "cnn":
        size = _add_convolutions(network, shape, _sizes(settings, "channels"))
    network.add_module("flatten", nn.Flatten())
    for number, width in enumerate(_sizes(settings, "hidden")):
        network.add_module(f"dense{number}", nn.Linear(size, width))
        network.add_module(f"dense{number}_relu", nn.ReLU())
        size = width
    network.add_module("output", nn.Linear(size, columns))
    return network.eval()


def recognises(data: bytes) -> bool:
    """Whether `data` starts as safetensors does, or is a file of `torch.save` with nothing but tensors."""
    header = int.from_bytes(data[:8], "little")
    return (data[8:9] == b"{" and header <= _LONGEST_HEADER) or is_weights(data)


def inspect(data: bytes) -> ModelFacts:
    """Which network the weights in `data` are of. Raises UserFacingError for a file that is not taken."""
    tensors = _read(data)
    shape, columns, settings = _architecture({name: tuple(tensor.shape) for name, tensor in tensors.items()})
    _check_tensors(tensors, _empty(shape, columns, settings).state_dict())
    several = columns > 1
    return ModelFacts(
        format="torch_network",
        title=TITLE,
        modality="image" if len(shape) == 3 else "table",
        shape=shape,
        columns=columns,
        outputs=("logit",) if several else ("margin", "value"),
        told_by="its last layer is linear" + ("" if several else ", and the file does not say what its one output is"),
        inputs=(Input(),) * shape[0] if len(shape) == 1 else (),
        capabilities=CAPABILITIES,
        settings=settings,
    )


def load(data: bytes, spec: ModelSpec, settings: Mapping[str, Any]) -> TorchNetwork:
    """The network of `settings` with the weights in `data`, memory taken for what the file holds and no more.

    Raises UserFacingError for a damaged file, or weights that are not this architecture's.
    """
    import torch

    if any(feature.missing for feature in spec.features):
        raise broken(TITLE, "A network cannot read missing values", "Let every feature of the subject be present")
    network = _empty(spec.shape, spec.columns, settings)
    tensors = _read(data)
    _check_tensors(tensors, network.state_dict())
    network.load_state_dict(tensors, assign=True)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.backends.cudnn.allow_tf32 = False  # convolutions in full float32, so that explanations add up
    return TorchNetwork(network.eval().to(device), spec, device)


def _read(data: bytes) -> Mapping[str, Any]:
    """The tensors in `data` by name, no larger than the file."""
    from safetensors import SafetensorError
    from safetensors.torch import load as load_tensors

    try:
        return read_weights(data) if is_weights(data) else load_tensors(data)
    except (SafetensorError, RuntimeError, KeyError) as error:  # the latter two: a shape or type beyond PyTorch
        raise broken(TITLE, "The file is damaged, cut short or not a safetensors file") from error
    except ValueError as error:
        raise broken(
            TITLE, f"Its weights cannot be read: {error}", "Save it again with torch.save(model.state_dict(), ...)"
        ) from error


def _empty(shape: tuple[int, ...], columns: int, settings: Mapping[str, Any]) -> Any:
    """The network that `settings` describe, without memory for its weights."""
    import torch

    with torch.device("meta"):
        return build(shape, columns, settings)


def _architecture(shapes: Mapping[str, tuple[int, ...]]) -> tuple[tuple[int, ...], int, dict[str, Any]]:
    """The shape of a row, the outputs and the settings of the network that has tensors of these `shapes`."""
    shape, output = shapes.get("scale.offset", ()), shapes.get("output.weight", ())
    hidden, channels = _widths(shapes, "dense"), _widths(shapes, "convolution")
    settings = {"architecture": "cnn", "channels": channels} if channels else {"architecture": "dense"}
    settings["hidden"] = hidden
    known = len(output) == 2 and len(shape) in ((3,) if channels else (1, 3))
    if known and all((*shape, output[0], *hidden, *channels)):
        wanted = _empty(shape, output[0], settings).state_dict()
        if {name: tuple(tensor.shape) for name, tensor in wanted.items()} == shapes:
            return shape, output[0], settings
    names = ", ".join(sorted(shapes)[:4]) or "none"
    raise UserFacingError(
        "These weights are of a network that is not known here",
        f"Weights do not say what a network computes, and these tensors ({names}, {len(shapes)} in all) are not those "
        "of an architecture that is taken: dense (scale, dense0, dense1 and so on, output) or "
        "cnn (scale, convolution0 and so on, dense0 and so on, output)",
        "Bring a Hugging Face model as its whole folder; export any other network to ONNX, with two rows as example",
        _EXPORT,
    )


def _widths(shapes: Mapping[str, tuple[int, ...]], layer: str) -> list[int]:
    """How many numbers the layers called `layer` give, one after the other."""
    widths: list[int] = []
    while weight := shapes.get(f"{layer}{len(widths)}.weight"):
        widths.append(weight[0])
    return widths


_ARCHITECTURES = {"dense": ("hidden",), "cnn": ("channels", "hidden")}


def _scale(shape: tuple[int, ...]) -> Any:
    import torch

    class Scale(torch.nn.Module):
        """Raw units to about unit size: `(x - offset) / width`, each of the row's shape."""

        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("offset", torch.zeros(shape))
            self.register_buffer("width", torch.ones(shape))

        def forward(self, x: Any) -> Any:
            return (x - self.offset) / self.width

    return Scale()


def _add_convolutions(network: Any, shape: tuple[int, ...], channels: list[int]) -> int:
    """Adds the convolutions to `network`; how many numbers they give for one picture."""
    import torch
    from torch import nn

    class ChannelsFirst(torch.nn.Module):
        """(n, height, width, channels) to PyTorch's (n, channels, height, width)."""

        def forward(self, x: Any) -> Any:
            return x.permute(0, 3, 1, 2)

    network.add_module("channels_first", ChannelsFirst())
    height, width, before = shape
    for number, after in enumerate(channels):
        stride = 1 if number == 0 else 2
        network.add_module(f"convolution{number}", nn.Conv2d(before, after, 3, stride=stride, padding=1))
        network.add_module(f"convolution{number}_relu", nn.ReLU())
        height, width, before = -(-height // stride), -(-width // stride), after
    return height * width * before


def _sizes(settings: Mapping[str, Any], key: str) -> list[int]:
    sizes = settings.get(key)
    if not isinstance(sizes, list | tuple) or not all(type(size) is int and size > 0 for size in sizes):
        raise _setting(key, "must be a list of whole numbers above zero")
    return list(sizes)


def _setting(key: str, wrong: str) -> UserFacingError:
    return UserFacingError(
        "The network cannot be built", f"Its setting {key} {wrong}", "Correct it in the subject's file"
    )


def _check_tensors(found: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    import torch

    remedy = "Save the weights of this architecture, or correct the architecture in the subject's file"
    if set(found) != set(wanted):
        name = sorted(set(found) ^ set(wanted))[0]
        state = "missing from the file" if name in wanted else "not part of the architecture"
        raise broken(TITLE, f"The tensor {name} is {state}", remedy)
    for name, tensor in found.items():
        if tensor.shape != wanted[name].shape or tensor.dtype != torch.float32:
            raise broken(
                TITLE,
                f"The tensor {name} is {tensor.dtype} {tuple(tensor.shape)}, not float32 {tuple(wanted[name].shape)}",
                remedy,
            )
        if not torch.isfinite(tensor).all():
            raise broken(TITLE, f"The tensor {name} holds numbers that are not finite")
