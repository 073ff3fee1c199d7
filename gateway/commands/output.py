"""What the commands share: where the configuration is, and how an answer is printed."""

from collections.abc import Callable
from typing import Any, TypeVar

import click
import msgspec

from gateway.config.load import Loaded, load
from gateway.config.model import Config
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
