"""The parts of routes.yaml that hold for the whole gateway."""

import re
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal

from yaml import MappingNode, Node

from gateway.config import schema, values
from gateway.config.model import Environment, KeyFiles, Limits, Listen, Retention, VkpSuccess
from gateway.config.read_people import is_wanted
from gateway.config.upstreams import DataTls, HelseId, OrgnrClaims
from gateway.config.yaml_reader import Fields, Reader, quoted
from gateway.errors import CODES, WORDINGS, Fault, Wording

PATIENT_NUMBER_KINDS = ("ordinary", "fh", "plus-40", "plus-65", "plus-80")

_FROM_ONE_ADDRESS = 1000
"""Connections, where senders connect themselves; a TLS terminator in front speaks for all of them from one address."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What a `Config` needs beside its named parts."""

    listen: Listen
    limits: Limits
    unrecognised_paths: tuple[str, ...]
    patient_numbers_also: frozenset[str]
    helseid: HelseId
    verify_in_legacy: bool
    wordings: dict[Fault, Wording]
    store: str
    tls: DataTls | None
    public_url: str | None
    keys: KeyFiles
    retention: Retention


def version(reader: Reader, root: Fields) -> None:
    """Check that the file has the form that this gateway reads."""
    node = root.value("version")
    if "version" in root and (found := reader.identifier(node, "1")) is not None and found != "1":
        reader.error(node, f"version {quoted(found)} is not supported; this gateway reads version 1")


def environment(reader: Reader, root: Fields) -> Environment | None:
    """Read which patients and senders are allowed at all."""
    word = root.get("environment", lambda node: reader.choice(node, "environment", list(Environment)))
    return None if word is None else Environment(word)


def unrecognised_passes(reader: Reader, root: Fields) -> bool | None:
    """Read whether a request that no surface knows goes to VKP."""
    word = root.get("unrecognised", lambda node: reader.choice(node, "value of unrecognised", ("legacy", "refuse")))
    return None if word is None else word == "legacy"


def not_to_be_journaled(reader: Reader, root: Fields) -> Literal["acknowledge", "refuse"]:
    """Read what becomes of a message whose class says that its event is not to be journaled."""
    options = ("acknowledge", "refuse")
    word = root.get("not_to_be_journaled", lambda at: reader.choice(at, "value of not_to_be_journaled", options))
    return "refuse" if word == "refuse" else "acknowledge"


def vkp_success(reader: Reader, root: Fields) -> VkpSuccess:
    """Read what VKP's success says of a message."""
    word = root.get("vkp_success", lambda at: reader.choice(at, "value of vkp_success", ("stored", "journaled")))
    return "journaled" if word == "journaled" else "stored"


def settings(reader: Reader, root: Fields) -> Settings | None:
    """Read every setting; None when one of them cannot be used."""
    ledger = store(reader, root)
    own_keys = root.get("keys", partial(key_files, reader))
    kept = root.get("retention", partial(retention, reader))
    listen = root.get("listen", partial(_listen, reader, is_wanted(root)))
    tls = root.get("tls", partial(_tls, reader))
    limits = root.get("limits", partial(_limits, reader))
    if listen is not None and limits is not None:
        limits = _with_balancers(reader, root, limits, listen, is_encrypted="tls" in root and tls is not None)
    paths = root.get("unrecognised_paths", partial(_paths, reader))
    also = root.get("patient_numbers", partial(_patient_numbers, reader))
    helseid = root.get("helseid", partial(_helseid, reader))
    verify = root.get("admit", partial(_verify_in_legacy, reader))
    url = root.get("public_url", partial(values.public_url, reader))
    if limits is not None and kept is not None:
        check_window(reader, root, limits, kept)
    wordings = root.get("answers", partial(_wordings, reader))
    if listen is None or limits is None or paths is None or also is None or helseid is None:
        return None
    if verify is None or wordings is None or own_keys is None or kept is None:
        return None
    return Settings(listen, limits, paths, also, helseid, verify, wordings, ledger, tls, url, own_keys, kept)


def _listen(reader: Reader, has_people: bool, node: Node) -> Listen | None:
    if (fields := reader.fields(node, schema.LISTEN)) is None:
        return None
    data = fields.get("data", partial(values.address, reader))
    admin = fields.get("admin", partial(values.address, reader))
    reuse_port = fields.get("reuse_port", reader.boolean)
    proxy_protocol = fields.get("proxy_protocol", reader.boolean)
    metrics = fields.get("metrics", lambda at: None if reader.is_null(at) else values.address(reader, at))
    if data is None or admin is None or reuse_port is None or proxy_protocol is None:
        return None
    if not has_people and not values.is_loopback(admin.host):
        reader.error(fields.value("admin"), f"listen.admin {admin} is not loopback; that needs people:")
    if data == admin and data.port:
        reader.error(fields.value("admin"), f"listen.admin is the same address as listen.data, {data}")
    if metrics is not None and not values.is_loopback(metrics.host):
        reader.error(fields.value("metrics"), f"listen.metrics {metrics} is not loopback; nobody logs in there")
    if metrics is not None and reuse_port:
        reader.error(fields.value("metrics"), "listen.metrics is one process's; with reuse_port there are several")
    if metrics is not None and metrics in (data, admin):
        reader.error(fields.value("metrics"), f"listen.metrics is the same address as another, {metrics}")
    return Listen(data, admin, reuse_port, metrics, proxy_protocol)


