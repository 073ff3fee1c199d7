"""What was found, for a person and for a program."""

import click

from gateway.commands.output import print_json
from gateway.doctor.installation.finding import State
from gateway.doctor.installation.run import Part

_SHOWN = {State.OK: "ok", State.WARNING: "look", State.FAILED: "FAILED"}


def report(parts: list[Part], *, as_json: bool) -> None:
    """Print every finding; exit 1 if any is a failure."""
    found = [each for part in parts for each in part.findings]
    failed = sum(each.state is State.FAILED for each in found)
    warned = sum(each.state is State.WARNING for each in found)
    if as_json:
        print_json(document(parts))
    else:
        click.echo(table(parts))
        click.echo(f"\n{len(found) - failed - warned} ok, {warned} to look at, {failed} failed")
    if failed:
        raise click.exceptions.Exit(1)


def table(parts: list[Part]) -> str:
    """Return the findings under a line for each part, and what to do below each that is not ok."""
    width = max(len(each.name) for part in parts for each in part.findings) + 2
    lines: list[str] = []
    for part in parts:
        lines += ["", part.name] if lines else [part.name]
        for each in part.findings:
            lines.append(f"  {each.name:<{width}}{_SHOWN[each.state]:<8}{each.text}")
            if each.advice:
                lines.append(f"  {'':<{width}}{'':<8}do: {each.advice}")
    return "\n".join(lines)


def document(parts: list[Part]) -> dict[str, object]:
    """Return the findings for a program."""
    checks = [
        {"part": part.name, "name": each.name, "state": each.state, "text": each.text, "do": each.advice or None}
        for part in parts
        for each in part.findings
    ]
    return {"ok": all(check["state"] != State.FAILED for check in checks), "checks": checks}
