"""The keys of those who may use the admin port, and of their logins."""

from gateway.config import values
from gateway.config.yaml_reader import Key, Reader, Section, must, section

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

SECTIONS: tuple[Section, ...] = (PEOPLE, PEOPLE_HELSEID, PEOPLE_SESSION, PERSON)
