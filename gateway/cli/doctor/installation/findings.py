"""What a check of the installation found, and what a person should do about it."""

from dataclasses import dataclass
from enum import StrEnum

import click

from gateway.cli.output import print_json
from gateway.counting import counted


class FindingState(StrEnum):
    """How it is."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of one check; it holds no token, no key and no patient's number."""

    name: str
    state: FindingState
    text: str
    """What was found."""
    advice: str = ""
    """What to do; empty where all is well."""


def fine(name: str, text: str) -> Finding:
    """Return that all is well."""
    return Finding(name, FindingState.OK, text)


def warning(name: str, text: str, advice: str) -> Finding:
    """Return what works, and should be looked at all the same."""
    return Finding(name, FindingState.WARNING, text, advice)


def wrong(name: str, text: str, advice: str) -> Finding:
    """Return what does not work."""
    return Finding(name, FindingState.FAILED, text, advice)


_SHOWN = {FindingState.OK: "ok", FindingState.WARNING: "warning", FindingState.FAILED: "FAILED"}


@dataclass(frozen=True, slots=True)
class Part:
    """Findings that belong together."""

    name: str
    findings: tuple[Finding, ...]


def report(parts: list[Part], *, as_json: bool) -> None:
    """Print every finding; exit 1 if any is a failure."""
    found = [each for part in parts for each in part.findings]
    failed = sum(each.state is FindingState.FAILED for each in found)
    warned = sum(each.state is FindingState.WARNING for each in found)
    if as_json:
        print_json(document(parts))
    else:
        click.echo(table(parts))
        click.echo(f"\n{len(found) - failed - warned} ok, {counted(warned, 'warning')}, {failed} failed")
    if failed:
        raise click.exceptions.Exit(1)


def table(parts: list[Part]) -> str:
    """Return the findings under a line for each part, and what to do below each that is not ok."""
    width = max(len(each.name) for part in parts for each in part.findings) + 2
    lines: list[str] = []
    for part in parts:
        lines += ["", part.name] if lines else [part.name]
        for each in part.findings:
            lines.append(f"  {each.name:<{width}}{_SHOWN[each.state]:<9}{each.text}")
            if each.advice:
                lines.append(f"  {'':<{width}}{'':<9}do: {each.advice}")
    return "\n".join(lines)


def document(parts: list[Part]) -> dict[str, object]:
    """Return the findings for a program."""
    checks = [
        {"part": part.name, "name": each.name, "state": each.state, "text": each.text, "do": each.advice or None}
        for part in parts
        for each in part.findings
    ]
    return {"ok": all(check["state"] != FindingState.FAILED for check in checks), "checks": checks}
