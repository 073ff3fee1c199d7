"""The keys of routes.yaml: what each means, its default, and what reads it where nothing else must be known for that."""

from gateway.config import party_keys, upstream_keys, values
from gateway.config.model import Environment
from gateway.config.route_keys import ACCEPTED, ROUTE
from gateway.config.upstreams import OrgnrClaims
from gateway.config.yaml_reader import Key, Reader, Section, must, section, unless_null
from gateway.model import Information

CUTOVER = section(
    "cutovers.*",
    must("at", "when it switches, with its offset: 2026-12-01T06:00:00+01:00"),
    must("set", "what becomes of which cells: routes as in routes, each names a municipality"),
    Key("gate", "what rehearsals must have shown; production: required where something goes new", "null"),
    Key("roll_back_when", "when it is taken back by itself; production: required where something goes new", "null"),
    Key("step_back", "whether it may take cells back to VKP, all of them or a part", "false"),
    Key("approvals", "people beside the one who submitted it; production: at least 1", "1"),
)

GATE = section(
    "cutovers.*.gate",
    must(
        "rehearsed_at_least",
        "messages of its cells that were rehearsed, and searches that were compared, at least 1",
        read=values.count,
    ),
    must("clean_at_least", "the part of them without a refusal, as 99.5%", read=values.percent),
    must("within", "how long before the switch they were rehearsed at most", read=values.duration),
)

ROLL_BACK_WHEN = section(
    "cutovers.*.roll_back_when",
    must("failed_at_least", "the part of the messages of its cells that failed, as 5%", read=values.percent),
    Key(
        "held_at_least",
        "likewise that were held and wait to be delivered, as 50%; null: what is held says nothing",
        "null",
        read=unless_null(values.percent),
    ),
    must("of_at_least", "messages; with fewer nothing is concluded", read=values.count),
    must("within", "how far is looked back, and how long it is watched", read=values.duration),
)

FREEZE = section(
    "freeze.*",
    must("from", "with its offset: 2026-12-20T00:00:00+01:00", read=values.moment, field="begins"),
    must("to", "likewise; from then on switches are possible again", read=values.moment, field="ends"),
    must("reason", "why, for people", read=Reader.text),
)

SUNSET = section(
    "sunset",
    Key("deprecated", "the date since which VKP is deprecated", read=values.day),
    Key("ends", "the date on which VKP ends", read=values.day),
    Key(
        "headers",
        "whether answers where VKP answers say so (Deprecation, RFC 9745; Sunset, RFC 8594)",
        "false",
        read=Reader.boolean,
    ),
)

PANIC = section(
    "panics.*",
    Key("municipality", "short name"),
    Key("vendor", "short name"),
    Key("information", "one type", read=values.one_of("information", Information)),
    Key("text", "what senders are told where VKP cannot answer; left out: that the service is closed, in Norwegian"),
)

ROOT = section(
    "",
    must("version", "version of the form; 1"),
    Key(
        "environment",
        "test: synthetic national identity numbers only; production: real ones only",
        "test",
        read=values.one_of("environment", Environment),
    ),
    Key("listen", "the two ports", "{}"),
    Key(
        "public_url", "the URL that senders call, for DPoP proofs; left out: listen.data's own", read=values.public_url
    ),
    Key("tls", "certificates of the data port, as files; null: it speaks plain HTTP", "null"),
    Key(
        "store",
        "the ledger: sqlite:///FILE from the folder of this file, for one process; postgresql://... for several",
        "sqlite:///var/gateway.db",
        read=values.ledger_url,
    ),
    Key("keys", "the gateway's own keys, made by vkp-gateway keys init", "{}"),
    Key("retention", "how long the ledger keeps what", "{}"),
    Key("limits", "bounds; outside mode legacy, where VKP's own hold", "{}"),
    Key(
        "unrecognised",
        "a request no surface knows: legacy (to kind vkp unchanged) or refuse",
        "legacy",
        read=values.is_word("legacy", "value of unrecognised", "legacy", "refuse"),
        field="unrecognised_passes",
    ),
    Key(
        "not_to_be_journaled",
        "a message whose class says that its event is not to be journaled: acknowledge (and deliver nowhere) or refuse",
        "acknowledge",
        read=values.word("value of not_to_be_journaled", "acknowledge", "refuse"),
    ),
    Key(
        "vkp_success",
        "what VKP's 2xx says: stored (VKP has the message) or journaled (the record has it)",
        "stored",
        read=values.word("value of vkp_success", "stored", "journaled"),
    ),
    Key("unrecognised_paths", "only what lies below these is ever passed on unrecognised", "[/epj/, /ws/]"),
    Key(
        "guard_reload",
        "whether a reload may change no cell's mode but by an approved cutover or an override; "
        "left out: true in environment production, false in test",
    ),
    Key(
        "panics",
        "what goes back to VKP at once, over all that people and cutovers have set, a list; for when the ledger cannot be written",
        "[]",
    ),
    Key("freeze", "windows in which nothing switches, a list", "[]"),
    Key("cutovers", "planned changes of cells, by short name", "{}"),
    Key("sunset", "the published end of VKP; null: none is published", "null"),
    Key("patient_numbers", "national identity numbers beyond the environment's own", "{}"),
    must("helseid", "the token service"),
    Key("admit", "what is checked before a request goes on", "{}"),
    Key("answers", "other status or code for a kind of refusal, by its name in docs/answers.md", "{}"),
    must("upstreams", "the servers that are called, by name"),
    must("municipalities", "by short name"),
    Key("vendors", "by short name", "{}"),
    must("routes", "the rules that decide the mode of each cell"),
    Key("people", "who may use the admin port; null: nobody, and it has health and metrics only", "null"),
)

