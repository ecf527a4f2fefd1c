"""What the page Verify says at its head."""

from reports.recompute import Difference
from reports.verifying import Line
from ui import verifying

GOOD = [Line(True, "It is as it was signed."), Line(None, "The clock said so.")]


def test_the_heading_counts_what_was_checked_and_no_notes() -> None:
    assert verifying.headline("a.pdf", GOOD) == "a.pdf holds: 1 check, none failed."
    assert verifying.headline("a.pdf", [*GOOD, Line(False, "No.")]) == "a.pdf does not hold: 1 check failed."


def test_an_answer_or_a_page_that_comes_out_otherwise_stands_in_the_heading() -> None:
    same, other = Difference("one", "predict", 3, 0.0, 0.0), Difference("two", "predict", 3, 0.5, 0.1)
    assert verifying.headline("a.pdf", [*GOOD, *verifying.told([same], [])]) == "a.pdf holds: 2 checks, none failed."
    found = [*GOOD, *verifying.told([same, other], [Line(False, "Its pages differ.")])]
    assert verifying.headline("a.pdf", found) == "a.pdf does not hold: 2 checks failed."
