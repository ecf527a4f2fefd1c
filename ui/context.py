"""What every page is given: the subject, model, row and class in view, and ways to ask about them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from access.desk import Desk
from attacks.base import Attack
from core.nouns import ModelFile, ModelSpec, Reference, Subject, Target
from core.results import Prediction
from engine.engine import Lane, Question
from engine.predict import Predict
from engine.questions import attack_query, explain_query, population_query, prediction_query
from explainers.base import Explainer
from reports.palette import Palette
from ui import waiting


@dataclass(frozen=True)
class Context:
    """One view. `subject_name` is the subject's name in addresses, `row` the row's position in the data, `outputs` what
    the model says about it (1, columns).
    """

    desk: Desk
    subject_name: str
    subject: Subject
    model: ModelFile
    row: int
    target: Target
    outputs: np.ndarray
    palette: Palette

    @property
    def spec(self) -> ModelSpec:
        return self.model.spec

    @property
    def row_id(self) -> str:
        return self.subject.dataset.row_ids[self.row]

    @property
    def values(self) -> np.ndarray:
        """The row itself (*shape), raw units."""
        return self.subject.dataset.rows[self.row]

    def explain(
        self,
        method: Explainer,
        reference: Reference,
        rows: Sequence[int] | np.ndarray | None = None,
        lane: Lane = "quick",
    ) -> Question:
        """Why the score is what it is, for this row or the rows at some positions."""
        chosen = [self.row] if rows is None else rows
        return Question(
            self.model, method, explain_query(self.subject, self.model, chosen, self.target, reference), lane
        )

    def attack(
        self, method: Attack, rows: Sequence[int] | np.ndarray | None = None, seed: int = 0, lane: Lane = "quick"
    ) -> Question:
        """Whether the decision can be changed, for this row or the rows at some positions."""
        chosen = [self.row] if rows is None else rows
        return Question(self.model, method, attack_query(self.subject, self.model, chosen, seed), lane)

    def predict(self, rows: Sequence[int] | np.ndarray) -> Question:
        """What the model says about the rows at some positions."""
        return Question(self.model, Predict(), prediction_query(self.subject, self.model, rows))

    def population(self, reference: Reference) -> Prediction:
        """What the model says about the reference rows."""
        question = Question(self.model, Predict(), population_query(self.model, reference))
        return waiting.answer(self.desk, question, "Asking the model about the reference rows")
