"""A municipality's file of who has which service, for tjenstlig behov where no service tells it: `services_from: {file: ...}`.

One line for each service: the patient's national number, the service, and perhaps the first and the last day. The service is an
IPLOS number (`6`), a service level (`2.2.3`), or a ServiceCode itself (`RT`), which is what RT and DHO can be named by. Commas or
semicolons, UTF-8; a first line with other words than a number is a heading.
"""

import re
from collections.abc import Iterator
from datetime import date
from pathlib import Path

from gateway.files import contents
from translators.national_number import kind_of
from translators.services import SERVICE_CODES, Service

MOST_BYTES = 64 * 1024 * 1024
MOST_PROBLEMS = 20
_LONGEST = 64
_LEVEL = re.compile(r"[0-9]+(?:\.[0-9]+)+\.?", re.ASCII)
_IPLOS = re.compile(r"0*([1-9][0-9]?)", re.ASCII)
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)

Services = dict[str, list[Service]]
"""By national number."""


class FileUnusable(Exception):  # noqa: N818 - the condition
    """The file cannot be read, or is not what it should be; `problems` name lines and hold nothing of them."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


def read_services(path: Path) -> Services:
    """Return what a file says, or raise `FileUnusable`: of a file with a line that is wrong, nothing is used."""
    try:
        data = contents(path, MOST_BYTES)
    except OSError as error:
        raise FileUnusable([f"cannot be read: {error.strerror}"]) from None
    if len(data) > MOST_BYTES:
        raise FileUnusable([f"larger than {MOST_BYTES // 1024 // 1024} MiB"])
    return services_in(data)


def services_in(data: bytes) -> Services:
    """Return what a file holds; raises `FileUnusable`."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise FileUnusable([f"line {line} is not UTF-8"]) from None
    found: Services = {}
    problems = list(_fill(found, text))
    if problems:
        more = len(problems) - MOST_PROBLEMS
        raise FileUnusable([*problems[:MOST_PROBLEMS], *([f"{more} more lines are wrong"] if more > 0 else [])])
    return found


def _fill(found: Services, text: str) -> Iterator[str]:
    """Take each line into `found`; yield what is wrong with it, by its number alone."""
    lines = text.split("\n")
    separator = ";" if ";" in lines[0] else ","
    for line, row in enumerate(lines, 1):
        cells = [cell.strip().strip('"').strip() for cell in row.split(separator)]
        if not any(cells) or (line == 1 and not any(map(str.isdigit, cells[0]))):
            continue
        service = _service(cells)
        if isinstance(service, str):
            yield f"line {line}: {service}"
        else:
            found.setdefault(cells[0], []).append(service)


def _service(cells: list[str]) -> Service | str:
    """Return the service of a line, or what is wrong with it."""
    if not 2 <= len(cells) <= 4:
        return "expected a national number, a service, and perhaps its first and last day"
    number, word, begins, ends = (*cells, "", "")[:4]
    if kind_of(number) is None:
        return "the first column is no valid national identity number"
    if not (_is_date(begins) and _is_date(ends)):
        return "a day is not written YYYY-MM-DD"
    if begins and ends and ends < begins:
        return "the service ends before it begins"
    start, end = begins or None, ends or None
    if (iplos := _IPLOS.fullmatch(word)) is not None:
        return Service(iplos=int(iplos[1]), start=start, end=end)
    if word.upper() in SERVICE_CODES:
        return Service(level=word.upper(), start=start, end=end)
    if len(word) <= _LONGEST and _LEVEL.fullmatch(word) is not None:
        return Service(level=word, start=start, end=end)
    return "the second column is neither an IPLOS number, a service level nor a ServiceCode"


def _is_date(text: str) -> bool:
    if not text:
        return True
    try:
        return _DATE.fullmatch(text) is not None and bool(date.fromisoformat(text))
    except ValueError:
        return False
