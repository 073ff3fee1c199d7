"""What the legacy lane must leave as it is: the checks, in the order of the table."""

from gateway.cli.doctor.checks import (
    answers,
    connections,
    failures,
    refusals,
    request_bodies,
    request_heads,
    streaming,
)

GROUPS = (
    request_heads.FIELDS,
    request_heads.LINES,
    request_bodies.GROUP,
    request_heads.HOP_BY_HOP,
    answers.HEADS,
    answers.BODIES,
    streaming.GROUP,
    connections.GROUP,
    failures.GROUP,
    failures.LEAVING,
    refusals.HEADS,
    refusals.FRAMING,
)
