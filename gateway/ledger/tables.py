"""The ledger's tables, alike on SQLite and PostgreSQL; changes to them are migrations (folder `migrations`)."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Double,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    text,
)

METADATA = MetaData()

_KEPT = text("payload IS NOT NULL")
_Number = BigInteger().with_variant(Integer, "sqlite")

MESSAGE = Table(
    "message",
    METADATA,
    Column("id", _Number, primary_key=True, autoincrement=True),
    Column("reference", Text, nullable=False, unique=True),
    Column("received_at", Double, nullable=False),
    Column("surface", Text, nullable=False),
    Column("municipality", Text, nullable=False),
    Column("sender", Text, nullable=False),
    Column("vendor", Text),
    Column("system", Text),
    Column("information", Text),
    # Keyed hashes: of the patient's number, of what the message calls itself, and of that with its content.
    Column("patient", Text),
    Column("identity", Text),
    Column("copy", Text, unique=True),
    Column("state", Text, nullable=False),
    Column("reason", Text),
    Column("promised", Boolean, nullable=False),
    Column("told", Boolean, nullable=False),
    Column("resend_unclear", Boolean, nullable=False),
    Column("acknowledge_within", Double, nullable=False),
    Column("owner", Text),
    Column("lease", Double),
    Column("attempts", Integer, nullable=False, server_default="0"),
    Column("tries", Integer, nullable=False, server_default="0"),
    Column("looks", Integer, nullable=False, server_default="0"),
    Column("due", Double),
    Column("upstream", Text),
    Column("event_id", Text),
    Column("event_kind", Text),
    Column("delivered_at", Double),
    Column("overdue_at", Double),
    Column("status", Integer),
    Column("possible_duplicate", Boolean, nullable=False, server_default=text("false")),
    Column("identifier_reused", Boolean, nullable=False, server_default=text("false")),
    Column("overdue", Boolean, nullable=False, server_default=text("false")),
    Column("payload", LargeBinary),
    Column("history", Text, nullable=False),
    Index("message_due", "state", "due", "id"),
    Index("message_of_patient", "patient", "municipality", "state", "id"),
    Index("message_identity", "identity"),
    # What people search by, each with the time that a list is in order of.
    *(Index(f"message_of_{name}", name, "received_at", "id") for name in ("municipality", "sender", "state")),
    Index("message_received", "received_at", "id"),
    # The condition as SQLAlchemy writes it: SQLite uses such an index only where it reads the same.
    *(
        Index(f"message_{name}", "received_at", "id", sqlite_where=text(f"{name} = 1"), postgresql_where=text(name))
        for name in ("possible_duplicate", "identifier_reused", "overdue")
    ),
    Index("message_with_payload", "received_at", sqlite_where=_KEPT, postgresql_where=_KEPT),
    sqlite_autoincrement=True,
)

PATIENT_NUMBER = Table(
    "patient_number",
    METADATA,
    Column("message", _Number, primary_key=True, autoincrement=False),
    Column("patient", Text, primary_key=True),
    Index("patient_number_patient", "patient"),
)
"""Keyed hashes of the numbers that the patient of a message has beside the one by which messages are put in order."""

SHARE = Table(
    "share",
    METADATA,
    Column("id", _Number, primary_key=True, autoincrement=True),
    Column("message", _Number, nullable=False),
    Column("target", Text, nullable=False),
    Column("reference", Text, nullable=False),
    Column("municipality", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("reason", Text),
    Column("left_out", Text),
    Column("tries", Integer, nullable=False, server_default="0"),
    Column("created_at", Double, nullable=False),
    Column("due", Double),
    Column("ended_at", Double),
    Column("owner", Text),
    Column("lease", Double),
    Column("payload", LargeBinary),
    Index("share_of_message", "message", "target", unique=True),
    Index("share_due", "state", "due"),
    Index("share_reference", "reference"),
    sqlite_autoincrement=True,
)
"""What of a message is shared with another service once it is journaled; payloads are sealed, and kept until that is done."""

AUDIT = Table(
    "audit",
    METADATA,
    Column("id", _Number, primary_key=True, autoincrement=True),
    Column("at", Double, nullable=False),
    Column("node", Text, nullable=False),
    Column("actor", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("target", Text, nullable=False),
    Column("reason", Text),
    Column("detail", Text),
    Column("hash", Text, nullable=False),
    Index("audit_at", "at"),
    *(Index(f"audit_{name}", name, "id") for name in ("actor", "action", "target")),
    sqlite_autoincrement=True,
)

RUN = Table(
    "run",
    METADATA,
    Column("job", Text, primary_key=True),
    Column("at", Double, nullable=False),
    Column("node", Text, nullable=False),
    Column("outcome", Text, nullable=False),
)
"""The last time that each regular job ended well, so that one that no longer runs is noticed; and what all nodes must know
alike: the newest entry of the audit, the fingerprint of the canary key."""

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

TRAFFIC = Table(
    "traffic",
    METADATA,
    Column("span", Integer, primary_key=True, autoincrement=False),
    Column("start", _Number, primary_key=True, autoincrement=False),
    *(Column(name, Text, primary_key=True) for name in ("municipality", "vendor", "system", "information", "mode")),
    *(Column(name, Integer, nullable=False) for name in ("messages", "failed")),
    *(Column(name, Double, nullable=False) for name in ("seconds", "slowest")),
    *(Column(name, Integer, nullable=False) for name in ("rehearsed", "clean")),
    Column("last", Double, nullable=False),
    Index("traffic_of_municipality", "municipality", "span", "start"),
)
"""Messages counted by the hour and by the Norwegian day, and by the way that they went."""

FINDING = Table(
    "finding",
    METADATA,
    Column("day", _Number, primary_key=True, autoincrement=False),
    *(Column(name, Text, primary_key=True) for name in ("municipality", "vendor", "system", "information")),
    *(Column(name, Text, primary_key=True) for name in ("kind", "rule", "place", "detail")),
    Column("messages", Integer, nullable=False),
    *(Column(name, Double, nullable=False) for name in ("first", "last")),
    Column("reference", Text, nullable=False),
    Index("finding_of_vendor", "vendor", "day"),
)
"""Faults, repairs and losses counted by the Norwegian day; a place is a path, and no row holds a value of a message."""

COMPARISON = Table(
    "comparison",
    METADATA,
    Column("day", Integer, primary_key=True),
    *(Column(name, Text, primary_key=True) for name in ("municipality", "vendor", "system", "information", "outcome")),
    Column("answers", Integer, nullable=False),
)
"""Comparisons of VKP's answers with the new side's counted, by days since the epoch."""

DIFFERENCE = Table(
    "difference",
    METADATA,
    *(
        Column(name, Text, primary_key=True)
        for name in ("municipality", "vendor", "system", "information", "fingerprint")
    ),
    *(Column(name, Text, nullable=False) for name in ("path", "kind", "correlation_id")),
    *(Column(name, Integer, nullable=False) for name in ("answers", "places")),
    Column("is_accepted", Boolean, nullable=False),
    *(Column(name, Double, nullable=False) for name in ("first_seen", "last_seen")),
    Index("difference_last_seen", "last_seen"),
)
"""What comparisons found: names of elements, and never an index, an id or a value."""

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
    *(Column(name, Text) for name in ("diagnostics", "repairs", "losses")),
    Column("seconds", Double),
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

IDEMPOTENCY = Table(
    "idempotency",
    METADATA,
    Column("key", Text, primary_key=True),
    Column("content", Text, nullable=False),
    Column("owner", Text, nullable=False),
    Column("at", Double, nullable=False),
    Column("is_begun", Boolean, nullable=False),
    Column("answer", LargeBinary),
    Index("idempotency_at", "at"),
)
"""Requests with an Idempotency-Key: keyed hashes, and sealed answers."""

REPLICA_FEED = Table(
    "replica_feed",
    METADATA,
    Column("municipality", Text, primary_key=True),
    # Which service: pit or okt.
    Column("source", Text, primary_key=True),
    # The generation that answers; none before the first was complete.
    Column("serving", Integer),
    Column("owner", Text),
    # By the database's own clock.
    Column("lease", Double),
    Column("failures", Integer, nullable=False, server_default="0"),
    Column("failure", Text),
    Column("failed_at", Double),
)
"""The local copies of what information services have, one for each municipality and service, and which node fills each."""

REPLICA_GENERATION = Table(
    "replica_generation",
    METADATA,
    Column("municipality", Text, primary_key=True),
    Column("source", Text, primary_key=True),
    Column("generation", Integer, primary_key=True),
    # What made its rows: the translation's version and the key of the hashes; another one cannot read them.
    Column("maker", Text, nullable=False),
    Column("began_at", Double, nullable=False),
    Column("complete_at", Double),
    # From when on its window asks, where that stands (sealed), when it began, and how far it has read.
    Column("since", Text, nullable=False),
    Column("cursor", LargeBinary),
    Column("window_at", Double),
    Column("read_to", Text),
    Column("asked_at", Double),
    # When the last window began that was read to its end: what the service had then is here.
    Column("fresh_at", Double),
    Column("pages", Integer, nullable=False, server_default="0"),
    Column("entries", Integer, nullable=False, server_default="0"),
)
"""The state of each generation of a copy: the one that answers, and one that is being made beside it."""

REPLICA_PATIENT = Table(
    "replica_patient",
    METADATA,
    Column("id", _Number, primary_key=True, autoincrement=True),
    Column("municipality", Text, nullable=False),
    Column("generation", Integer, nullable=False),
    # Keyed hashes: of the service's own id, and of the national number that services are found by.
    Column("resource", Text, nullable=False),
    Column("patient", Text),
    Column("updated", Text, nullable=False),
    Column("sealed", LargeBinary, nullable=False),
    Index("replica_patient_resource", "municipality", "generation", "resource", unique=True),
    sqlite_autoincrement=True,
)

REPLICA_IDENTIFIER = Table(
    "replica_identifier",
    METADATA,
    Column("municipality", Text, primary_key=True),
    Column("generation", Integer, primary_key=True, autoincrement=False),
    Column("hash", Text, primary_key=True),
    Column("row", _Number, primary_key=True, autoincrement=False),
    # Whether it is the national number that the patient is best known by: `replica_patient.patient`.
    Column("is_first", Boolean, nullable=False),
    Index("replica_identifier_row", "row"),
    # Hashes come in no order: each tree of them costs as much as writing the patient.
    sqlite_with_rowid=False,
)
"""Keyed hashes of the identifiers that a patient of a copy is found by: national numbers, and those of the record system."""

REPLICA_SERVICE = Table(
    "replica_service",
    METADATA,
    Column("id", _Number, primary_key=True, autoincrement=True),
    Column("municipality", Text, nullable=False),
    # The keyed hash of the national number, as in `replica_patient`.
    Column("patient", Text, nullable=False),
    Column("source", Text, nullable=False),
    Column("iplos", Integer),
    Column("level", Text),
    Column("begins", Text),
    Column("ends", Text),
    Column("is_ceased", Boolean, nullable=False),
    Column("seen_at", Double, nullable=False),
    Column("sealed", LargeBinary),
    Index("replica_service_patient", "municipality", "patient"),
    Index("replica_service_iplos", "municipality", "iplos"),
    sqlite_autoincrement=True,
)
"""Who has which service: by OKT or by a file, beside whichever generation of patients answers."""

LEARNT_NUMBER = Table(
    "learnt_number",
    METADATA,
    Column("municipality", Text, primary_key=True),
    # Keyed, of an identifier system and a number of the record system's own.
    Column("hash", Text, primary_key=True),
    Column("sealed", LargeBinary, nullable=False),
    Column("learnt_at", Double, nullable=False),
    Index("learnt_number_at", "municipality", "learnt_at"),
)
"""National numbers by the record system's own, as VKP's lists of patients have told."""

LEARNT_LIST = Table(
    "learnt_list",
    METADATA,
    Column("municipality", Text, primary_key=True),
    # Until when a node asks for it.
    Column("lease", Double),
    Column("asked_at", Double),
    Column("is_failed", Boolean, nullable=False),
)
"""When VKP's list of a municipality's patients was asked for, so that no two nodes do so at once."""
