"""`vkp-gateway doctor`: whether this installation does what it promises."""

import time

import click

from gateway.cli.doctor.checks import GROUPS
from gateway.cli.doctor.harness import Check, Result
from gateway.cli.doctor.installation import run as installation
from gateway.cli.doctor.installation.findings import report
from gateway.cli.doctor.run import run
from gateway.cli.doctor.stage import StageFailed, gateway_stage
from gateway.cli.options import config_option, json_option
from gateway.cli.output import counted, print_json


@click.command()
@click.option(
    "--transparency", is_flag=True, help="Send bytes through the legacy lane of a gateway of its own and compare them."
)
@click.option(
    "--only", metavar="TEXT", default="", help="Only the checks of --transparency whose group and name contain this."
)
@config_option
@json_option
def doctor(path: str, *, transparency: bool, only: str, as_json: bool) -> None:
    """Test this installation, and say what to do about each thing that is wrong; exit 1 if anything fails."""
    if transparency:
        _transparency(only, as_json=as_json)
    elif only:
        raise click.UsageError("--only goes with --transparency; without it every check is done.")
    else:
        report(installation.run(path), as_json=as_json)


def _transparency(only: str, *, as_json: bool) -> None:
    checks = [check for group in GROUPS for check in group.checks if only.lower() in _label(check)]
    if not checks:
        raise click.UsageError(f'No check has "{only}" in its group or name; doctor --transparency lists them all.')
    started = time.monotonic()
    try:
        results = run(checks, gateway_stage)
    except (StageFailed, OSError) as error:
        raise click.ClickException(str(error)) from None
    seconds = time.monotonic() - started
    if as_json:
        print_json(_document(results, seconds))
    else:
        click.echo(table(results))
        click.echo(f"\n{_passed(results)} of {counted(len(results), 'check')} passed in {seconds:.1f} s")
    if _passed(results) < len(results):
        raise click.exceptions.Exit(1)


def table(results: list[Result]) -> str:
    """Return the results for a person, under a line for each group."""
    width = max(len(result.check.name) for result in results) + 2
    lines: list[str] = []
    group = ""
    for result in results:
        if result.check.group != group:
            group = result.check.group
            lines += ["", group] if lines else [group]
        lines.append(f"  {result.check.name:<{width}}{'ok' if result.difference is None else 'FAILED'}")
        if result.difference is not None:
            lines.append(f"      {result.difference}")
    return "\n".join(lines)


def _document(results: list[Result], seconds: float) -> dict[str, object]:
    checks = [
        {
            "group": result.check.group,
            "name": result.check.name,
            "ok": result.difference is None,
            "difference": result.difference,
        }
        for result in results
    ]
    passed = _passed(results)
    return {"ok": passed == len(results), "passed": passed, "seconds": round(seconds, 1), "checks": checks}


def _passed(results: list[Result]) -> int:
    return sum(result.difference is None for result in results)


def _label(check: Check) -> str:
    return f"{check.group} {check.name}".lower()
