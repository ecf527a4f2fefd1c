"""Captum's occlusion for any model: what the score loses when a part of the row is taken from the reference."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, final

import numpy as np

from core.errors import UserFacingError
from core.models import Differentiable, Model
from core.nouns import ModelSpec, Query
from core.options import option
from core.scores import score
from explainers.base import Explainer, Progress, RawAttribution, differing

if TYPE_CHECKING:
    import torch

_BATCH = 4096  # rows sent to the model in one call
_NUMBERS = 8_000_000  # in the rows of one call


@final
@dataclass(frozen=True)
class Occlusion(Explainer):
    """The score of the row less its mean score with a part taken from each reference row in turn.

    Tables lose one feature and texts one word at a time; images a sliding window, and a pixel gets the mean over
    the windows that cover it. Captum occludes a row of ones, "this value is kept", and the model is asked
    with the values put in: so categories, missing values and every kind of model work.
    """

    name = "occlusion"
    title = "Occlusion"
    version = "2"
    family = "captum"
    summary = "The score lost when a feature, or a patch of an image, takes its values from the reference."
    source = "Zeiler and Fergus 2014, Visualizing and Understanding Convolutional Networks, section 4.2"
    tolerance = None

    window: int = option(
        0,
        "Window",
        "Side of the sliding window on images, in pixels. 0: an eighth of their side, moved by half of that. "
        "Tables lose one feature and texts one word at a time.",
        low=0,
        high=1024,
    )

    def refusal(self, spec: ModelSpec) -> str | None:
        return None

    def _run(self, model: Model, query: Query, progress: Progress) -> RawAttribution:
        import torch
        from captum.attr import Occlusion as CaptumOcclusion

        window, strides = self._window(model.spec)
        most = max(1, min(_BATCH, _NUMBERS // int(np.prod(model.spec.shape))))
        together = max(1, most // len(query.reference))
        values = np.empty(query.rows.shape)
        for index, row in enumerate(query.rows):
            method = CaptumOcclusion(_score_of_kept(model, query, row))
            found = method.attribute(
                torch.ones((1, *row.shape)),
                sliding_window_shapes=window,
                strides=strides,
                baselines=0.0,
                perturbations_per_eval=together,
            )
            values[index] = found[0].numpy()
            if model.spec.modality != "image":  # taken from the reference alone and the same there: exactly nothing
                values[index] *= differing(row, query.reference.rows).any(axis=0)
            progress((index + 1) / len(query))
        facts = {"device": model.device} if isinstance(model, Differentiable) else {}
        return RawAttribution(values, facts=facts)

    def _window(self, spec: ModelSpec) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """The shape of what is occluded at a time and its steps; a sentence where it is larger than the image."""
        if spec.modality != "image":
            return (1,) * len(spec.shape), (1,) * len(spec.shape)
        height, width, channels = spec.shape
        side, stride = self.window, 1
        if not side:
            side = min(max(2, min(height, width) // 8), height, width)
            stride = max(1, side // 2)
        if side > min(height, width):
            raise UserFacingError(
                f"A window of {side} pixels does not fit",
                f"The images have {height} x {width} pixels",
                f"Choose from 1 to {min(height, width)}",
            )
        return (side, side, channels), (stride, stride, channels)


def _score_of_kept(model: Model, query: Query, row: np.ndarray) -> Callable[["torch.Tensor"], "torch.Tensor"]:
    """What Captum asks: the mean score (m,), over the reference, of `row` with only those values kept
    that are 1 in `kept` (m, *shape) and the others from the reference row.
    """
    import torch

    def mean_score(kept: torch.Tensor) -> torch.Tensor:
        mixed = np.where(kept.bool().numpy()[:, None], row, query.reference.rows)
        outputs = model.predict(mixed.reshape(-1, *row.shape))
        scores = score(outputs, query.target, model.spec).reshape(mixed.shape[:2])
        return torch.from_numpy(scores.mean(axis=1))

    return mean_score
