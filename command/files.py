"""Files that a person names on the command line."""

from pathlib import Path

from core.errors import UserFacingError
from storage.files import write_whole


def place(text: str, endings: tuple[str, ...]) -> Path:
    """A file that can be written, by its name; refused, with a UserFacingError, before anything is computed."""
    out = Path(text)
    if out.suffix not in endings:
        raise UserFacingError(
            f"{text} cannot be written",
            f"Its name ends in {out.suffix or 'nothing known'}",
            f"Choose a name that ends in {' or '.join(endings)}",
        )
    if not out.parent.is_dir() or out.is_dir():
        raise UserFacingError(
            f"{text} cannot be written",
            "It is a folder" if out.is_dir() else f"There is no folder {out.parent}",
            "Name a file in a folder that exists",
        )
    return out


def folder(text: str) -> Path:
    """A folder that is there or can be made beside others."""
    out = Path(text)
    if out.exists() and not out.is_dir() or not out.parent.is_dir():
        raise UserFacingError(
            f"{text} cannot be a folder",
            "It is a file" if out.exists() else f"There is no folder {out.parent}",
            "Name a folder, new or there, in one that exists",
        )
    return out


def write(out: Path, body: bytes) -> None:
    """Writes a file whole or not at all."""
    try:
        write_whole(out, body)
    except OSError as error:
        raise UserFacingError(
            f"{out.name} could not be written",
            f"The folder refused it ({error.strerror})",
            "Make room, or choose another folder",
        ) from error


def make(out: Path) -> None:
    """Makes a folder that is not there yet."""
    try:
        out.mkdir(exist_ok=True)
    except OSError as error:
        raise UserFacingError(
            f"{out} could not be made", f"The system refused it ({error.strerror})", "Choose another folder"
        ) from error
