"""The ledger's tables for how routes change: rules set at run time, cutovers, rehearsals, and which way messages went."""

from sqlalchemy import BigInteger, Column, Double, Index, Integer, Table, Text

from gateway.ledger.schema import METADATA

_Number = BigInteger().with_variant(Integer, "sqlite")

RULE = Table(
    "rule",
    METADATA,
    Column("id", Text, primary_key=True),
    Column("layer", Text, nullable=False),
    *(Column(name, Text) for name in ("municipality", "vendor", "system")),
    Column("information", Text),
    Column("mode", Text, nullable=False),
    Column("text", Text),
    Column("policies", Text),
    Column("reason", Text, nullable=False),
    Column("ticket", Text),
    Column("made_by", Text, nullable=False),
    Column("made_at", Double, nullable=False),
    Column("until", Double),
    Column("version", Integer, nullable=False),
    Column("ended_at", Double),
    Column("ended_by", Text),
    Column("ended_why", Text),
    Index("rule_now", "ended_at", "until"),
)
"""Panics and overrides; what has ended stays, for people to see."""

CUTOVER = Table(
    "cutover",
    METADATA,
    Column("name", Text, primary_key=True),
    Column("plan", Text, nullable=False),
    Column("hash", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("at", Double, nullable=False),
    Column("submitted_by", Text, nullable=False),
    Column("submitted_at", Double, nullable=False),
    Column("approvals", Text, nullable=False),
    Column("owner", Text),
    Column("lease", Double),
    Column("switched_at", Double),
    Column("ended_at", Double),
    Column("report", Text),
    Column("version", Integer, nullable=False),
    Column("history", Text, nullable=False),
    Index("cutover_due", "state", "at"),
)

VERDICT = Table(
    "verdict",
    METADATA,
    Column("hour", Integer, primary_key=True),
    *(Column(name, Text, primary_key=True) for name in ("municipality", "vendor", "system", "information", "verdict")),
    Column("reason", Text, primary_key=True),
    Column("messages", Integer, nullable=False),
)
"""Rehearsals counted, by hours since the epoch; a reason names a rule and a place, and never holds a value."""

DECISION = Table(
    "decision",
    METADATA,
    Column("id", _Number, primary_key=True, autoincrement=True),
    Column("at", Double, nullable=False),
    Column("reference", Text, nullable=False),
    Column("surface", Text, nullable=False),
    *(Column(name, Text) for name in ("municipality", "sender", "vendor", "system", "information")),
    *(Column(name, Text) for name in ("mode", "layer", "rule", "route")),
    Column("outcome", Text, nullable=False),
    Index("decision_at", "at"),
    Index("decision_reference", "reference"),
    Index("decision_cell", "municipality", "vendor", "information", "at"),
    sqlite_autoincrement=True,
)

VERSION = Table(
    "version",
    METADATA,
    Column("of", Text, primary_key=True),
    Column("number", Integer, nullable=False),
)
"""What grows with every change that other nodes must see; they look at it several times a second."""
