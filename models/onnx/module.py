"""An imported ONNX graph behind Assay's rows: float32 (n, *shape) in raw units to (n, columns)."""

from typing import Any

import numpy as np

from core.nouns import Output
from models.onnx.graph import plain
from models.onnx.rows import Intake
from models.onnx.score import Score


def as_module(score: Score, output: Output) -> Any:
    """A `torch.nn.Module` in eval mode that gives the score on the scale `output`, with gradients."""
    import torch

    from models.onnx.network import to_module

    intake = score.intake

    class Scored(torch.nn.Module):
        """Rows to the graph's inputs, its output to the scale that is asked for."""

        def __init__(self) -> None:
            super().__init__()
            self.graph = to_module(plain(score.model))

        def forward(self, rows: Any) -> Any:
            scores = torch.cat([self._scores(part) for part in rows.split(intake.batch or max(len(rows), 1))])
            return _on_scale(score, scores.to(torch.float32), output)

        def _scores(self, rows: Any) -> Any:
            filled = torch.cat(
                [rows, rows[-1:].repeat((intake.batch or len(rows)) - len(rows), *[1] * (rows.ndim - 1))]
            )
            (raw,) = self.graph(*_inputs(intake, filled))
            return raw.reshape(len(filled), -1)[: len(rows)]

    return Scored().eval()


def _inputs(intake: Intake, rows: Any) -> list[Any]:
    """`Intake.feeds` in PyTorch."""
    import torch

    if intake.image:
        pixels = rows / (intake.divide or 1.0)
        parts = [pixels.permute(0, 3, 1, 2) if intake.layouts[0] == "channels_first" else pixels]
    else:
        columns = rows.reshape(len(rows), -1).split([port.width for port in intake.ports], dim=1)
        parts = [part.reshape(len(rows), *port.sizes) for part, port in zip(columns, intake.ports, strict=True)]
    kinds = [torch.from_numpy(np.zeros(0, port.dtype)).dtype for port in intake.ports]
    return [part.to(kind) for part, kind in zip(parts, kinds, strict=True)]


def _on_scale(score: Score, raw: Any, output: Output) -> Any:
    """`Score.on_scale` in PyTorch."""
    import torch

    if score.last_only:
        raw = raw[:, -1:]
    if score.adds_up(output):
        return raw
    if score.scale == "margin":
        return torch.cat([torch.sigmoid(-raw), torch.sigmoid(raw)], dim=1)
    return torch.softmax(raw, dim=1)
