"""Asks everything a report rests on once more, of the model and data that it names, and compares number by number.

Nothing is taken from the evidence store. Rows come from the data by their names, a reference is drawn again with its
seed, swapped rows are made again; the rows that an attack made are those in the bundle, which the attack, asked again,
has to find too.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from access.masks import masked
from attacks.space import Space
from core.errors import UserFacingError
from core.nouns import Feature, ModelFile, ModelSpec, Query, Reference, Subject
from core.results import Attacked, Attribution, Result
from engine.again import question_again
from engine.places import NAME, TOML, Memory
from engine.questions import swap_query
from engine.queue import Cancelled, Job, Question
from engine.subjects import load_subject, read_subject
from reports.bundle import TELLING, Bundle, Filed
from reports.full import card_in
from reports.manifest import schema_digest, sha256, tolerance
from reports.numbers import counted, listed
from reports.reasons import candidates
from reports.withholding import seen
from storage.files import read_named

Progress = Callable[[float], None]
_NO_NUMBERS = ("query", "method", "facts", "norm")
_EFFECTS = ("values", "base", "output", "error", "spread")
_ROWS = ("perturbed", "noise")


class Asked(Protocol):
    """Whom questions are put to: an engine, or a desk, which asks whether the person may."""

    def submit(self, question: Question, *, fresh: bool) -> Job: ...

    def cancel(self, job: Job) -> None: ...


@dataclass(frozen=True)
class Difference:
    """One exhibit beside the same question asked again.

    `numbers` were compared; `largest` is the largest difference, as a share of its number's scale (ADR 0016), and
    `tolerance` the largest there may be. `problem` is a sentence where something else is wrong, and `note` one to know
    where nothing is; else "". `answer` is what was answered now, in full; None where nothing was.
    """

    name: str
    method: str
    numbers: int
    largest: float
    tolerance: float
    problem: str = ""
    note: str = ""
    answer: Result | None = field(default=None, repr=False, compare=False)

    @property
    def ok(self) -> bool:
        return not self.problem and self.largest <= self.tolerance

    @property
    def sentence(self) -> str:
        """What was found, in words."""
        if self.problem:
            return f"{self.name}: {self.problem}"
        return f"{self.name}: {self._compared()} {self.note}".rstrip()

    def _compared(self) -> str:
        if not self.numbers and self.ok:
            return "none of its numbers are shown; the digest of all of them is the same."
        numbers = counted(self.numbers, "number")
        if not self.largest:
            return f"{numbers} compared, no difference."
        within = "within" if self.ok else "beyond"
        apart = f"{self.largest:.1e} of their scale, {within} the {self.tolerance:g} there may be"
        return f"{numbers} compared, the largest difference {apart}."


# --- the subject -----------------------------------------------------------------------------------------------------


def subject_here(bundle: Bundle) -> Subject:
    """The subject of the name that a report gives, among those that are here. Raises UserFacingError for none."""
    name = bundle.manifest["subject"]["name"]
    if not NAME.fullmatch(name):  # it may be a path, which a stranger does not choose
        raise UserFacingError(
            "There is no subject here of the name that the report gives",
            f"{name[:48]!r} is no name that a subject can have",
            "Give the files of its model and data",
        )
    return load_subject(name)


def taken_on_trust(subject: Subject) -> str:
    """What the report says of its subject and neither file does, as a sentence; `subject` is from these files."""
    spec, cutoff = subject.model().spec, subject.cutoff
    if not spec.classes:
        return (
            f"Neither file says how the number and the features are called. The report calls it {spec.outcome.title}."
        )
    rule = "the largest output decides" if cutoff is None else f"{spec.classes[1]} is decided from {cutoff:g} upwards"
    return (
        "Neither file says where the cut-off is, nor how the classes and features are called. The report says: "
        f"{listed(list(spec.classes))}; {rule}."
    )


def subject_from(bundle: Bundle, model: Path, data: Path) -> Subject:
    """The subject that a report is about, from its model's file and its data's. They are read, the model is not opened.

    Raises UserFacingError for a file that is another than the report's, a sentence for each.
    """
    if bundle.manifest["masked"]:
        raise UserFacingError(
            "This report cannot be computed again from files alone",
            f"Its reader may not see what these columns may hold: {', '.join(bundle.manifest['masked'])}",
            "Ask whoever made it to check it where the subject is",
        )
    told, bodies = bundle.manifest, {"model": read_named(model), "data": read_named(data)}
    if sha256(bodies["model"]) != told["model"]["sha256"]:
        raise _another("model", model, told["model"]["sha256"], bodies["model"])
    another = _another("data", data, told["data"]["sha256"], bodies["data"])
    try:
        subject = _read(bundle, bodies)
    except UserFacingError as error:
        if sha256(bodies["data"]) == told["data"]["sha256"]:
            raise
        raise another from error
    if subject.dataset.digest != told["data"]["digest"]:
        raise another
    found = subject.model(told["model"]["name"])
    if found.spec.digest != told["model"]["digest"]:
        raise UserFacingError(
            "The report's schema is not the one that its model was explained with",
            f"With the features in its subject.toml the model is {found.spec.digest[:8]}, and it names another",
            "Do not trust this report",
        )
    return replace(subject, models=(replace(found, path=str(model.absolute()), card=_card(bundle)),))


def _card(bundle: Bundle) -> str:
    """The model's card as the report prints it: it stands in neither file, and is the report's own word."""
    try:
        return card_in(bundle.sheet)
    except (KeyError, TypeError, ValueError, AttributeError):
        return ""  # no page of ours, which the comparison of the pages says


def _read(bundle: Bundle, bodies: Mapping[str, bytes]) -> Subject:
    """The subject as the report's schema reads these files."""
    toml, named = bundle.files[TOML], bundle.schema
    files = {TOML: toml, named["data"]["file"]: bodies["data"], named["model"][0]["file"]: bodies["model"]}
    return read_subject(Memory(bundle.manifest["subject"]["name"], files))


