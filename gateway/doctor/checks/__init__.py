"""The checks, in the order of the table."""

from gateway.doctor.checks import (
    answer_bodies,
    answer_heads,
    connections,
    failures,
    hop_by_hop,
    leaving,
    refused_framing,
    refused_heads,
    request_bodies,
    request_fields,
    request_lines,
    streaming,
)

GROUPS = (
    request_fields.GROUP,
    request_lines.GROUP,
    request_bodies.GROUP,
    hop_by_hop.GROUP,
    answer_heads.GROUP,
    answer_bodies.GROUP,
    streaming.GROUP,
    connections.GROUP,
    failures.GROUP,
    leaving.GROUP,
    refused_heads.GROUP,
    refused_framing.GROUP,
)
