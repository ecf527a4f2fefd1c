"""What a process does until it is killed: puts, replacements, removals and rotations, each announced before and after.

Its libraries are imported at the top, so that a process forked with them starts at once.
"""

import os
import random
from collections.abc import Iterator
from multiprocessing.connection import Connection

import nacl.bindings  # noqa: F401
import psycopg  # noqa: F401
import s3fs  # noqa: F401

from storage import keys
from storage.sealing import CHUNK
from storage.stores import stores
from storage.vault import Item, Vault

MARKER = "known-plaintext-9c41e7"
SUBJECTS = 4
FILES = ("model", "data")
GONE = -1


def work(environment: dict[str, str], seed: int, said: Connection) -> None:
    """Changes subjects and rotates keys for ever; `said` gets (subject, version, done) around each change."""
    os.environ.update(environment)
    keys._BATCH = 2
    chance = random.Random(seed)
    vault = stores().vault
    while True:
        subject, version = chance.randrange(SUBJECTS), chance.randrange(1 << 30)
        act = chance.choice(("put", "put", "remove", "rotate"))
        if act == "rotate":
            said.send(("rotate", 0, False))
            vault.rotate()
            said.send(("rotate", 0, True))
            continue
        version = version if act == "put" else GONE
        said.send((subject, version, False))
        change(vault, subject, version)
        said.send((subject, version, True))


def change(vault: Vault, subject: int, version: int) -> None:
    """Puts both files of a subject in a version, or removes them."""
    if version == GONE:
        vault.remove("subject", *(name(subject, file) for file in FILES))
    else:
        team = f"{MARKER} {subject}"
        vault.put_all([Item("subject", name(subject, file), body(version, file), team) for file in FILES])


def name(subject: int, file: str) -> str:
    return f"{MARKER}-{subject}/{file}"


def body(version: int, file: str) -> Iterator[bytes]:
    """What a file holds in a version: small ones and ones of several chunks."""
    for number in range(1 + version % 3 * 3):
        yield f"{MARKER} {file} {version} {number}\n".encode().ljust(CHUNK // 2, b".")


def found(vault: Vault, subject: int) -> int:
    """The version that a subject is in. Raises AssertionError where it is in none or in two."""
    bodies = [vault.find("subject", name(subject, file)) for file in FILES]
    if bodies == [None, None]:
        return GONE
    assert None not in bodies, f"half of subject {subject} is there"
    version = int(bodies[0].split()[2])
    assert bodies == [b"".join(body(version, file)) for file in FILES], f"subject {subject} is mixed"
    return version
