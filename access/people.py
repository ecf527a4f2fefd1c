"""A person as Assay knows them."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Person:
    """`id` is what the log says: a digest of issuer and subject, never a name.

    `email` is there only where the provider says that it was verified. `mfa` says whether this sign-in was made with
    a second factor. `session` is the id of the sign-in.
    """

    id: str
    name: str
    roles: tuple[str, ...]
    email: str = ""
    issuer: str = ""
    subject: str = ""
    mfa: bool = False
    session: str = ""

    @property
    def is_local(self) -> bool:
        """Whether this is the one person at their own machine, where nobody signs in."""
        return self.id == "local"


LOCAL = Person("local", "you", ("analyst", "auditor", "admin"), mfa=True, session="local")
"""Whoever started Assay for themselves, on loopback."""