def _another(what: str, file: Path, wanted: str, body: bytes) -> UserFacingError:
    return UserFacingError(
        f"{file.name} is not the {what} of this report",
        f"Its SHA-256 begins with {sha256(body)[:8]}, and that of the report's {what} with {wanted[:8]}",
        f"Name the file that has the {what} in the folder of the subject",
    )


# --- asking again ----------------------------------------------------------------------------------------------------


def recompute(
    asked: Asked,
    bundle: Bundle,
    subject: Subject,
    progress: Progress | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> list[Difference]:
    """Every exhibit, asked again and compared, in the order of the bundle.

    `progress` hears the share done; `cancelled` is asked ten times a second. Raises UserFacingError where the subject
    has not the report's model and data, and Cancelled.
    """
    again = _Again(bundle, _checked(bundle, subject))
    found: dict[str, Difference] = {}
    while len(found) < len(bundle.exhibits):
        waiting = [each for each in bundle.exhibits if each.name not in found]
        # What was asked again may have made the rows of another exhibit; where it made none, there is no way to them.
        ready = [(each, query) for each in waiting if (query := again.query(each)) is not None]
        for filed, query in ready or [(each, None) for each in waiting]:
            found[filed.name] = again.difference(asked, filed, query, cancelled)
            if progress is not None:
                progress(len(found) / len(bundle.exhibits))
    return [found[each.name] for each in bundle.exhibits]


def _checked(bundle: Bundle, subject: Subject) -> Subject:
    """The subject with the report's model alone. Raises UserFacingError for another one."""
    told = bundle.manifest
    models = [each for each in subject.models if each.spec.digest == told["model"]["digest"]]
    if not models or subject.dataset.digest != told["data"]["digest"]:
        what = "data" if models else "model"
        raise UserFacingError(
            f"This is not the {what} of the report",
            f"The {what} of {subject.title} has another digest than the report names",
            "Choose the subject as it was when it was explained, or give the files of its model and data",
        )
    model = min(models, key=lambda each: each.name != told["model"]["name"])
    other = [what for what, (here, there) in _read_as(bundle, subject, model).items() if here != there]
    if other:
        raise UserFacingError(
            "The report reads its subject in another way",
            f"{subject.title} here differs from it in {listed(other)}",
            "Ask whoever made the report, and do not trust it until you know why",
        )
    return replace(subject, models=(model,))


def _read_as(bundle: Bundle, subject: Subject, model: ModelFile) -> dict[str, tuple[Any, Any]]:
    """What tells how rows and scores are read: what it is, as the subject here and as the report has it."""
    about, named, spec = bundle.schema["subject"], bundle.schema["model"][0], model.spec
    known = {each.name: each for each in spec.features} if spec.modality == "table" else {}
    return {
        "title": (subject.title, about["title"]),
        "title of its model": (model.title, named["title"]),
        "word for a row": (subject.row_noun, about["row_noun"]),
        "cut-off": (subject.cutoff, about.get("cutoff")),
        "classes": (list(spec.classes), about.get("classes", [])),
        "verdicts": (list(subject.verdicts), about.get("verdicts", [])),
        "limits": (subject.limits, about.get("limits", "")),
        "output": (spec.output, named.get("output")),
        "features": (list(known.values()), [_feature(each, known) for each in bundle.schema.get("feature", [])]),
        "schema": (schema_digest(spec), bundle.manifest["subject"]["schema"]),
    }


def _feature(told: Mapping[str, Any], known: Mapping[str, Feature]) -> Feature:
    """A feature as a schema tells it; what it leaves out of the values, which may be masked, is as known."""
    usual = known.get(told["name"], Feature(told["name"]))
    said = {**{name: getattr(usual, name) for name in TELLING}, **told}
    return Feature(**{**said, "categories": tuple(said["categories"])})


class _Again:
    """One report's questions, made again from the data and from what was found so far."""

    def __init__(self, bundle: Bundle, subject: Subject) -> None:
        self._bundle = bundle
        self._subject = subject
        self._model = subject.model()
        self._spec = masked(subject, bundle.manifest["masked"]).model().spec
        self._asked = {each.name: each.result.query for each in bundle.exhibits}
        self._explained: list[Attribution] = []
        self._sources = [(subject.dataset.row_ids, subject.dataset.rows)]
        for each in bundle.exhibits:
            if each.kind == Attacked.__name__:
                self._learn(each.result)

    def query(self, filed: Filed) -> Query | None:
        """The question of an exhibit, made again with the digest that it had; None where that cannot be done (yet)."""
        queries = self._queries(self._asked[filed.name])
        return next((query for query in queries if query.digest == filed.query), None)

    def difference(
        self, asked: Asked, filed: Filed, query: Query | None, cancelled: Callable[[], bool] | None
    ) -> Difference:
        """An exhibit beside the answer to its question, which is asked now."""
        told, problem = filed.result, self._reference_problem(filed) or self._choice_problem(filed)
        nothing = Difference(filed.name, filed.method["name"], 0, 0.0, filed.tolerance)
        brought = self._is_brought(self._asked[filed.name])
        if query is None:
            return replace(nothing, problem=problem or self._lost(filed))
        try:
            found = _ask(asked, question_again(self._model, replace(told, query=query)), cancelled)
        except Cancelled:
            raise
        except UserFacingError as error:
            return replace(nothing, problem=str(error))
        self._learn(found)
        compared = _compared(filed, told, found, self._shown(found), self._model.spec, problem)
        return replace(compared, note=_brought(told.query.row_ids) if brought else "")

    def _shown(self, found: Result) -> Result:
        return seen(found, self._spec, self._bundle.audience, self._bundle.manifest["row_ids"])

    def _learn(self, result: Result) -> None:
        """Keeps what other exhibits' rows may be made from."""
        if isinstance(result, Attacked):
            self._sources += [(result.query.row_ids, result.perturbed), (result.query.row_ids, result.noise)]
        if isinstance(result, Attribution):
            self._explained.append(result)

    def _queries(self, told: Query) -> Iterator[Query]:
        """What the question may have been, by the names of its rows."""
        reference = self._reference(told)
        for row_ids, rows in self._sources:
            places = _places(row_ids, told.row_ids)
            if places is not None:
                yield replace(told, rows=rows[places], reference=reference)
        if self._is_brought(told):
            yield replace(told, reference=reference)
        for explained in self._explained:
            ids = explained.query.row_ids
            if told.row_ids[0] in ids and explained.query.reference is not None:
                index = ids.index(told.row_ids[0])
                parts = [factor.positions for factor in candidates(explained, self._model.spec, index)]
                yield swap_query(explained.query, index, parts)

    def _is_brought(self, told: Query) -> bool:
        """Whether its rows are of none but the report's own cases, which somebody brought and the data do not hold."""
        brought = set(self._bundle.manifest["row_ids"]) - set(self._subject.dataset.row_ids)
        return brought.issuperset(told.row_ids)

    def _reference(self, told: Query) -> Reference | None:
        """The reference that a question names, with the rows of the data."""
        reference, vocabulary = told.reference, self._model.spec.vocabulary
        if reference is None:
            return None
        dataset = self._subject.dataset
        if vocabulary is not None:
            place = _places(dataset.row_ids, told.row_ids)
            return None if place is None else self._subject.masked(place[0], vocabulary)
        places = _places(dataset.row_ids, reference.row_ids)
        return None if places is None else Reference(dataset.rows[places], reference.row_ids, reference.seed)

    def _reference_problem(self, filed: Filed) -> str:
        """What is wrong with the reference, as a sentence."""
        told = self._asked[filed.name]
        if told.reference is None or self._model.spec.vocabulary is not None:
            return ""
        size, seed = len(told.reference), told.reference.seed
        if seed is None:
            return "its reference was not drawn by a seed, so that somebody chose its rows."
        if size > len(self._subject.dataset) or self._subject.reference(size, seed).row_ids != told.reference.row_ids:
            return f"its reference is not the draw of {size:,} rows that the seed {seed} gives."
        return ""

    def _choice_problem(self, filed: Filed) -> str:
        """That somebody chose the many rows that a prediction or an attack is about, as a sentence.

        Those of an explanation may be cases, which a rule names.
        """
        told, dataset = self._asked[filed.name], self._subject.dataset
        if filed.kind == Attribution.__name__ or len(told) == 1 or _places(dataset.row_ids, told.row_ids) is None:
            return ""
        drawn = [dataset.sample(len(told), told.seed, judged_only) for judged_only in (False, True)]
        draws = [tuple(dataset.row_ids[place] for place in places) for places in drawn]
        draws += [each.reference.row_ids for each in self._asked.values() if each.reference is not None]
        return (
            "" if told.row_ids in draws else "its rows are neither a reference of this report nor a draw by its seed."
        )

    def _lost(self, filed: Filed) -> str:
        """Why a question could not be made again, as a sentence."""
        told = self._asked[filed.name]
        reference = self._reference(told)
        if filed.reference and (reference is None or reference.digest != filed.reference["digest"]):
            return "the rows of its reference are not those of the data."
        if set(told.row_ids) <= set(self._subject.dataset.row_ids):
            return "its rows are neither those of the data nor made by an attack of this report."
        return "its rows are not in the data, and nothing in this report makes them."


def _brought(row_ids: Sequence[str]) -> str:
    return f"Its row {row_ids[0][:48]!r} is not in the data; its values are the report's own."


def _places(row_ids: Sequence[str], wanted: Sequence[str]) -> list[int] | None:
    """Where the wanted rows are; None unless all are there."""
    places = {each: place for place, each in enumerate(row_ids)}
    found = [places.get(each) for each in wanted]
    return None if None in found else found


def _ask(asked: Asked, question: Question, cancelled: Callable[[], bool] | None) -> Result:
    job = asked.submit(question, fresh=True)
    while not job.wait(0.1):
        if cancelled is not None and cancelled():
            asked.cancel(job)
    return job.result()


# --- comparing -------------------------------------------------------------------------------------------------------


def _compared(filed: Filed, told: Result, found: Result, shown: Result, spec: ModelSpec, problem: str) -> Difference:
    """What the bundle has beside what was found, as far as its reader is `shown` that."""
    numbers, largest, unseen = 0, 0.0, False
    for each in fields(found):
        if each.name in _NO_NUMBERS:
            continue
        here, there, whole = (getattr(result, each.name) for result in (told, shown, found))
        if here is None or there is None:
            largest = largest if here is there else np.inf
            continue
        here, there, whole = (np.asarray(value, dtype=np.float64) for value in (here, there, whole))
        away = there != whole
        unseen |= bool((away & ~np.isnan(whole)).any())
        numbers += int(there.size - (away & ~np.isnan(whole)).sum())
        largest = max(largest, _apart(here, there, _scale(each.name, found, spec)))
    if isinstance(told, Attacked) and told.norm != found.norm:
        largest = np.inf
    if unseen and found.digest != filed.digest and not problem:
        problem = "some of its numbers are withheld, and the digest of all of them is another."
    allowed = min(filed.tolerance, tolerance(found.method))
    return Difference(filed.name, found.method.name, numbers, float(largest), allowed, problem, answer=found)


def _apart(here: np.ndarray, there: np.ndarray, scale: Any) -> float:
    """The largest difference in units of `scale`; infinite where one has a number and the other none."""
    if here.shape != there.shape:
        return np.inf
    same = (here == there) | (np.isnan(here) & np.isnan(there))
    apart = np.where(same, 0.0, np.abs(here - there) / scale)
    return float(np.nan_to_num(apart, nan=np.inf, posinf=np.inf).max(initial=0.0))


def _scale(name: str, found: Result, spec: ModelSpec) -> Any:
    """The unit in which a number's difference counts (ADR 0016)."""
    if name in _EFFECTS:
        return found.spread
    if name in _ROWS:
        return Space(spec).span.reshape(spec.shape)
    if "outputs" in name:
        largest = float(np.abs(getattr(found, name)).max(initial=0.0))
        return max(largest, 1.0) if spec.classes else largest or 1.0
    return 1.0
