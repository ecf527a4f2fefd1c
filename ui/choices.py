"""What can be chosen on the pages beside methods' own options: bounds, defaults and names."""

from core.options import Option
from reports.glossary import glossary

_TERMS = glossary()

REFERENCE_SEED = Option("reference-seed", "integer", 7, "Reference seed", _TERMS["seed"], 0, 2**31 - 1)
CUTOFF = Option("cutoff", "real", 0.5, "Cut-off", _TERMS["cut-off"], 0.01, 0.99)
SAMPLE = Option("sample", "integer", 300, "Rows explained", "How many rows are drawn.", 2, 5000)
SAMPLE_SEED = Option("sample-seed", "integer", 1, "Sample seed", _TERMS["seed"], 0, 2**31 - 1)
SAMPLE_OF_IMAGES = 60
JUDGED, JUDGED_SEED = 20_000, 1  # rows that performance is measured on at most, and the seed that draws them
SAMPLE_OF_TEXTS = 40
ATTACK_SIZES = {
    "linf": Option(
        "size",
        "real",
        5.0,
        "Size, % of each range",
        "How far each value may move, in percent of the range between its bounds.",
        0.5,
        100.0,
    ),
    "l2": Option(
        "size",
        "real",
        5.0,
        "Length, % of one range",
        "How long all moves together may be: the root of the sum of their squares, each in percent of its range.",
        0.5,
        100.0,
    ),
}
ATTACK_SEED = Option("attack-seed", "integer", 0, "Attack seed", _TERMS["seed"], 0, 2**31 - 1)
ATTACK_ROWS = Option(
    "attack-rows",
    "integer",
    100,
    "Rows attacked",
    "How many rows with a true answer are drawn and attacked: held-out ones, where those are known.",
    2,
    2000,
)
ATTACK_STEPS = {"table": (0.01, 0.02, 0.05, 0.1, 0.2), "image": (0.05, 0.1, 0.15, 0.2, 0.3), "text": (0.1,)}
NORMS = {"linf": "each value alone", "l2": "all together"}

MODEL_VIEWS = {"matters": "What matters", "decides": "How well it decides"}
MODEL_VIEWS_OF_NUMBERS = MODEL_VIEWS | {"decides": "How well it predicts"}
SECTION = Option("section", "boolean", True, "Section", "Whether it goes into the report.")
AUDIENCES = {"decision": "One decision", "letter": "A letter", "full": "Whole model", "summary": "One page"}
REPORT_SECTIONS = {
    "decision": "The decision and its row",
    "attributions": "What moved it, by both methods",
    "attack": "The same decision under attack",
    "ledger": "Every choice and digest",
}


def reference_rows(default: int, most: int) -> Option:
    """How many reference rows, of as many as the data has."""
    return Option("reference", "integer", default, "Reference rows", _TERMS["reference rows"], 1, most)
