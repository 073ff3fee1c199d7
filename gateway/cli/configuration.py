"""The configuration that a command is about, and who is meant in it."""

import difflib
from pathlib import Path

import click

from gateway.cli.options import DEFAULT_CONFIG, WRONG_USE
from gateway.config.directory import Directory
from gateway.config.load import Loaded, load
from gateway.config.model import Config, Municipality, Problem, Sender, Severity
from gateway.counting import counted
from gateway.routing.table import RouteTable


def usable(path: str) -> tuple[Config, RouteTable]:
    """Return the configuration at `path`, or end with exit 2 and its errors on standard error."""
    loaded = load(path)
    if loaded.config is None or loaded.table is None:
        found = errors(loaded)
        for problem in found:
            click.echo(str(problem), err=True)
        click.echo(f"Error: {path} has {counted(len(found), 'error')}; correct what is named above.", err=True)
        raise click.exceptions.Exit(WRONG_USE)
    return loaded.config, loaded.table


def errors(loaded: Loaded) -> list[Problem]:
    """Return the problems that keep a configuration from being used."""
    return [problem for problem in loaded.problems if problem.severity is Severity.ERROR]


def one_path(argument: str | None, option: str | None, name: str = "FILE") -> str:
    """Return the file that is meant by an argument or by `--config`, ./routes.yaml where neither is given."""
    if argument is not None and option is not None:
        raise click.UsageError(f"Give the configuration as {name} or with --config, not both.")
    return argument or option or DEFAULT_CONFIG


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
        hint = f'did you mean "{near[0]}"?' if near else "give one of its short names, or an orgnr."
        raise click.BadParameter(f'{config.file} has no municipality "{named}"; {hint}', param_hint="--municipality")
    return by_orgnr


def find_sender(config: Config, named: str | None) -> Sender | None:
    """Return the sender with this vkp-id or HER-id; None for none given, and for one that is not registered."""
    if named is None:
        return None
    directory = Directory(config)
    return directory.sender_by_vkp_id(named) or directory.sender_by_her_id(named)


def sqlite_file(store: str, folder: Path) -> Path | None:
    """Return the file of a ledger that is a file, whether it is there or not; None for PostgreSQL."""
    if not store.startswith("sqlite:///"):
        return None
    return (folder / store.removeprefix("sqlite:///")).absolute()
