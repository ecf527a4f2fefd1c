"""The file on a whole model: every result that its report draws from."""

from collections.abc import Iterator
from dataclasses import dataclass

from core.nouns import ModelFile, Subject, Target
from core.results import Attacked, Attribution, Prediction
from reports.reasons import Grounds
from reports.report import Exhibit

KINDS = ("typical", "borderline", "wrong", "unlike")
"""What a case of a dossier stands for."""


@dataclass(frozen=True)
class Chosen:
    """A case that stands for others: `kind` is one of KINDS, `position` that of its row in the data."""

    kind: str
    position: int


@dataclass(frozen=True)
class Dossier:
    """One model with its evidence.

    `judged` is the prediction of a seeded sample of the rows on which it is judged, or of all rows where none are;
    `population` that of the reference rows. `surveyed` explains a seeded sample of rows by the method for many, None
    for texts. `cases` were chosen among the judged rows by a rule; `grounds` are those of each, `seconds` the other
    method's explanation of each (one attribution of all or one each, as `Grounds.explained` has it). `attacked` holds
    the strongest fitting attack at growing sizes, then the others at the usual size, all about the same rows;
    `shifted` is the explanation of those rows before the attack of the usual size, after it and after noise. Both are
    empty where no attack applies.
    """

    subject: Subject
    model: ModelFile
    target: Target
    judged: Prediction
    population: Prediction
    surveyed: Attribution | None
    cases: tuple[Chosen, ...]
    grounds: tuple[Grounds, ...]
    seconds: tuple[Attribution, ...]
    attacked: tuple[Attacked, ...] = ()
    shifted: tuple[Attribution, ...] = ()

    def exhibits(self) -> Iterator[Exhibit]:
        """Every answer once, by name."""
        raise NotImplementedError
