"""`vkp-gateway override` and `panic`: what people set over the routes of a running gateway."""

from collections.abc import Callable
from typing import Any

import click

from gateway.cli.admin_client import AdminClient, Document, admin_options, given, print_answer, print_list, segment
from gateway.cli.inspect import cells_of, rest_of
from gateway.cli.options import TIME, cursor_option, limit_option, municipality_option, reason_option, with_options
from gateway.model import Group, Information, Mode
from gateway.routing.route import KINDS, POLICIES, WORDS, ValueKind

_ROOT = "/api/v1"
_ended = click.option("--ended", is_flag=True, help="Also what has ended.")
_cells = with_options(
    municipality_option,
    click.option("--vendor", metavar="NAME", help="A vendor's short name."),
    click.option("--system", metavar="NAME", help="A system's short name; needs --vendor."),
    click.option(
        "--information",
        multiple=True,
        type=click.Choice([*(each.value for each in Group), *(each.value for each in Information)]),
        help="Types or groups, several times if need be; every type if left out.",
    ),
)
_HELP = {
    "losses": "A path whose loss is tolerated.",
    "acknowledge_within": "As 24h.",
    "share": "The part of the patients that a canary takes over, as 25%.",
    "accept_differences": "A difference that is known: PATH [KIND] UNTIL REASON, as 'Patient.telecom missing 2026-12-31 VKP has none'.",
    "share_with": "A service that measurements are shared with: pmd.",
    "always": "A sender whose patients a canary takes over all.",
    "never": "A sender of whom a canary takes nothing over.",
    "sample": "The part of the messages that a rehearsal looks at, as 10%.",
}


def _policy(name: str) -> Callable[[Any], Any]:
    """Return the option for a policy of a route."""
    flag, text = f"--{name.replace('_', '-')}", _HELP.get(name)
    match KINDS[name]:
        case ValueKind.LIST:
            return click.option(_ONE_OF.get(name, flag), name, multiple=True, metavar="VALUE", help=text)
        case ValueKind.ENTRIES:
            return click.option(_ONE_OF.get(name, flag), name, multiple=True, metavar="LINE", help=text)
        case ValueKind.WORD:
            return click.option(flag, type=click.Choice(WORDS[name]), help=text)
        case ValueKind.FLAG:
            return click.option(f"{flag}/--no-{flag[2:]}", default=None, help=text)
        case ValueKind.PART:
            return click.option(flag, metavar="PERCENT", help=text)
        case ValueKind.SECONDS:
            return click.option(flag, metavar="DURATION", help=text)


_ONE_OF = {"losses": "--loss", "accept_differences": "--accept-difference"}
"""What one of a list is called, where that is another word."""
_policies = with_options(
    click.option("--text", metavar="TEXT", help="What senders are told; mode closed needs it."), *map(_policy, POLICIES)
)
_KEPT = ("municipality", "vendor", "system", "information", "mode", "text", *POLICIES, "ticket", "until")
"""What a changed override keeps where nothing else is said."""
_OF_MODE = frozenset({"text", *POLICIES})


@click.group()
def override() -> None:
    """Set the mode of cells for a while, over the routes of the file; visible to everybody, and with an end."""


@override.command("list")
@_ended
@limit_option()
@cursor_option
@admin_options
def list_overrides(*, client: AdminClient, **asked: Any) -> None:
    """List overrides, the newest first."""
    none = (
        "No override has been set." if asked["ended"] else "No override is in force; --ended also lists what has ended."
    )
    print_list(client, client.get(f"{_ROOT}/overrides", **asked), "overrides", _override_line, none)


@override.command("set")
@_cells
@click.option("--mode", required=True, type=click.Choice([each.value for each in Mode]))
@_policies
@click.option("--until", required=True, type=TIME, metavar="TIME", help="At most 90 days, as 2026-12-01T08:00+01:00.")
@click.option("--ticket", required=True, metavar="ID", help="Where it is being worked on.")
@reason_option
@admin_options
def set_override(*, client: AdminClient, **asked: Any) -> None:
    """Set an override."""
    _print_one(client, client.post(f"{_ROOT}/overrides", **given(asked)))


