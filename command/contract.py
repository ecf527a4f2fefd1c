"""What the command line gives, as plain nouns: docs/command-line.md is this in words.

A NumPy array has one entry a row along its first axis; everything else is about the whole answer.
"""

import hashlib
from dataclasses import asdict
from typing import Any

from attacks import ATTACKS
from core.nouns import ModelFile, Subject
from core.options import options_of
from core.results import Attacked, Attribution
from engine.intake import Brought
from engine.preflight import Preflight
from engine.questions import attacks_for, explainers_for
from engine.subjects import load_subject, subject_names
from explainers import EXPLAINERS
from reports.evidence import Contract, contract


def catalogue() -> Contract:
    """What there is to ask: subjects with their models, explainers and attacks with their options."""
    return {
        "subjects": [_subject(load_subject(name)) for name in subject_names()],
        "explainers": [_method(kind) | {"family": kind.family} for kind in EXPLAINERS],
        "attacks": [_method(kind) for kind in ATTACKS],
    }


def explained(subject: Subject, model: ModelFile, found: Attribution, needs_reference: bool) -> Contract:
    """An attribution. The rows stay out, and so does a reference that the method has no need of."""
    told = _told(subject, model, found)
    kept = {key: value for key, value in told.items() if key != "inputs"}
    return kept if needs_reference else kept | {"reference": None}


def attacked(subject: Subject, model: ModelFile, found: Attacked) -> Contract:
    """Attacked rows."""
    told = _told(subject, model, found)
    return {"attack" if key == "method" else key: value for key, value in told.items()}


def checked(subject: Subject, brought: Brought, found: Preflight) -> Contract:
    """A model and data that were brought, as the subject that they make."""
    model = subject.model()
    return {
        "subject": subject.name,
        "model": {
            "format": model.format,
            "title": model.title,
            "task": model.spec.task,
            "modality": model.spec.modality,
            "classes": list(model.spec.classes),
            "output": model.spec.output,
            "gradients": "gradients" in model.spec.capabilities,
            "digest": hashlib.sha256(brought.model_file).hexdigest(),
        },
        "data": {
            "format": brought.data.format,
            "title": brought.data.title,
            "rows": found.rows,
            "columns": found.columns,
            "digest": brought.data.digest,
        },
        "features": [feature.name for feature in model.spec.features] if model.spec.modality == "table" else [],
        "read": {"scale": found.scale, "told_by": found.told_by, "settings": dict(model.settings)},
        "warnings": list(found.warnings),
        "score": found.score,
        "scored": found.scored,
        "explainers": dict(found.explainers),
        "attacks": dict(found.attacks),
    }


def _told(subject: Subject, model: ModelFile, found: Attribution | Attacked) -> Contract:
    """The answer as the pages give it away, with every feature named: those of a picture are columns here."""
    return contract(subject, model, found) | {"features": [feature.name for feature in model.spec.features]}


def _subject(subject: Subject) -> Contract:
    return {
        "name": subject.name,
        "title": subject.title,
        "summary": subject.summary,
        "rows": len(subject.dataset),
        "row_ids": [subject.dataset.row_ids[0], subject.dataset.row_ids[-1]],
        "reference": {"rows": subject.reference_size, "seed": subject.reference_seed},
        "models": [_model(model) for model in subject.models],
    }


def _model(model: ModelFile) -> Contract:
    return {
        "name": model.name,
        "title": model.title,
        "format": model.format,
        "classes": list(model.spec.classes),
        "output": model.spec.output,
        "explainers": [kind.name for kind in explainers_for(model.spec)],
        "attacks": [kind.name for kind in attacks_for(model.spec)],
    }


def _method(kind: Any) -> Contract:
    about = {name: getattr(kind, name) for name in ("name", "title", "version", "summary", "source")}
    return about | {"options": [asdict(option) for option in options_of(kind)]}
