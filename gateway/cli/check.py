"""`vkp-gateway check`: everything that is wrong with a configuration, at once."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import click
from msgspec import structs

from gateway.cli.configuration import one_path
from gateway.cli.options import either_config_option, json_option
from gateway.cli.output import print_json
from gateway.config.load import load
from gateway.config.model import Config, Problem, Severity
from gateway.config.upstreams import VkpUpstream
from gateway.counting import counted
from gateway.errors import KeyMissing, StartupError
from gateway.model import JOURNALING, PASSING, Envelope, Group, Place
from gateway.proxy.certificate_files import DATA_PORT, needed
from gateway.routing.table import RouteTable
from gateway.times import DAY, end_of_day


@click.command()
@click.argument("file", required=False)
@either_config_option
@json_option
def check(file: str | None, config: str | None, *, as_json: bool) -> None:
    """Say everything that is wrong with a configuration; exit 1 if any of it is an error.

    FILE is ./routes.yaml if left out.
    """
    path = one_path(file, config)
    loaded = load(path)
    folder = Path(path).parent
    found = [
        *loaded.problems,
        *accepted_until(loaded.config, time.time()),
        *_certificates(loaded.config, folder),
        *_client_keys(loaded.config, folder),
    ]
    cells = unread_refused(loaded.config, loaded.table)
    wrong = [problem for problem in found if problem.severity is Severity.ERROR]
    if as_json:
        problems = [
            {
                "file": problem.place.file,
                "line": problem.place.line,
                "column": problem.place.column,
                "severity": problem.severity,
                "text": problem.text,
            }
            for problem in found
        ]
        print_json({"ok": not wrong, "problems": problems, "unread_refused": [_named(cell) for cell, _ in cells]})
    else:
        for problem in found:
            click.echo(str(problem))
        for place, text in _notes(cells):
            click.echo(f"{place}: note: {text}")
        click.echo(f"{path}: {counted(len(wrong), 'error')}, {counted(len(found) - len(wrong), 'warning')}")
    if wrong:
        raise click.exceptions.Exit(1)


Cell = tuple[str, str | None, str | None]
"""Municipality, vendor and system; without a vendor it is every one."""
_MOST_NAMED = 10
_ANY_TIME = datetime.fromtimestamp(0, UTC)
"""The routes of a file do not end."""


def unread_refused(config: Config | None, table: RouteTable | None) -> list[tuple[Cell, Place]]:
    """Return where VKP answers for journaling of some types and not of others, with a route of the others.

    Content that cannot be read, or that a token which does not verify came with, is refused there.
    """
    if config is None or table is None:
        return []
    pairs = [(vendor.key, system) for vendor in config.vendors.values() for system in vendor.systems]
    found: list[tuple[Cell, Place]] = []
    for municipality in config.municipalities:
        places = {pair: _refusing(table, municipality, *pair) for pair in ((None, None), *pairs)}
        if None not in places.values() and len(set(places.values())) == 1:
            places = {(None, None): places[None, None]}
        found += [((municipality, *pair), place) for pair, place in places.items() if place is not None]
    return found


def _refusing(table: RouteTable, municipality: str, vendor: str | None, system: str | None) -> Place | None:
    envelope = Envelope("", municipality, None, vendor, system, None, group=Group.JOURNALING)
    asked = (structs.replace(envelope, information=each) for each in (None, *sorted(JOURNALING)))
    decisions = [table.decide(each, _ANY_TIME) for each in asked]
    others = [one.route.place for one in decisions if one.route is not None and one.mode not in PASSING]
    return others[0] if 0 < len(others) < len(decisions) else None


def _notes(cells: list[tuple[Cell, Place]]) -> Iterator[tuple[Place, str]]:
    by_place: dict[Place, list[str]] = {}
    for (municipality, vendor, system), place in cells:
        by_place.setdefault(place, []).append(f"{municipality} ({vendor} {system})" if vendor else municipality)
    for place, names in sorted(by_place.items()):
        more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
        where = ", ".join(names[:_MOST_NAMED]) + more
        yield place, f"journaling that cannot be read, or whose token does not verify, is refused here: {where}"


def _named(cell: Cell) -> dict[str, str | None]:
    return dict(zip(("municipality", "vendor", "system"), cell, strict=True))


_SOON = 14
"""Days before its end from which an accepted difference is told of."""


def accepted_until(config: Config | None, now: float) -> Iterator[Problem]:
    """Return which accepted differences count again, or soon will; `now` is in seconds since the epoch."""
    planned = () if config is None else (route for plan in config.cutovers.values() for route in plan.routes)
    for route in (*(config.routes if config is not None else ()), *planned):
        for one in route.accept_differences:
            ends = end_of_day(one.until)
            when = "has ended: it counts again" if ends <= now else "ends soon: it counts again then"
            if ends <= now + _SOON * DAY:
                yield Problem(route.place, Severity.WARNING, f"{one.path}: accepted until {one.until}, which {when}")


def _certificates(config: Config | None, folder: Path) -> list[Problem]:
    """Return what is wrong with certificates: an error if they could not be used, a warning if they are not here."""
    problems: list[Problem] = []
    if config is None:
        return problems
    for what, files, make in needed(config, folder):
        place = config.tls.place if what == DATA_PORT and config.tls else config.upstreams[what].place
        name = what if what == DATA_PORT else f"upstream {what}"
        missing = files.unreadable()
        for file in missing:
            text = f"{name}: {file} cannot be read here; serve and reload need it"
            problems.append(Problem(place, Severity.WARNING, text))
        if not missing:
            try:
                source = files.read()
                make(source)
                why = source.why_not(time.time())
            except StartupError as error:
                why = f"its certificates cannot be used: {error}"
            if why is not None:
                problems.append(Problem(place, Severity.ERROR, f"{name}: {why}"))
    return problems


def _client_keys(config: Config | None, folder: Path) -> list[Problem]:
    """Return the keys of HelseID clients that HelseID would not take; one that is not here may be where the file is used."""
    if config is None:
        return []
    keys = [(config.helseid.key_file, config.helseid.place)]
    legacy = [each for each in config.upstreams.values() if isinstance(each, VkpUpstream)]
    keys += [(client.key_file, client.place) for each in legacy for client in each.clients]
    if config.people is not None:
        keys.append((config.people.client.key_file, config.people.client.place))
    problems: list[Problem] = []
    for key_file, place in keys:
        if not key_file.startswith("${") and not (folder / key_file).exists():
            continue
        from gateway.auth.helseid.client_assertion import load as load_key  # noqa: PLC0415 - where there is a key to read

        try:
            load_key(key_file, folder)
        except KeyMissing:
            continue
        except StartupError as error:
            problems.append(Problem(place, Severity.ERROR, f"the client key cannot be used: {error}"))
    return problems
