"""Reasons for one decision: at most four, each put to a test, and withheld where the test fails."""

from dataclasses import dataclass

from core.results import Attribution, Prediction

MOST = 4


@dataclass(frozen=True)
class Grounds:
    """What the reasons for one row rest on.

    `explained` may be about many rows, of which this is the one at `index`. `swapped` is the prediction of the row with
    one factor after the other put at the values of each reference row (the swap test). `resampled` explains the same
    rows against other references, drawn with other seeds. Both are empty where they cannot be asked (texts).
    """

    index: int
    explained: Attribution
    swapped: Prediction | None = None
    resampled: tuple[Attribution, ...] = ()
