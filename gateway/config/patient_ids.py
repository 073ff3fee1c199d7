"""Tables of the record systems' own patient numbers; nothing of what they hold is ever shown."""

from collections.abc import Iterator
from pathlib import Path

from yaml import Node

from gateway.config import keys
from gateway.config.nodes import quoted
from gateway.config.reader import Reader
from translators.national_number import kind_of

Numbers = dict[tuple[str, str], str]
"""National identity numbers by identifier system and local number."""

MOST_BYTES = 16 * 1024 * 1024
_MOST_PROBLEMS = 20
"""Of one table; a file of another kind would have one in each line."""
_RESOLVERS = ("table", "pit", "vkp")


def local_numbers(reader: Reader, node: Node) -> Numbers:
    """Read every table of a municipality, with the files that they name."""
    found: Numbers = {}
    for system, (key, value) in reader.mapping(node).items():
        if not system.strip():
            reader.error(key, "expected an identifier system, found nothing")
        for number, national in _table(reader, system, value).items():
            found[system, number] = national
    return found


def _table(reader: Reader, system: str, node: Node) -> dict[str, str]:
    if (fields := reader.fields(node, keys.PATIENT_IDS)) is None:
        return {}
    resolve = fields.get("resolve", lambda at: reader.choice(at, "value of resolve", _RESOLVERS))
    file = fields.get("file", reader.text)
    if resolve == "table":
        if "file" not in fields:
            reader.error(node, '"file" is missing: resolve: table needs it')
        return _read(reader, file, fields.value("file")) if file is not None else {}
    if resolve in _RESOLVERS:
        if "file" in fields:
            reader.error(fields.key("file"), '"file" belongs to resolve: table')
        what = f"resolve: {resolve} is not done by this version"
        reader.warn(fields.value("resolve"), f"{what}: outside mode legacy, numbers of {quoted(system)} are refused")
    return {}


def _read(reader: Reader, file: str, node: Node) -> dict[str, str]:
    try:
        text = _text(Path(reader.file).parent / file)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        reader.error(node, f"{quoted(file)} cannot be read: {reason}")
        return {}
    found: dict[str, str] = {}
    problems = list(_fill(found, text))
    for problem in problems[:_MOST_PROBLEMS]:
        reader.error(node, f"{quoted(file)}, {problem}")
    if len(problems) > _MOST_PROBLEMS:
        reader.error(node, f"{quoted(file)}: {len(problems) - _MOST_PROBLEMS} more lines are wrong")
    return found


def _text(path: Path) -> str:
    """Return what a file holds; raises `OSError` or `ValueError`, and never waits for a pipe."""
    if path.exists() and not path.is_file():
        raise ValueError("not a file")
    with path.open("rb") as file:
        data = file.read(MOST_BYTES + 1)
    if len(data) > MOST_BYTES:
        raise ValueError(f"larger than {MOST_BYTES // 1024 // 1024} MiB")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ValueError(f"line {line} is not UTF-8") from None


def _fill(found: dict[str, str], text: str) -> Iterator[str]:
    """Take each line into `found`; yield what is wrong with it, by its number alone."""
    first: dict[str, int] = {}
    lines = text.split("\n")
    separator = ";" if ";" in lines[0] else ","
    for line, row in enumerate(lines, 1):
        cells = [cell.strip().strip('"').strip() for cell in row.split(separator)]
        if not any(cells):
            continue
        if len(cells) != 2 or not all(cells):
            yield f"line {line}: expected two columns, a local number and a national one"
        elif cells[0] in first:
            yield f"line {line}: the local number stands in line {first[cells[0]]} already"
        elif kind_of(cells[1]) is None:
            yield f"line {line}: the second column is not a valid national identity number"
        else:
            first[cells[0]] = line
            found[cells[0]] = cells[1]
