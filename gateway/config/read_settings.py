"""The parts of routes.yaml that hold for the whole gateway."""

import re
from dataclasses import dataclass, replace
from functools import partial

from yaml import MappingNode, Node

from gateway.config import schema, values
from gateway.config.model import KeyFiles, Limits, Listen, Retention
from gateway.config.read_people import is_wanted
from gateway.config.upstreams import DataTls, HelseId
from gateway.config.yaml_nodes import quoted
from gateway.config.yaml_reader import Fields, Reader, unless_null, within
from gateway.errors import CODES, WORDINGS, Fault, Wording

_FROM_ONE_ADDRESS = 1000
"""Connections, where senders connect themselves; a TLS terminator in front speaks for all of them from one address."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What a `Config` needs beside its named parts and the single values of the file."""

    listen: Listen
    limits: Limits
    unrecognised_paths: tuple[str, ...]
    patient_numbers_also: frozenset[str]
    helseid: HelseId
    verify_in_legacy: bool
    wordings: dict[Fault, Wording]
    tls: DataTls | None
    keys: KeyFiles
    retention: Retention


def version(reader: Reader, root: Fields) -> None:
    """Check that the file has the form that this gateway reads."""
    node = root.value("version")
    if "version" in root and (found := reader.identifier(node, "1")) is not None and found != "1":
        reader.error(node, f"version {quoted(found)} is not supported; this gateway reads version 1")


def settings(reader: Reader, root: Fields) -> Settings | None:
    """Read every part; None when one of them cannot be used."""
    own_keys = root.get("keys", partial(_key_files, reader))
    kept = root.get("retention", partial(_retention, reader))
    listen = root.get("listen", partial(_listen, reader, is_wanted(root)))
    tls = root.get("tls", partial(unless_null(_tls), reader))
    limits = root.get("limits", partial(within(schema.LIMITS, Limits), reader))
    if listen is not None and limits is not None:
        limits = _with_balancers(reader, root, limits, listen, is_encrypted="tls" in root and tls is not None)
    paths = root.get("unrecognised_paths", partial(_paths, reader))
    also = root.get("patient_numbers", partial(_patient_numbers, reader))
    helseid = root.get("helseid", partial(_helseid, reader))
    verify = root.get("admit", partial(_verify_in_legacy, reader))
    if limits is not None and kept is not None:
        _check_window(reader, root, limits, kept)
    wordings = root.get("answers", partial(_wordings, reader))
    if listen is None or limits is None or paths is None or also is None or helseid is None:
        return None
    if verify is None or wordings is None or own_keys is None or kept is None:
        return None
    return Settings(listen, limits, paths, also, helseid, verify, wordings, tls, own_keys, kept)


def _listen(reader: Reader, has_people: bool, node: Node) -> Listen | None:
    fields = reader.fields(node, schema.LISTEN)
    if fields is None or (listen := reader.made(fields, Listen)) is None:
        return None
    data, admin, metrics = listen.data, listen.admin, listen.metrics
    if not has_people and not values.is_loopback(admin.host):
        reader.error(fields.value("admin"), f"listen.admin {admin} is not loopback; that needs people:")
    if data == admin and data.port:
        reader.error(fields.value("admin"), f"listen.admin is the same address as listen.data, {data}")
    if metrics is not None and not values.is_loopback(metrics.host):
        reader.error(fields.value("metrics"), f"listen.metrics {metrics} is not loopback; nobody logs in there")
    if metrics is not None and listen.reuse_port:
        reader.error(fields.value("metrics"), "listen.metrics is one process's; with reuse_port there are several")
    if metrics is not None and metrics in (data, admin):
        reader.error(fields.value("metrics"), f"listen.metrics is the same address as another, {metrics}")
    return listen


def _tls(reader: Reader, node: Node) -> DataTls | None:
    return reader.built(node, schema.TLS, DataTls, place=reader.place(node))


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
    fields = reader.fields(node, schema.PATIENT_NUMBERS)
    return None if fields is None else frozenset(reader.values(fields)["also"] or ())


def _verify_in_legacy(reader: Reader, node: Node) -> bool | None:
    fields = reader.fields(node, schema.ADMIT)
    return None if fields is None else reader.values(fields)["legacy"]


def _helseid(reader: Reader, node: Node) -> HelseId | None:
    fields = reader.fields(node, schema.HELSEID)
    return None if fields is None else reader.made(fields, HelseId, place=reader.place(fields.value("key_file")))


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


def _key_files(reader: Reader, node: Node) -> KeyFiles | None:
    """Read where the gateway's own keys are; each has a file of its own."""
    fields = reader.fields(node, schema.KEYS)
    if fields is None or (found := reader.made(fields, KeyFiles)) is None:
        return None
    first: dict[str, str] = {}
    for name in schema.KEYS.keys:
        source = getattr(found, name)
        if (other := first.setdefault(source, name)) != name:
            at = fields.value(name if name in fields else other)
            reader.error(at, f"keys.{other} and keys.{name} are the same, {quoted(source)}; each key is another")
    return found


def _retention(reader: Reader, node: Node) -> Retention | None:
    fields = reader.fields(node, schema.RETENTION)
    kept = None if fields is None else reader.made(fields, Retention)
    if fields is not None and kept is not None and kept.receipt < kept.payload:
        at = fields.value("receipt" if "receipt" in fields else "payload")
        text = "retention.receipt is shorter than retention.payload (defaults 90d, 14d): a payload needs its receipt"
        reader.error(at, text)
    return kept


def _check_window(reader: Reader, root: Fields, limits: Limits, kept: Retention) -> None:
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
