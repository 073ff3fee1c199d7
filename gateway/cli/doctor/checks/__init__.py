"""What the legacy lane must leave as it is: the checks, in the order of the table."""

from gateway.cli.doctor.checks import (
    answer_bodies,
    answer_heads,
    connections,
    failures,
    refusals,
    request_bodies,
    request_fields,
    request_lines,
    streaming,
)

GROUPS = (
    request_fields.GROUP,
    request_lines.GROUP,
    request_bodies.GROUP,
    request_fields.HOP_BY_HOP,
    answer_heads.GROUP,
    answer_bodies.GROUP,
    streaming.GROUP,
    connections.GROUP,
    failures.GROUP,
    failures.LEAVING,
    refusals.HEADS,
    refusals.FRAMING,
)
