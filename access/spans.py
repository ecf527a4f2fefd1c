"""Lengths of time in words."""

_UNITS = (("day", 86400), ("hour", 3600), ("minute", 60), ("second", 1))


def span(seconds: float) -> str:
    """`seconds` in at most two units next to each other, rounded up: 1 hour 30 minutes."""
    left = max(1, -int(-seconds // 1))
    position = next(place for place, (_, size) in enumerate(_UNITS) if left >= size)
    smallest = _UNITS[min(position + 1, len(_UNITS) - 1)][1]
    left = -(-left // smallest) * smallest
    said = []
    for unit, size in _UNITS[position : position + 2]:
        count, left = divmod(left, size)
        if count:
            said.append(f"{count} {unit}{'s' if count != 1 else ''}")
    return " ".join(said)