LISTEN = section(
    "listen",
    Key("data", "HOST:PORT of the legacy interface", "127.0.0.1:8080", read=values.address),
    Key(
        "admin",
        "HOST:PORT of the admin interface; anything but loopback needs people",
        "127.0.0.1:8081",
        read=values.address,
    ),
    Key(
        "metrics",
        "HOST:PORT, loopback alone, for /metrics and /livez without a login; null: with people, /metrics takes a token",
        "null",
        read=unless_null(values.address),
    ),
    Key(
        "reuse_port",
        "whether several processes share the data port; they need a postgresql store",
        "false",
        read=Reader.boolean,
    ),
    Key(
        "proxy_protocol",
        "whether limits.balancers begin each connection with a header of the PROXY protocol, version 1 or 2",
        "false",
        read=Reader.boolean,
    ),
)

LIMITS = section(
    "limits",
    Key("body", "largest body; units B, kB, MB, KiB, MiB (1MB is 1,000,000 bytes)", "1MB", read=values.size),
    Key(
        "request_timeout",
        "from a request's head to its answer; units ms, s, m, h, d, y (365 days)",
        "90s",
        read=values.duration,
    ),
    Key("rate_per_sender", "requests per s, m or h", "50/s", read=values.rate),
    Key(
        "concurrent_per_sender",
        "requests of one sender under way at a time; more are refused, outside mode legacy",
        "64",
        read=values.count,
    ),
    Key(
        "parsing_per_sender",
        "of a sender whose token verifies, bytes of bodies that are read per s, m or h; more: 429",
        "2MB/s",
        read=values.byte_rate,
    ),
    Key(
        "parsing_unverified",
        "likewise of all together while no token can be verified, since HelseID was never reached; what it refuses is never read",
        "2MB/s",
        read=values.byte_rate,
    ),
    Key(
        "connections",
        "connections of senders at a time, in each process; more are closed at once",
        "20000",
        read=values.count,
    ),
    Key(
        "connections_per_address",
        "from one address, IPv6: one /64; with tls or listen.proxy_protocol 1000, without them no bound of its own",
        read=values.count,
    ),
    Key(
        "balancers",
        "addresses or networks (10.0.0.0/28) of TCP balancers, which connections_per_address does not hold for",
        "[]",
        read=values.networks,
    ),
    Key("backlog", "messages of one municipality that may be held at a time", "10000", read=values.count),
    Key("backlog_per_sender", "of them, those of one sender: others keep a place", "7500", read=values.count),
    Key("backlog_per_patient", "of them, those about one patient, likewise", "500", read=values.count),
    Key("answer", "resources that a search may find, outside mode legacy; more: 400", "1000", read=values.count),
    Key(
        "duplicate_window", "how long a message is known again; at most retention.receipt", "14d", read=values.duration
    ),
    Key(
        "journaled_wait",
        "how long a sender waits at most for the record where a route answers journaled",
        "30s",
        read=values.duration,
    ),
)