@override.command()
@click.argument("identifier", metavar="ID")
@_cells
@click.option("--mode", type=click.Choice([each.value for each in Mode]))
@_policies
@click.option("--until", type=TIME, metavar="TIME", help="At most 90 days from now.")
@click.option("--ticket", metavar="ID", help="Where it is being worked on.")
@reason_option
@click.option(
    "--version", type=int, metavar="NUMBER", help="What you have seen; the change is refused if it is another now."
)
@admin_options
def change(*, client: AdminClient, identifier: str, version: int | None, **asked: Any) -> None:
    """Change an override; what is not said stays as it is."""
    path = f"{_ROOT}/overrides/{segment(identifier)}"
    before, said = client.get(path), given(asked)
    kept = {name: before[name] for name in _KEPT if before.get(name) is not None}
    if said.get("mode", before["mode"]) != before["mode"]:
        kept = {name: value for name, value in kept.items() if name not in _OF_MODE}
    seen = before["version"] if version is None else version
    _print_one(client, client.ask("PUT", path, {**kept, **said}, **_match(seen)))


@override.command("end")
@click.argument("identifier", metavar="ID")
@reason_option
@click.option(
    "--version", type=int, metavar="NUMBER", help="What you have seen; nothing is ended if it is another now."
)
@admin_options
def end_override(*, client: AdminClient, identifier: str, reason: str, version: int | None) -> None:
    """End an override before its time."""
    path = f"{_ROOT}/overrides/{segment(identifier)}"
    seen = client.get(path)["version"] if version is None else version
    _print_one(client, client.ask("DELETE", path, {"reason": reason}, **_match(seen)))


@click.group()
def panic() -> None:
    """Send everything of one municipality, vendor or information type back to VKP, at once."""


@panic.command()
@municipality_option
@click.option("--vendor", metavar="NAME", help="A vendor's short name, in all municipalities.")
@click.option("--information", type=click.Choice([each.value for each in Information]), help="In all municipalities.")
@click.option("--text", metavar="TEXT", help="What senders are told where VKP cannot answer.")
@click.option("--dry-run", is_flag=True, help="Say what it would do to each cell, and set nothing.")
@reason_option
@admin_options
def on(*, client: AdminClient, **asked: Any) -> None:
    """Go back now; say what that does to each cell, and how what the new side has is rolled back."""
    document = client.post(f"{_ROOT}/panics", **asked)
    first = "nothing is set; this is what it would do:" if asked["dry_run"] else _panic_line(document)
    cells = [f"{one['effect']:<12}{one['text']}" for one in document["cells"]] or ["no cell changes"]
    has = [f"what the new side has: {one['command']}" for one in document["rollback"]]
    print_answer(client, document, first, *cells, *has)


@panic.command()
@click.argument("identifier", metavar="ID")
@reason_option
@admin_options
def off(*, client: AdminClient, identifier: str, reason: str) -> None:
    """Let what lies below decide again."""
    document = client.ask("DELETE", f"{_ROOT}/panics/{segment(identifier)}", {"reason": reason})
    print_answer(client, document, _panic_line(document))


@panic.command("list")
@_ended
@limit_option()
@cursor_option
@admin_options
def list_panics(*, client: AdminClient, **asked: Any) -> None:
    """List panics, the newest first."""
    none = "No panic has been set." if asked["ended"] else "No panic is in force; --ended also lists what has ended."
    print_list(client, client.get(f"{_ROOT}/panics", **asked), "panics", _panic_line, none)


def _match(version: int) -> dict[str, str]:
    """Return the field that says which version a change is meant for."""
    return {"If_Match": f'"{version}"'}


def _print_one(client: AdminClient, document: Document) -> None:
    print_answer(client, document, _override_line(document))


def _override_line(one: Document) -> str:
    parts = (one["id"], f"version {one['version']}", one["mode"], cells_of(one), rest_of(one), _status(one))
    return "  ".join(filter(None, (*parts, one["ticket"], f"{one['made_by']}: {one['reason']}")))


def _panic_line(one: Document) -> str:
    what = one["municipality"] or one["vendor"] or one["information"]
    closed = [rule["municipality"] for rule in one["rules"] if rule["mode"] == Mode.CLOSED.value]
    told = f"closed in {', '.join(closed)}" if closed else ""
    parts = (one["id"], what, told, _status(one), f"{one['made_by']}: {one['reason']}")
    return "  ".join(filter(None, parts))


def _status(one: Document) -> str:
    if one["ended_at"]:
        return f"ended {one['ended_at']}"
    if not one["until"]:
        return "until it is ended"
    return f"until {one['until']}" if one["holds"] else f"ended {one['until']}"
