"""Model files that are refused, told by their content, with the lines that export the same model to a format that is
taken.
"""

from core.errors import UserFacingError


def why(data: bytes) -> UserFacingError:
    """The error for a model file that no format takes."""
    return UserFacingError(
        "This model file is not taken",
        "Its content is of no known format",
        "Export the model to one of the formats that docs/bring-a-model.md lists",
    )
