"""What the page says about a model and data that are being brought, in sentences."""

from attacks import ATTACKS
from core.facts import DataFacts, ModelFacts
from engine.intake import SEED
from engine.preflight import Preflight
from engine.shelf import Shelved
from explainers import EXPLAINERS
from reports.numbers import counted

_GIVES = {
    "gradients": "Its gradients can be followed, so that every method and attack for networks applies.",
    "trees": "Its trees can be read, so that SHAP values are exact.",
    "linear": "It is linear, so that SHAP values are exact.",
}
FENCE = (
    "A model's file and data are opened in a process of their own that sees no other file, no network and no secret, "
    "and that is ended afterwards."
)
MODELS_TAKEN = (
    "ONNX, scikit-learn as skops, XGBoost, LightGBM, CatBoost, safetensors, or a Hugging Face folder as a zip. A "
    "pickle runs code when it is opened: it is refused, with the lines that export the same model."
)
DATA_TAKEN = "CSV, Parquet, Arrow, NumPy, or pictures as a zip with one folder for each class."
_BLACK_BOX = "It can be asked and not looked into: methods for any model apply."


def granted_headline(subjects: list[Shelved]) -> str:
    """How much was granted to the person."""
    if not subjects:
        return "Nothing is granted to you now."
    return f"{counted(len(subjects), 'frozen subject')} {'is' if len(subjects) == 1 else 'are'} granted to you."


def shelf_headline(subjects: list[Shelved]) -> str:
    """How many subjects there are."""
    own = sum(subject.own for subject in subjects)
    samples = len(subjects) - own
    if not own:
        return f"{samples} samples are here, and room for your own model and data."
    return f"{own} {'subject' if own == 1 else 'subjects'} of your own and {samples} samples are here."


def model_sentences(facts: ModelFacts) -> list[str]:
    """What a model file is."""
    gives = [_GIVES[each] for each in facts.capabilities] or [_BLACK_BOX]
    return [f"{facts.title}.", _inputs(facts), " ".join(gives)]


def _inputs(facts: ModelFacts) -> str:
    if facts.modality == "image":
        return f"It reads pictures of {_size(facts.shape)} (height, width, channels)."
    if facts.modality == "text":
        return "It reads texts."
    names = [each.name for each in facts.inputs if each.name]
    if not names:
        return f"It reads {len(facts.inputs)} inputs and names none of them."
    return f"It reads {len(names)} inputs: {listed(names)}."


def data_sentences(facts: DataFacts) -> list[str]:
    """What a data file is."""
    if facts.shape:
        return [
            f"{facts.title}.",
            f"{facts.rows:,} pictures of {_size(facts.shape)}, from {facts.lower:g} to {facts.upper:g}.",
        ]
    return [f"{facts.title}.", f"{facts.rows:,} rows of {len(facts.columns)} columns: {listed(_names(facts))}."]


def _names(facts: DataFacts) -> list[str]:
    return [column.name for column in facts.columns]


def _size(shape: tuple[int, ...]) -> str:
    return " x ".join(str(size) if size else "any" for size in shape)


def listed(names: list[str], most: int = 8) -> str:
    """The first names, and how many more there are."""
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {more} more" if more > 0 else "")


def score_sentence(found: Preflight, target: str) -> str:
    """How well the model does on the rows that were tried."""
    if found.score is None:
        return "There are no true answers to compare with, so that it has no score."
    drawn = f" drawn with seed {SEED}" if found.tried < found.rows else ""
    rows = f"{found.scored:,} rows{drawn}"
    if not found.decided:
        return f"R² of its answers for {target} is {found.score:.3f} over {rows}."
    return f"It is right about {target} in {found.score:.1%} of {rows}."


def decided_sentence(found: Preflight) -> str:
    """What the first rows were decided as."""
    if not found.decided:
        return f"It gave a finite number for each of the first {found.shown} rows."
    most = sorted(found.decided.items(), key=lambda each: -each[1])
    parts = [f"{count} as {name}" for name, count in most if count]
    return f"Of {found.shown} rows it read {listed(parts)}."


def scale_sentence(found: Preflight) -> str:
    """On which scale the outputs are, and how that was told."""
    return f"Its outputs are {found.scale}; {found.told_by}."


def methods(found: Preflight) -> dict[str, str]:
    """Every method by its title: that it applies, or the sentence why it does not."""
    titles = {kind.name: kind.title for kind in (*EXPLAINERS, *ATTACKS)}
    both = {**found.explainers, **found.attacks}
    return {titles[name]: refusal or "It applies." for name, refusal in both.items()}
