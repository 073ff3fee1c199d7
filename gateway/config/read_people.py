"""The part `people` of routes.yaml: how people log in to the admin port, and what they may do there."""

import re
from collections.abc import Collection
from functools import partial

from yaml import Node

from gateway.config import party_keys, values, yaml_nodes
from gateway.config.model import (
    NEEDED_SCOPES,
    PID,
    PID_SCOPE,
    PSEUDONYM,
    Entry,
    Listen,
    People,
    PeopleClient,
    Role,
    SessionTimes,
)
from gateway.config.yaml_nodes import quoted
from gateway.config.yaml_reader import Fields, Reader

_NATIONAL_NUMBER = re.compile(r"\s*[0-9]{6}\s?[0-9]{5}\s*")
_LEVELS = ("3", "4")


def people(reader: Reader, root: Fields, listen: Listen | None, names: Collection[str] | None) -> People | None:
    """Read who may use the admin port; None when nobody may, or a problem was reported."""
    found = root.get("people", partial(_people, reader, names))
    if found is None or listen is None or values.is_loopback(listen.admin.host):
        return found
    if not found.url.startswith("https:"):
        text = f"listen.admin {listen.admin} is not loopback; then people.url must be https"
        reader.error(root.value("people"), text)
    return found


def is_wanted(root: Fields) -> bool:
    """Tell whether the file says anything about people."""
    return "people" in root and not yaml_nodes.is_unused(root.value("people"))


def _people(reader: Reader, names: Collection[str] | None, node: Node) -> People | None:
    if yaml_nodes.is_unused(node) or (fields := reader.fields(node, party_keys.PEOPLE)) is None:
        return None
    url = fields.get("url", partial(values.origin, reader))
    client = fields.get("helseid", partial(_client, reader))
    level = fields.get("security_level", lambda at: reader.choice(at, "security level", _LEVELS))
    session = fields.get("session", partial(_session, reader))
    tokens_file = fields.get("tokens_file", reader.text)
    entries = fields.get("persons", partial(_entries, reader, names)) or ()
    if client is not None:
        _check_scopes(reader, fields, client, entries)
    if "persons" in fields and yaml_nodes.is_unused(fields.value("persons")):
        reader.warn(fields.value("persons"), "nobody has a role")
    if url is None or client is None or level is None or session is None or tokens_file is None:
        return None
    return People(url, client, int(level), session, tokens_file, entries)


def _client(reader: Reader, node: Node) -> PeopleClient | None:
    fields = reader.fields(node, party_keys.PEOPLE_HELSEID)
    client = None if fields is None else reader.made(fields, PeopleClient, place=reader.place(fields.value("key_file")))
    if fields is None or client is None:
        return None
    if "openid" not in client.scopes:
        reader.error(fields.value("scopes"), 'a login needs the scope "openid"')
    if PID_SCOPE in client.scopes:
        text = "the gateway takes no national identity numbers of people: ask for the pseudonym, "
        reader.error(fields.value("scopes"), text + NEEDED_SCOPES[PSEUDONYM])
    return client


def _session(reader: Reader, node: Node) -> SessionTimes | None:
    fields = reader.fields(node, party_keys.PEOPLE_SESSION)
    times = None if fields is None else reader.made(fields, SessionTimes)
    if fields is not None and times is not None and times.idle > times.longest:
        reader.error(fields.value("idle"), "people.session.idle is longer than people.session.longest")
    return times


def _entries(reader: Reader, names: Collection[str] | None, node: Node) -> tuple[Entry, ...]:
    read = (_entry(reader, names, name, value) for name, (_, value) in reader.named(node).items())
    return tuple(entry for entry in read if entry is not None)


def _entry(reader: Reader, names: Collection[str] | None, name: str, node: Node) -> Entry | None:
    if (fields := reader.fields(node, party_keys.PERSON)) is None:
        return None
    claim = fields.get("claim", reader.text)
    value = fields.get("value", partial(_value, reader))
    words = [reader.choice(item, "role", list(Role)) for item in fields.get("roles", reader.items) or ()]
    if "roles" in fields and not words:
        reader.error(fields.value("roles"), "an entry without roles gives nothing")
    if claim == PID:
        reader.error(fields.value("claim"), "a national identity number may not stand here: go by the pseudonym")
    municipalities = None
    if "municipalities" in fields:
        items = fields.get("municipalities", reader.items) or []
        if not items:
            reader.error(fields.value("municipalities"), "name a municipality, or leave the key out for all")
        known = (reader.known(item, "municipality", names) for item in items)
        municipalities = frozenset(one for one in known if one is not None)
    contact = fields.get("contact", reader.text) if "contact" in fields else ""
    full_name = fields.get("full_name", reader.text) if "full_name" in fields else ""
    if claim is None or value is None or contact is None or full_name is None:
        return None
    roles = frozenset(Role(word) for word in words if word is not None)
    return Entry(name, claim, value, roles, municipalities, contact, full_name)


def _value(reader: Reader, node: Node) -> str | None:
    text = reader.identifier(node)
    if text is not None and _NATIONAL_NUMBER.fullmatch(text):
        # Not quoted: problems are printed and logged.
        reader.error(node, "this looks like a national identity number, which may not stand here")
        return None
    return text


def _check_scopes(reader: Reader, fields: Fields, client: PeopleClient, entries: tuple[Entry, ...]) -> None:
    """Report claims that HelseID will not give, since nobody would ever have the role."""
    for entry in entries:
        scope = NEEDED_SCOPES.get(entry.claim)
        if scope is not None and scope not in client.scopes:
            text = f"the claim of {quoted(entry.name)} needs the scope {scope} in people.helseid.scopes"
            reader.error(fields.key("persons"), text)
