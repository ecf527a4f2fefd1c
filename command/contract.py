"""What the command line gives, as plain nouns: docs/command-line.md is this in words.

A NumPy array has one entry a row along its first axis; everything else is about the whole answer.
"""

import hashlib
from dataclasses import asdict
from typing import Any

import numpy as np

from attacks import ATTACKS
from core.nouns import MethodId, ModelFile, ModelSpec, Query, Reference, Subject, Target
from core.options import options_of
from core.results import Attacked, Attribution
from engine.intake import Brought
from engine.preflight import Preflight
from engine.questions import attacks_for, explainers_for
from engine.subjects import load_subject, subject_names
from explainers import EXPLAINERS
from storage.evidence import question_key

Contract = dict[str, Any]


def catalogue() -> Contract:
    """What there is to ask: subjects with their models, explainers and attacks with their options."""
    return {
        "subjects": [_subject(load_subject(name)) for name in subject_names()],
        "explainers": [_method(kind) | {"family": kind.family} for kind in EXPLAINERS],
        "attacks": [_method(kind) for kind in ATTACKS],
    }


def explained(subject: Subject, model: ModelFile, found: Attribution, needs_reference: bool) -> Contract:
    """An attribution."""
    query = found.query
    return _asked(subject, model, query) | {
        "method": _asked_method(found.method),
        "target": _target(query.target, model.spec),
        "reference": _reference(query.reference) if needs_reference else None,
        "values": found.values,
        "base": found.base,
        "output": found.output,
        "residual": found.residual,
        "error": found.error,
        "tolerance": found.tolerance,
        "complete": found.complete,
        **_proof(found),
    }


def attacked(subject: Subject, model: ModelFile, found: Attacked) -> Contract:
    """Attacked rows."""
    classes = np.array(model.spec.classes)
    return _asked(subject, model, found.query) | {
        "attack": _asked_method(found.method),
        "norm": found.norm,
        "size": found.size,
        "inputs": found.query.rows,
        "perturbed": found.perturbed,
        "clean_class": classes[found.clean_class],
        "attacked_class": classes[found.attacked_class],
        "success": found.success,
        "distance": found.distance,
        "model_calls": found.model_calls,
        "noise_success": found.noise_success,
        **_proof(found),
    }


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


def _asked(subject: Subject, model: ModelFile, query: Query) -> Contract:
    return {
        "subject": subject.name,
        "model": model.name,
        "seed": query.seed,
        "row_ids": np.array(query.row_ids),
        "features": [feature.name for feature in model.spec.features],
    }


def _proof(found: Attribution | Attacked) -> Contract:
    return {
        "facts": dict(found.facts),
        "question": question_key(found.query, found.method),
        "digest": found.digest,
    }


def _asked_method(method: MethodId) -> Contract:
    return {"name": method.name, "version": method.version, "options": dict(method.options)}


def _target(target: Target, spec: ModelSpec) -> Contract:
    return {"class": spec.classes[target.output] if spec.classes else None, "scale": target.scale}


def _reference(reference: Reference) -> Contract:
    return {
        "rows": len(reference),
        "seed": reference.seed,
        "digest": reference.digest,
        "row_ids": list(reference.row_ids),
    }


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
