"""Traffic and findings counted, and how long answers took; what the logs have of traffic is counted at once."""

from collections.abc import Iterator
from datetime import datetime
from zoneinfo import ZoneInfo

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"

_number = sa.BigInteger().with_variant(sa.Integer, "sqlite")
_NAMES = ("municipality", "vendor", "system", "information")
_OSLO = ZoneInfo("Europe/Oslo")
_FAILED = (
    *("not-supported", "malformed", "address", "patient", "loss", "refused-by-service", "signature"),
    *("too-large", "token", "scope", "no-access", "no-need", "too-many", "unavailable", "no-answer", "bad-request"),
    *("bad-target", "unrecognised", "unclear"),
)


def upgrade() -> None:
    """Make the tables, and count."""
    op.add_column("decision", sa.Column("seconds", sa.Double))
    traffic = op.create_table(
        "traffic",
        sa.Column("span", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("start", _number, primary_key=True, autoincrement=False),
        *(sa.Column(name, sa.Text, primary_key=True) for name in (*_NAMES, "mode")),
        *(sa.Column(name, sa.Integer, nullable=False) for name in ("messages", "failed")),
        *(sa.Column(name, sa.Double, nullable=False) for name in ("seconds", "slowest")),
        *(sa.Column(name, sa.Integer, nullable=False) for name in ("rehearsed", "clean")),
        sa.Column("last", sa.Double, nullable=False),
    )
    op.create_index("traffic_of_municipality", "traffic", ["municipality", "span", "start"])
    op.create_table(
        "finding",
        sa.Column("day", _number, primary_key=True, autoincrement=False),
        *(sa.Column(name, sa.Text, primary_key=True) for name in (*_NAMES, "kind", "rule", "place", "detail")),
        sa.Column("messages", sa.Integer, nullable=False),
        *(sa.Column(name, sa.Double, nullable=False) for name in ("first", "last")),
        sa.Column("reference", sa.Text, nullable=False),
    )
    op.create_index("finding_of_vendor", "finding", ["vendor", "day"])
    if rows := list(_counted(op.get_bind())):
        op.bulk_insert(traffic, rows)


def _counted(connection: sa.Connection) -> Iterator[dict[str, object]]:
    """Count what the decision log and the rehearsals have, by the day."""
    is_sqlite = connection.dialect.name == "sqlite"
    hour = "CAST(at / 3600 AS INTEGER)" if is_sqlite else "CAST(floor(at / 3600) AS BIGINT)"
    names = ", ".join(f"coalesce({name}, '')" for name in (*_NAMES, "mode"))
    failed = f"sum(CASE WHEN outcome IN {_FAILED} THEN 1 ELSE 0 END)"
    decided = f"SELECT {hour}, {names}, count(*), {failed}, 0, 0, max(at) FROM decision GROUP BY 1, 2, 3, 4, 5, 6"  # noqa: S608 - no value of anybody's
    clean = "sum(CASE WHEN verdict IN ('clean', 'repaired') THEN messages ELSE 0 END)"
    rehearsed = (
        f"SELECT hour, {', '.join(_NAMES)}, 'rehearse', 0, 0, sum(messages), {clean}, 0.0 FROM verdict "  # noqa: S608 - likewise
        "WHERE verdict IN ('clean', 'repaired', 'refused', 'defect') GROUP BY 1, 2, 3, 4, 5"
    )
    sums: dict[tuple[object, ...], list[float]] = {}
    for statement in (decided, rehearsed):
        for one, *named, messages, failures, tried, passed, last in connection.execute(sa.text(statement)):
            day = datetime.fromtimestamp(int(one) * 3600, _OSLO).replace(hour=0)
            key = (int(day.timestamp()), *named)
            before = sums.get(key, [0, 0, 0, 0, 0.0])
            added = [old + new for old, new in zip(before, (messages, failures, tried, passed), strict=False)]
            sums[key] = [*added, max(before[4], last)]
    for (start, *named), (messages, failures, tried, passed, last) in sums.items():
        yield {
            "span": 86_400,
            "start": start,
            **dict(zip((*_NAMES, "mode"), named, strict=True)),
            "messages": int(messages),
            "failed": int(failures),
            "seconds": 0.0,
            "slowest": 0.0,
            "rehearsed": int(tried),
            "clean": int(passed),
            "last": last,
        }
