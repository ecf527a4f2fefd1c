"""The one error that a person reads."""


class UserFacingError(Exception):
    """What happened, why, and what to do now; shown as it stands on the page and the command line.

    `code` are lines to run where the remedy is to run some: a block on the page, one line on the command line.
    """

    def __init__(self, what: str, why: str, remedy: str, code: str = "") -> None:
        super().__init__(what, why, remedy, code)
        self.what = what
        self.why = why
        self.remedy = remedy
        self.code = code

    @property
    def sentence(self) -> str:
        """All but the code, on one line."""
        return " ".join(_sentence(part) for part in (self.what, self.why, self.remedy))

    def __str__(self) -> str:
        if not self.code:
            return self.sentence
        return f"{self.sentence} {'; '.join(line for line in self.code.splitlines() if line.strip())}"


def _sentence(text: str) -> str:
    """`text` on one line, closed with a full stop."""
    line = " ".join(text.split())
    return line if line.endswith((".", "?", ":")) else f"{line}."
