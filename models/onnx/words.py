"""The words that the ONNX modules share."""

from core.errors import UserFacingError

TITLE = "ONNX"


def not_taken(why: str, remedy: str, code: str = "") -> UserFacingError:
    """The error for a sound file that uses what Assay does not take."""
    return UserFacingError("This ONNX model is not taken", why, remedy, code)


def shown(text: str | bytes, longest: int = 60) -> str:
    """A name out of a file as it may stand in a sentence."""
    plain = text.decode("utf-8", "replace") if isinstance(text, bytes) else text
    line = " ".join("".join(letter if letter.isprintable() else " " for letter in plain).split())
    return line if len(line) <= longest else f"{line[:longest]}..."
