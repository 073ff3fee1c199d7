"""Options that several commands have, each said in one place."""

import functools
from collections.abc import Callable
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])
ADMIN, TOKEN_FILE = "VKP_GATEWAY_ADMIN", "VKP_GATEWAY_TOKEN_FILE"
DEFAULT_CONFIG = "routes.yaml"
WRONG_USE = 2
"""The exit code of what was asked wrongly; 1 is an answer."""


class _Time(click.DateTime):
    """A time with its offset from UTC."""

    def __init__(self) -> None:
        super().__init__(["%Y-%m-%dT%H:%M:%S%z", "%Y-%m-%dT%H:%M%z"])

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the time; a refusal shows one, where click would show the forms of `strptime`."""
        try:
            return super().convert(value, param, ctx)
        except click.BadParameter:
            self.fail("give a time with its offset, as 2026-12-01T08:00+01:00.", param, ctx)


class _Readable(click.File):
    """A file that is read, or standard input by a hyphen."""

    def __init__(self) -> None:
        super().__init__("rb")

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the open file; a refusal says what to do about it."""
        try:
            return super().convert(value, param, ctx)
        except click.BadParameter as refusal:
            reason = refusal.message.rpartition(": ")[2]
            self.fail(f"{value} cannot be read ({reason}); give a file that this user may read.", param, ctx)


TIME = _Time()
READABLE = _Readable()
municipality_option = click.option("--municipality", metavar="NAME|ORGNR", help="An orgnr or short name.")
reason_option = click.option("--reason", required=True, metavar="TEXT", help="Why; it is kept in the audit.")
cursor_option = click.option("--cursor", metavar="CURSOR", help="Go on from here, as the list before said.")


def limit_option(default: int = 50, most: int = 200) -> Callable[[F], F]:
    """Return the option `--limit`: how long a list may be."""
    return click.option(
        "--limit", type=click.IntRange(1, most), default=default, show_default=True, help="The longest list."
    )


def with_options(*options: Callable[[Any], Any]) -> Callable[[F], F]:
    """Add options, which are listed in this order."""

    def added(command: Any) -> Any:
        return functools.reduce(lambda so_far, option: option(so_far), reversed(options), command)

    return added


def config_option(command: F) -> F:
    """Add `--config`."""
    return click.option(
        "--config", "path", default=DEFAULT_CONFIG, show_default=True, metavar="FILE", help="The configuration."
    )(command)


either_config_option = click.option(
    "--config",
    "config",
    metavar="FILE",
    help=f"The configuration, in place of the argument. [default: {DEFAULT_CONFIG}]",
)
"""`--config` of a command that takes the file as an argument too; which it is says `configuration.one_path`."""


def json_option(command: F) -> F:
    """Add `--json`."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON.")(command)


def where_options(command: F) -> F:
    """Add `--admin` and `--token-file`."""
    token = click.option(
        "--token-file", envvar=TOKEN_FILE, metavar="FILE", help=f"A file with an API token. [env: {TOKEN_FILE}]"
    )
    admin = click.option(
        "--admin", envvar=ADMIN, metavar="URL", help=f"The admin port of a running gateway. [env: {ADMIN}]"
    )
    return with_options(admin, token)(command)