def _tls(reader: Reader, node: Node) -> DataTls | None:
    if reader.is_null(node) or (fields := reader.fields(node, schema.TLS)) is None:
        return None
    certificate = fields.get("cert_file", partial(values.key_source, reader))
    key = fields.get("key_file", partial(values.key_source, reader))
    authorities = fields.get("client_ca_file", partial(values.key_source, reader))
    if certificate is None or key is None:
        return None
    return DataTls(certificate, key, authorities, reader.place(node))


def _limits(reader: Reader, node: Node) -> Limits | None:
    if (fields := reader.fields(node, schema.LIMITS)) is None:
        return None
    body = fields.get("body", partial(values.size, reader))
    timeout = fields.get("request_timeout", partial(values.duration, reader))
    rate = fields.get("rate_per_sender", partial(values.rate, reader))
    at_a_time = fields.get("concurrent_per_sender", partial(values.count, reader))
    read = fields.get("parsing_per_sender", partial(values.byte_rate, reader))
    unverified = fields.get("parsing_unverified", partial(values.byte_rate, reader))
    connections = fields.get("connections", partial(values.count, reader))
    from_one = fields.get("connections_per_address", partial(values.count, reader))
    balancers = [values.network(reader, item) for item in fields.get("balancers", reader.items) or []]
    backlog = fields.get("backlog", partial(values.count, reader))
    of_sender = fields.get("backlog_per_sender", partial(values.count, reader))
    of_patient = fields.get("backlog_per_patient", partial(values.count, reader))
    window = fields.get("duplicate_window", partial(values.duration, reader))
    wait = fields.get("journaled_wait", partial(values.duration, reader))
    answer = fields.get("answer", partial(values.count, reader))
    if body is None or timeout is None or rate is None or at_a_time is None or connections is None:
        return None
    if of_sender is None or of_patient is None or answer is None:
        return None
    if backlog is None or window is None or wait is None or read is None or unverified is None:
        return None
    return Limits(
        body,
        timeout,
        rate,
        at_a_time,
        read,
        unverified,
        connections,
        from_one,
        tuple(found for found in balancers if found is not None),
        backlog,
        of_sender,
        of_patient,
        window,
        answer,
        wait,
    )


def _with_balancers(reader: Reader, root: Fields, limits: Limits, listen: Listen, *, is_encrypted: bool) -> Limits:
    """Bound each address where the gateway sees senders' own, and report a header that nobody may send."""
    if listen.proxy_protocol and not limits.balancers:
        at = _written(root, "listen", "proxy_protocol") or root.node
        reader.error(at, "listen.proxy_protocol needs limits.balancers: nobody else is believed")
    sees_senders = is_encrypted or listen.proxy_protocol
    if sees_senders and _written(root, "limits", "connections_per_address") is None:
        return replace(limits, connections_per_address=_FROM_ONE_ADDRESS)
    return limits


def _paths(reader: Reader, node: Node) -> tuple[str, ...]:
    found: list[str] = []
    for item in reader.items(node):
        if (text := reader.text(item)) is None:
            continue
        if re.fullmatch(r"/[!-~]*", text) and not set(text) & {"?", "#"}:
            found.append(text)
        else:
            reader.error(item, f'expected a path that starts with "/", found {quoted(text)}')
    return tuple(found)


def _patient_numbers(reader: Reader, node: Node) -> frozenset[str] | None:
    if (fields := reader.fields(node, schema.PATIENT_NUMBERS)) is None:
        return None
    items = fields.get("also", reader.items) or []
    kinds = (reader.choice(item, "kind of patient number", PATIENT_NUMBER_KINDS) for item in items)
    return frozenset(kind for kind in kinds if kind is not None)


