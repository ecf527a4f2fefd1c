"""A table of a TOML file, read key by key: what has the wrong type or is not known is said with its place."""

from collections.abc import Mapping
from typing import Any

from core.errors import UserFacingError


class Section:
    """One table. `place` is how the file calls it, such as `[limits]`."""

    def __init__(self, place: str, values: object) -> None:
        if not isinstance(values, Mapping):
            raise unusable(f"{place} is not a table", f"Write it as a table, with a line {place} above its keys")
        self.place = place
        self._values: Mapping[str, Any] = values

    def names(self) -> list[str]:
        """The keys that there are."""
        return list(self._values)

    def only(self, *known: str) -> None:
        """Refuses keys that are not among `known`."""
        for key in self._values:
            if key not in known:
                raise unusable(f"{self.place} does not know the key {key!r}", f"Known are: {', '.join(known)}")

    def section(self, key: str, place: str) -> "Section":
        """The table under `key`; an empty one where there is none."""
        return Section(place, self._values.get(key, {}))

    def text(self, key: str, default: str | None = None) -> str:
        """A text that is not empty; without a default it must be there."""
        value = self._values.get(key, default)
        if value is None:
            raise unusable(f"{self.place} has no {key}", f"Write {key} in {self.place}")
        if not isinstance(value, str) or (not value.strip() and value != default):
            raise self._wrong(key, "a text that is not empty, in quotes")
        return value

    def texts(self, key: str) -> tuple[str, ...]:
        """A list of texts, none of them empty; one text counts as a list of one. Empty where there is none."""
        value = self._values.get(key, [])
        listed = [value] if isinstance(value, str) else value
        if not isinstance(listed, list) or not all(isinstance(each, str) and each.strip() for each in listed):
            raise self._wrong(key, "a list of texts in quotes, none of them empty")
        return tuple(listed)

    def pairs(self, key: str) -> dict[str, str]:
        """A table of texts; whole numbers are taken as texts."""
        table = self.section(key, f"{self.place} {key}")
        found = {name: table._values[name] for name in table.names()}
        for name, value in found.items():
            if isinstance(value, bool) or not isinstance(value, str | int):
                raise table._wrong(name, "a text in quotes")
        return {name: str(value) for name, value in found.items()}

    def whole(self, key: str, default: int, low: int = 1) -> int:
        """A whole number that is at least `low`."""
        value = self._values.get(key, default)
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value < 1 << 62:
            raise self._wrong(key, f"a whole number, at least {low}")
        return value

    def whole_or_none(self, key: str) -> int | None:
        """A whole number of at least 1; None where the key is left out."""
        return self.whole(key, 1) if key in self._values else None

    def _wrong(self, key: str, wanted: str) -> UserFacingError:
        return unusable(f"{key} in {self.place} is not {wanted}", f"Write {key} as {wanted}")


def unusable(why: str, remedy: str, code: str = "") -> UserFacingError:
    """The settings cannot be used."""
    return UserFacingError("The settings cannot be used", why, remedy, code)
