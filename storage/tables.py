"""Every table that Assay keeps in its database, in one place.

What a person brought never stands here in the clear: names are sealed, and looked up by a keyed hash.
"""

from sqlalchemy import BigInteger, Boolean, Column, Float, Index, LargeBinary, MetaData, String, Table, Text

METADATA = MetaData()

VAULT_KEYS = Table(
    "vault_keys",
    METADATA,
    Column("id", String(16), primary_key=True),
    Column("state", String(8), nullable=False),  # current | retiring | retired
    Column("proof", LargeBinary, nullable=False),  # a known text under this key, by which a wrong key is told
)

VAULT_SECRETS = Table(
    "vault_secrets",
    METADATA,
    Column("name", String(64), primary_key=True),
    Column("wrapped", LargeBinary, nullable=False),
    Column("key", String(16), nullable=False),
)

VAULT_OBJECTS = Table(
    "vault_objects",
    METADATA,
    Column("slot", String(64), primary_key=True),  # keyed hash of kind and name
    Column("kind", String(16), nullable=False),
    Column("label", LargeBinary, nullable=False),  # the name, sealed
    Column("blob", String(64), nullable=False, unique=True),
    Column("size", BigInteger, nullable=False),
    Column("wrapped", LargeBinary, nullable=False),  # the object's own key; without it the object is gone
    Column("key", String(16), nullable=False),  # which key it is wrapped by
    Column("team", String(64), nullable=False),  # keyed hash of what it belongs to, or ""
    Column("owner", String(64), nullable=False),  # a person's id, or ""
    Column("created", Float, nullable=False),
    Column("expires", Float),
    Column("held", Boolean, nullable=False),  # under legal hold: neither expiry nor a person removes it
    Index("vault_objects_kind", "kind", "team"),
    Index("vault_objects_owner", "owner"),
    Index("vault_objects_key", "key"),
)

SESSIONS = Table(
    "sessions",
    METADATA,
    Column("id", String(64), primary_key=True),  # SHA-256 of the cookie
    Column("person", String(64), nullable=False, index=True),
    Column("claims", LargeBinary, nullable=False),  # sealed
    Column("started", Float, nullable=False),
    Column("seen", Float, nullable=False),
    Column("ended", Float),
    Column("why", String(64), nullable=False),
)

PEOPLE = Table(
    "people",
    METADATA,
    Column("id", String(64), primary_key=True),
    Column("roles", String(256), nullable=False),  # as of the last sign-in
    Column("blocked", Boolean, nullable=False),
)

LOG = Table(
    "log",
    METADATA,
    Column("number", BigInteger, primary_key=True, autoincrement=False),  # from 1, without gaps
    Column("entry", Text, nullable=False),  # canonical JSON
    Column("digest", String(64), nullable=False),  # SHA-256 of the digest before and the entry
)

LOG_CHECKPOINTS = Table(
    "log_checkpoints",
    METADATA,
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("body", Text, nullable=False),  # canonical JSON: number, digest, time
    Column("signature", LargeBinary, nullable=False),
)

COUNTERS = Table(
    "counters",
    METADATA,
    Column("name", String(160), primary_key=True),
    Column("amount", BigInteger, nullable=False),
    Column("since", Float, nullable=False),
)
