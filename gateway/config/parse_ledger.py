"""The ledger's parts of routes.yaml: where it is, with which keys, and how long it keeps what."""

from functools import partial

from yaml import MappingNode, Node

from gateway.config import keys, values
from gateway.config.definitions import KeyFiles, Limits, Retention
from gateway.config.nodes import quoted
from gateway.config.reader import Fields, Reader


def store(reader: Reader, root: Fields) -> str:
    """Read the URL of the ledger; empty when it cannot be used."""
    text = root.get("store", reader.text) or ""
    if text and not text.startswith(("sqlite:///", "postgresql://")):
        reader.error(root.value("store"), "expected sqlite:///FILE or postgresql://...")
    return text


def key_files(reader: Reader, node: Node) -> KeyFiles | None:
    """Read where the gateway's own keys are; each has a file of its own."""
    if (fields := reader.fields(node, keys.KEYS)) is None:
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
    if (fields := reader.fields(node, keys.RETENTION)) is None:
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
