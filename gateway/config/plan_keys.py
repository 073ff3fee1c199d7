"""The keys of routes.yaml that say how routes change over time."""

from gateway.config.sections import Key, must, section

CUTOVER = section(
    "cutovers.*",
    must("at", "when it switches, with its offset: 2026-12-01T06:00:00+01:00"),
    must("set", "what becomes of which cells: routes as in routes, each names a municipality"),
    Key("gate", "what rehearsals must have shown; production: required where something goes new", "null"),
    Key("roll_back_when", "when it is taken back by itself; production: required where something goes new", "null"),
    Key("approvals", "people beside the one who submitted it; production: at least 1", "1"),
)

GATE = section(
    "cutovers.*.gate",
    must("rehearsed_at_least", "messages of its cells that were rehearsed, at least 1"),
    must("clean_at_least", "the part of them without a refusal, as 99.5%"),
    must("within", "how long before the switch they were rehearsed at most"),
)

ROLL_BACK_WHEN = section(
    "cutovers.*.roll_back_when",
    must("failed_at_least", "the part of the messages of its cells that failed, as 5%"),
    must("of_at_least", "messages; with fewer nothing is concluded"),
    must("within", "how far is looked back, and how long it is watched"),
)

FREEZE = section(
    "freeze.*",
    must("from", "with its offset: 2026-12-20T00:00:00+01:00"),
    must("to", "likewise; from then on switches are possible again"),
    must("reason", "why, for people"),
)

SUNSET = section(
    "sunset",
    Key("deprecated", "the date since which VKP is deprecated"),
    Key("ends", "the date on which VKP ends"),
    Key("headers", "whether answers where VKP answers say so (Deprecation, RFC 9745; Sunset, RFC 8594)", "false"),
)
