"""Whether a cookie secret was drawn at random: what a person thinks up is guessed.

This refuses what is plainly not random. It cannot tell that a secret is.
"""

import re

MAKE = 'python -c "import secrets; print(secrets.token_urlsafe(48))"'
SHORTEST = 32
_FEWEST = 10  # different characters; 32 random hexadecimal digits have fewer once in a few thousand
_WRITTEN = ("secret", "example", "change", "replace", "password", "your")
_WORD = re.compile(r"[A-Z]?[a-z]{5,}|[A-Z]{5,}")


def weakness(secret: str) -> str:
    """What is wrong with it, as the end of a sentence that begins with "it"; "" where nothing is."""
    if len(secret) < SHORTEST:
        return f"has {len(secret)} characters and needs at least {SHORTEST}"
    if any(word in secret.lower() for word in _WRITTEN):
        return "reads like the text of an example"
    if len(set(secret)) < _FEWEST:
        return f"is made of only {len(set(secret))} different characters"
    if any(secret[period:] == secret[:-period] for period in range(1, len(secret) // 2 + 1)):
        return "repeats itself"
    if _steps(secret) * 2 > len(secret):
        return "counts up or down"
    if sum(len(word) for word in _WORD.findall(secret)) * 2 > len(secret):
        return "is made of words"
    return ""


def _steps(secret: str) -> int:
    """How many characters are the one before, or its neighbour in the alphabet."""
    return sum(abs(ord(left) - ord(right)) <= 1 for left, right in zip(secret, secret[1:], strict=False))
