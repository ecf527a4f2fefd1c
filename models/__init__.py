"""One file a model format: bytes in, a `core.models.Model` out.

Opening a model may crash the process (a malformed booster is a segmentation fault), so `inspect_model`
and `load_model` are for workers only. Importing this package loads no library.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from core.errors import UserFacingError
from core.facts import ModelFacts
from core.models import Differentiable, Linear, Model, TreeEnsemble
from core.nouns import Capability, ModelSpec
from models import catboost, hugging_face, lightgbm, onnx, refused, sklearn, torch_network, xgboost
from models.base import broken, check_outputs

FORMATS = {
    "xgboost": xgboost,
    "lightgbm": lightgbm,
    "catboost": catboost,
    "onnx": onnx,
    "sklearn": sklearn,
    "torch_network": torch_network,
    "hugging_face": hugging_face,
}
_TYPES: dict[Capability, type[Model]] = {"gradients": Differentiable, "trees": TreeEnsemble, "linear": Linear}


def inspect_model(data: bytes) -> ModelFacts:
    """What the model file in `data` is, told by its content. Raises UserFacingError for one that is not taken."""
    for module in FORMATS.values():
        if module.recognises(data):
            return module.inspect(data)
    raise refused.why(data)


def load_model(format: str, data: bytes, spec: ModelSpec, settings: Mapping[str, Any]) -> Model:
    """The model in `data`, ready to predict. Raises UserFacingError where file and `spec` do not agree."""
    module = _module(format)
    model = module.load(data, spec, settings)
    for capability in set(spec.capabilities) - set(found_capabilities(model)):
        raise broken(
            module.TITLE,
            f"Its subject says that it has {capability} and it has none",
            f"Take {capability!r} out of its capabilities in subject.toml",
        )
    check_outputs(module.TITLE, model)
    return model


def found_capabilities(model: Model) -> tuple[Capability, ...]:
    """What an opened model can do beside predict, on the scale on which it was opened."""
    return tuple(name for name, kind in _TYPES.items() if isinstance(model, kind))


def encode_texts(format: str, data: bytes, texts: Sequence[str]) -> dict[str, Any]:
    """The texts as the model in `data` reads them: see the `encode` of its format."""
    return _module(format).encode(data, texts)


def capabilities(format: str) -> tuple[Capability, ...]:
    """What models of this format can do beside predict, where their subject does not say."""
    return _module(format).CAPABILITIES


def _module(format: str) -> Any:
    if format not in FORMATS:
        raise UserFacingError(
            f"There is no model format {format!r}", f"The formats are: {', '.join(FORMATS)}", "Choose one of them"
        )
    return FORMATS[format]
