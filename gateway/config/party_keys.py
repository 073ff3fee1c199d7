"""The keys of municipalities, of vendors with their systems, of senders, and of those who may use the admin port."""

from gateway.config import values
from gateway.config.upstreams import SERVICE_KINDS
from gateway.config.yaml_reader import Key, Reader, Section, must, section

MUNICIPALITY = section(
    "municipalities.*",
    must("name", "full name"),
    must("orgnr", "nine digits, the main entity; R4 callers have it in the URL"),
    Key("her_ids", "STU3 callers have one in the URL and in MessageHeader.receiver", "[]"),
    must("epj", "its record system"),
    Key(
        "unknown_codes",
        "a code that is in no table of its code system, or not of the one that VKP's profile requires: refuse, or pass with a "
        "mark; what a dispense is must be known in any case",
        "refuse",
    ),
    Key("patient_ids", "by identifier system of the record system: where its patients' national numbers are", "{}"),
    Key("services_from", "who says which patient has which service, for tjenstlig behov: okt, or {file: PATH}", "null"),
    Key(
        "partner_profile",
        "by ServiceCode, patterns of service levels with % as in VKP: {TA: [%.2.1]}; for a file and the record system's own levels",
        "{}",
    ),
    Key("kommunenummer", "four digits, quoted; without it nothing is shared with PMD", "null"),
)

SERVICES_FROM = section(
    "municipalities.*.services_from",
    must("file", "CSV of who has which service (docs/retrieval.md), from the folder of this file"),
)

PATIENT_IDS = section(
    "municipalities.*.patient_ids.*",
    must(
        "resolve",
        "table: from `file`; vkp: from VKP's lists of patients, asked for with the municipality's own client; pit: from the copy of PIT",
    ),
    Key("file", "CSV without a header line, from the folder of this file: local number, national number"),
)

EPJ = section(
    "municipalities.*.epj",
    must("system", "name of the product", read=Reader.text),
    must(
        "generation",
        "legacy: VKP reaches it; new: it does not",
        read=values.is_word("new", "generation", "legacy", "new"),
        field="new_generation",
    ),
    Key("reads", "services it reads events from", "[]", read=values.words("service", SERVICE_KINDS)),
    Key("feeds", "services it feeds", "[]", read=values.words("service", SERVICE_KINDS)),
    Key("upstream", "the upstream of kind epj that is this record system itself", read=Reader.identifier),
)

VENDOR = section(
    "vendors.*",
    must("name", "full name"),
    must("systems", "its systems, by short name"),
)

SYSTEM = section(
    "vendors.*.systems.*",
    must("name", "full name"),
    Key("senders", "its HelseID clients", "[]"),
)

SENDER = section(
    "vendors.*.systems.*.senders.*",
    Key("vkp_id", "as R4 tokens have it", read=Reader.identifier),
    Key("her_id", "as STU3 tokens have it", read=Reader.identifier),
    Key("municipality", "the one it may call"),
    Key("municipalities", "all: every one; environment test only"),
    Key(
        "service_codes",
        "those it may name in ServiceCodes, outside mode legacy; none: not checked",
        "[]",
        read=Reader.identifiers,
    ),
    Key("rate", "in place of limits.rate_per_sender", read=values.rate),
    Key("code_history", "by code system, the table that its codes are of: {alert: until-2022-01-14}, or today", "{}"),
    Key(
        "apprec",
        "over SOAP, which AppRec it is answered with: 1.0 or 1.1",
        "1.1",
        read=values.word("version of AppRec", "1.0", "1.1"),
    ),
    Key(
        "signature",
        "refuse or ignore: what becomes of its signed MsgHeads, outside mode legacy; none is verified",
        "refuse",
        read=values.word("value of signature", "refuse", "ignore"),
    ),
)

PEOPLE = section(
    "people",
    must("url", "the admin port as browsers call it: scheme, host and port; https unless loopback"),
    must("helseid", "the HelseID client with which people log in, at helseid.issuer"),
    Key("security_level", "the lowest that a login must have: 3 or 4", "4"),
    Key("session", "how long a login lasts", "{}"),
    Key("tokens_file", "where API tokens are kept, hashed; a path from the folder of this file", "var/api-tokens.json"),
    must("persons", "who has which roles, by short name; all entries that fit a person count"),
)

PEOPLE_HELSEID = section(
    "people.helseid",
    must(
        "client_id",
        "a client for logins alone; its redirect URI is people.url with /login/callback",
        read=Reader.identifier,
    ),
    must("key_file", "its private JWK: a path from the folder of this file, or ${ENV_NAME}", read=values.key_source),
    Key(
        "scopes",
        "what HelseID is asked for; openid must be there",
        "[openid, profile, helseid://scopes/identity/security_level, helseid://scopes/identity/pid_pseudonym]",
        read=Reader.texts,
    ),
)

PEOPLE_SESSION = section(
    "people.session",
    Key("idle", "a login ends when it was not used for so long", "20m", read=values.duration),
    Key("longest", "a login ends after so long in any case", "8h", read=values.duration),
)

PERSON = section(
    "people.persons.*",
    must("claim", "the claim of the ID token that tells who is meant; never the national identity number"),
    must("value", "what the claim must be, exactly"),
    must("roles", "viewer, planner, approver, operator"),
    Key("municipalities", "short names that the roles are limited to; left out: all"),
    Key(
        "full_name",
        "what pages call whoever is meant; left out: by the short name, which `kari-planlegger` makes Kari Planlegger",
    ),
    Key("contact", "how an operator is reached, for those who may turn no panic on themselves"),
)

PARTIES: tuple[Section, ...] = (MUNICIPALITY, PATIENT_IDS, SERVICES_FROM, EPJ, VENDOR, SYSTEM, SENDER)
PEOPLE_SECTIONS: tuple[Section, ...] = (PEOPLE, PEOPLE_HELSEID, PEOPLE_SESSION, PERSON)