KEYS = section(
    "keys",
    Key(
        "payload",
        "AES-256-GCM keys of stored payloads, by key id: a path from the folder of this file, or ${ENV_NAME} with the text",
        "var/payload.keys",
        read=values.key_source,
    ),
    Key(
        "lookup",
        "key of the hashes that a patient's messages are found by, likewise; never rotated",
        "var/lookup.key",
        read=values.key_source,
    ),
    Key(
        "canary",
        "key of the hashes that make canary shares, likewise; never rotated",
        "var/canary.key",
        read=values.key_source,
    ),
)

RETENTION = section(
    "retention",
    Key(
        "payload",
        "contents of messages, encrypted; of promised ones at least until they are delivered",
        "14d",
        read=values.duration,
    ),
    Key("receipt", "what senders were told; not shorter than payload", "90d", read=values.duration),
    Key("decision", "which rule chose what; traffic and findings counted by the day", "90d", read=values.duration),
    Key("audit", "who did what at the admin port", "10y", read=values.duration),
)

TLS = section(
    "tls",
    must(
        "cert_file",
        "our certificate with its chain, PEM: a path from the folder of this file, or ${ENV_NAME} with the text",
        read=values.key_source,
    ),
    must("key_file", "its private key, likewise", read=values.key_source),
    Key(
        "client_ca_file",
        "authorities of senders' certificates, likewise; when set, every sender must have one",
        read=values.key_source,
    ),
)

PATIENT_NUMBERS = section(
    "patient_numbers",
    Key(
        "also",
        "kinds allowed as well: ordinary, fh, plus-40 (H-numbers), plus-65, plus-80",
        "[]",
        read=values.words("kind of patient number", ("ordinary", "fh", "plus-40", "plus-65", "plus-80")),
    ),
)

HELSEID = section(
    "helseid",
    must("issuer", "URL of the token service, as tokens have it", read=values.issuer),
    Key("audience", "what an inbound token must be for", "nhn:vkp", read=Reader.text),
    must("client_id", "the gateway's own client", read=Reader.identifier),
    must("key_file", "its private JWK: a path from the folder of this file, or ${ENV_NAME}", read=values.key_source),
    Key(
        "tenancy",
        "multi: one client acts for many municipalities; single",
        "multi",
        read=values.is_word("multi", "tenancy", "multi", "single"),
        field="multi_tenant",
    ),
    Key(
        "assertion_field",
        "the claim that names the municipality in our client assertion",
        "assertion_details",
        read=Reader.text,
    ),
    Key(
        "bearer_with_cnf",
        "a DPoP-bound token sent as plain Bearer: accept or refuse",
        "accept",
        read=values.is_word("accept", "bearer_with_cnf", "accept", "refuse"),
        field="accept_bearer_with_cnf",
    ),
    Key(
        "audience_list",
        "a token for several audiences, of which ours is one: accept or refuse",
        "refuse",
        read=values.is_word("accept", "audience_list", "accept", "refuse"),
        field="accept_audience_list",
    ),
    Key(
        "orgnr_claims",
        "a sender's token whose orgnr_parent is another organisation than the municipality: off, count or refuse",
        "count",
        read=values.one_of("orgnr_claims", OrgnrClaims),
    ),
)

ADMIT = section(
    "admit",
    Key(
        "legacy",
        "read: in mode legacy VKP itself checks the token; verify: checked here too",
        "read",
        read=values.is_word("verify", "admit.legacy", "read", "verify"),
    ),
)

ANSWER = section(
    "answers.*",
    Key("status", "HTTP status, 400 to 599"),
    Key("code", "a code of vkp-operation-outcome-v090, quoted"),
)


SECTIONS: tuple[Section, ...] = (
    ROOT,
    LISTEN,
    LIMITS,
    KEYS,
    RETENTION,
    TLS,
    PATIENT_NUMBERS,
    HELSEID,
    ADMIT,
    ANSWER,
    *upstream_keys.SECTIONS,
    *party_keys.PARTIES,
    ROUTE,
    ACCEPTED,
    PANIC,
    CUTOVER,
    GATE,
    ROLL_BACK_WHEN,
    FREEZE,
    SUNSET,
    *party_keys.PEOPLE_SECTIONS,
)
