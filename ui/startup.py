"""What is asked while the browser is still loading: the landing page's first questions."""

import logging

from access.desk import Desk
from core.errors import UserFacingError
from core.nouns import Target
from engine.engine import Question
from engine.predict import Predict
from engine.questions import default_pair, explain_query, population_query, prediction_query
from engine.subjects import subject_names

_log = logging.getLogger("assay.startup")


def ask_ahead(desk: Desk) -> None:
    """Asks what the landing page is going to ask. What goes wrong here goes wrong again on the page, which says so."""
    try:
        _ask(desk)
    except UserFacingError as error:
        _log.warning("the landing page could not be got ready: %s", error)


def _ask(desk: Desk) -> None:
    subject = desk.subject(subject_names()[0])
    model = subject.model()
    spec, reference = model.spec, subject.reference()
    row = subject.position(subject.example or subject.dataset.row_ids[0])
    target = Target(max(len(spec.classes) - 1, 0), spec.natural_scale)
    shap, _ = default_pair(spec)
    desk.submit(Question(model, Predict(), prediction_query(subject, model, [row])))
    desk.submit(Question(model, shap(), explain_query(subject, model, [row], target, reference)))
    desk.submit(Question(model, Predict(), population_query(model, reference)))
