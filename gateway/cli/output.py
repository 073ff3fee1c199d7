"""What the commands share: where the configuration is, and how an answer is printed."""

import difflib
from collections.abc import Callable
from typing import Any, TypeVar

import click
import msgspec

from gateway.config.load import Loaded, load
from gateway.config.model import Config, Municipality, Sender
from gateway.config.places import Problem, Severity
from gateway.routing.table import RouteTable

F = TypeVar("F", bound=Callable[..., Any])

WRONG_USE = 2


def config_option(command: F) -> F:
    """Add `--config`."""
    return click.option(
        "--config", "path", default="routes.yaml", show_default=True, metavar="FILE", help="The configuration."
    )(command)


def json_option(command: F) -> F:
    """Add `--json`."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON.")(command)


def print_json(document: object) -> None:
    """Print one JSON document."""
    click.echo(msgspec.json.format(msgspec.json.encode(document), indent=2).decode())


def usable(path: str) -> tuple[Config, RouteTable]:
    """Return the configuration at `path`, or end with exit 2 and its errors on standard error."""
    loaded = load(path)
    if loaded.config is None or loaded.table is None:
        for problem in errors(loaded):
            click.echo(str(problem), err=True)
        raise click.exceptions.Exit(WRONG_USE)
    return loaded.config, loaded.table


def errors(loaded: Loaded) -> list[Problem]:
    """Return the problems that keep a configuration from being used."""
    return [problem for problem in loaded.problems if problem.severity is Severity.ERROR]


def find_municipality(config: Config, named: str | None) -> Municipality | None:
    """Return the municipality with this orgnr or short name; None for none given, and for an orgnr that no route knows.

    Raises `click.BadParameter` for a short name that is not in the file.
    """
    if named is None:
        return None
    if named in config.municipalities:
        return config.municipalities[named]
    by_orgnr = next((one for one in config.municipalities.values() if one.orgnr == named), None)
    if by_orgnr is None and not named.isdigit():
        near = difflib.get_close_matches(named, config.municipalities, n=1)
        hint = f' (did you mean "{near[0]}"?)' if near else ""
        raise click.BadParameter(f'no municipality "{named}" in {config.file}{hint}', param_hint="--municipality")
    return by_orgnr


def find_sender(table: RouteTable, named: str | None) -> Sender | None:
    """Return the sender with this vkp-id or HER-id; None for none given, and for one that is not registered."""
    if named is None:
        return None
    return table.sender_by_vkp_id(named) or table.sender_by_her_id(named)