def _helseid(reader: Reader, node: Node) -> HelseId | None:
    if (fields := reader.fields(node, schema.HELSEID)) is None:
        return None
    issuer = fields.get("issuer", partial(values.issuer, reader))
    audience = fields.get("audience", reader.text)
    client_id = fields.get("client_id", reader.identifier)
    key_file = fields.get("key_file", partial(values.key_source, reader))
    tenancy = fields.get("tenancy", lambda at: reader.choice(at, "tenancy", ("multi", "single")))
    assertion_field = fields.get("assertion_field", reader.text)
    bearer = fields.get("bearer_with_cnf", lambda at: reader.choice(at, "bearer_with_cnf", ("accept", "refuse")))
    lists = fields.get("audience_list", lambda at: reader.choice(at, "audience_list", ("accept", "refuse")))
    orgnr_claims = fields.get("orgnr_claims", lambda at: reader.choice(at, "orgnr_claims", list(OrgnrClaims)))
    if issuer is None or audience is None or client_id is None or key_file is None:
        return None
    if tenancy is None or assertion_field is None or bearer is None or lists is None or orgnr_claims is None:
        return None
    return HelseId(
        issuer,
        audience,
        client_id,
        key_file,
        tenancy == "multi",
        assertion_field,
        bearer == "accept",
        lists == "accept",
        OrgnrClaims(orgnr_claims),
        reader.place(fields.value("key_file")),
    )


def _verify_in_legacy(reader: Reader, node: Node) -> bool | None:
    if (fields := reader.fields(node, schema.ADMIT)) is None:
        return None
    word = fields.get("legacy", lambda at: reader.choice(at, "admit.legacy", ("read", "verify")))
    return None if word is None else word == "verify"


def _wordings(reader: Reader, node: Node) -> dict[Fault, Wording]:
    found = dict(WORDINGS)
    named = reader.named(node)
    for name, (key, value) in named.items():
        if reader.choice(key, "kind of refusal", [str(fault.value) for fault in Fault]) is None:
            continue
        if (fields := reader.fields(value, schema.ANSWER)) is None:
            continue
        usual = WORDINGS[Fault(name)]
        status = fields.get("status", partial(_status, reader)) or usual.status
        code = fields.get("code", lambda at: reader.choice(at, "code", list(CODES))) or usual.code
        found[Fault(name)] = replace(usual, status=status, code=code)
    if Fault.NO_SERVICE.value not in named:
        # For a sender both are a need that is not fulfilled.
        found[Fault.NO_SERVICE] = found[Fault.NO_NEED]
    return found


def _status(reader: Reader, node: Node) -> int | None:
    text = reader.identifier(node, "an HTTP status")
    if text is None or re.fullmatch("[45][0-9][0-9]", text):
        return None if text is None else int(text)
    reader.error(node, f"expected an HTTP status from 400 to 599, found {quoted(text)}")
    return None


def store(reader: Reader, root: Fields) -> str:
    """Read the URL of the ledger; empty when it cannot be used."""
    text = root.get("store", reader.text) or ""
    if text and not text.startswith(("sqlite:///", "postgresql://")):
        reader.error(root.value("store"), "expected sqlite:///FILE or postgresql://...")
    return text


def key_files(reader: Reader, node: Node) -> KeyFiles | None:
    """Read where the gateway's own keys are; each has a file of its own."""
    if (fields := reader.fields(node, schema.KEYS)) is None:
        return None
    names = ("payload", "lookup", "canary")
    read = {name: fields.get(name, partial(values.key_source, reader)) for name in names}
    first: dict[str, str] = {}
    for name, source in read.items():
        if source is not None and (other := first.setdefault(source, name)) != name:
            at = fields.value(name if name in fields else other)
            reader.error(at, f"keys.{other} and keys.{name} are the same, {quoted(source)}; each key is another")
    found = [source for source in read.values() if source is not None]
    return KeyFiles(*found) if len(found) == len(names) else None


def retention(reader: Reader, node: Node) -> Retention | None:
    """Read how long what is kept."""
    if (fields := reader.fields(node, schema.RETENTION)) is None:
        return None
    names = ("payload", "receipt", "decision", "audit")
    found = [time for name in names if (time := fields.get(name, partial(values.duration, reader))) is not None]
    if len(found) < len(names):
        return None
    kept = Retention(*found)
    if kept.receipt < kept.payload:
        at = fields.value("receipt" if "receipt" in fields else "payload")
        text = "retention.receipt is shorter than retention.payload (defaults 90d, 14d): a payload needs its receipt"
        reader.error(at, text)
    return kept


def check_window(reader: Reader, root: Fields, limits: Limits, kept: Retention) -> None:
    """Report a window in which messages are to be known again whose receipts are gone."""
    if limits.duplicate_window <= kept.receipt:
        return
    at = _written(root, "limits", "duplicate_window") or _written(root, "retention", "receipt")
    text = (
        "limits.duplicate_window is longer than retention.receipt (defaults 14d, 90d): "
        "a message is known again by its receipt"
    )
    reader.error(at or root.node, text)


def _written(root: Fields, part: str, name: str) -> Node | None:
    """Return the value of a key in a part of the file, if both stand there."""
    node = root.value(part) if part in root else None
    pairs = node.value if isinstance(node, MappingNode) else []
    return next((value for key, value in pairs if key.value == name), None)
