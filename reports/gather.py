"""Asks everything a case's report rests on; what was asked before is not computed again."""

from collections.abc import Callable

from access.desk import Desk
from attacks.base import Attack
from core.nouns import ModelFile, Query, Reference, Subject, Target
from core.results import Attacked, Comparison
from engine.engine import Question
from engine.predict import Predict
from engine.questions import attack_query, explain_query, population_query, prediction_query, shifted_queries
from explainers.base import Explainer
from reports.case import CaseFile

Progress = Callable[[float], None]


def comparison_questions(model: ModelFile, method: Explainer, query: Query, attacked: Attacked) -> list[Question]:
    """The same explanation asked of the clean, the attacked and the noisy row."""
    return [Question(model, method, each) for each in shifted_queries(query, attacked)]


def gather(
    desk: Desk,
    subject: Subject,
    model: ModelFile,
    row: int,
    target: Target,
    reference: Reference,
    explainers: tuple[Explainer, ...],
    attack: Attack | None,
    sections: tuple[str, ...],
    progress: Progress | None = None,
) -> CaseFile:
    """The case file on one row. `attack` None: none is run, and the report has no attack section."""
    questions = [
        Question(model, Predict(), prediction_query(subject, model, [row])),
        Question(model, Predict(), population_query(model, reference)),
        *(Question(model, method, explain_query(subject, model, [row], target, reference)) for method in explainers),
    ]
    steps = len(questions) + (4 if attack else 0)
    answered = []

    def ask(question: Question) -> None:
        answered.append(desk.ask(question))
        if progress is not None:
            progress(len(answered) / steps)

    for question in questions:
        ask(question)
    outputs, population, *attributions = answered
    comparison = None
    if attack is not None:
        ask(Question(model, attack, attack_query(subject, model, [row])))
        attacked = answered[-1]
        for question in comparison_questions(model, explainers[0], attributions[0].query, attacked):
            ask(question)
        comparison = Comparison(attacked, *answered[-3:])
    return CaseFile(subject, model, outputs, population, tuple(attributions), comparison, sections)
