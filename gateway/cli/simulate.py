"""`vkp-gateway simulate`: a national migration, played through the real decision and gate code."""

from dataclasses import asdict
from datetime import date, datetime
from typing import Any

import click

from gateway.cli.options import json_option
from gateway.cli.output import print_json, progress
from gateway.config.load import load_text
from gateway.counting import counted
from gateway.migration.simulation import GATE, Play, SimulatedDay, SimulationOutcome, invented

_STEP = 30
"""Days between two lines."""


@click.command()
@click.option(
    "--municipalities", type=click.IntRange(1, 1000), default=357, show_default=True, help="How many the country has."
)
@click.option("--days", type=click.IntRange(1, 3650), default=540, show_default=True, help="How long it is played.")
@click.option("--seed", type=int, default=1, show_default=True, help="The same seed gives the same country.")
@click.option(
    "--begins", type=click.DateTime(["%Y-%m-%d"]), default="2026-12-01", show_default=True, help="The first day."
)
@json_option
def simulate(municipalities: int, days: int, seed: int, begins: datetime, *, as_json: bool) -> None:
    """Play a migration of an invented country: load, blocked cutovers, and when VKP could close; exit 1 if it could not."""
    country = invented(municipalities, seed, begins.date())
    loaded = load_text(country.text, "the invented country")
    if loaded.table is None:
        raise click.ClickException("\n".join(map(str, loaded.problems)))
    with progress("Days", days, as_json=as_json) as more:
        outcome = Play(country, loaded.table, seed).run(days, lambda: more(1))
    if as_json:
        print_json(_document(outcome))
    else:
        _print(outcome)
    if outcome.closes is None:
        raise click.exceptions.Exit(1)


def _document(outcome: SimulationOutcome) -> dict[str, Any]:
    return {
        "days": [{**asdict(day), "date": _shown(day.date)} for day in outcome.days],
        "switched": outcome.switched,
        "rolled_back": outcome.rolled_back,
        "blocked": dict(outcome.blocked.most_common()),
        "gate": asdict(GATE),
        "closes": _shown(outcome.closes),
        "holds_back": dict(outcome.holds_back.most_common()),
    }


def _shown(day: date | None) -> str | None:
    return None if day is None else day.isoformat()


def _print(outcome: SimulationOutcome) -> None:
    click.echo("date         with VKP  rehearsing   moved  messages to VKP  messages to JFT  peak/s")
    for index, day in enumerate(outcome.days):
        if index % _STEP == 0 or index == len(outcome.days) - 1:
            click.echo(_line(day))
    switched, blocked = counted(outcome.switched, "cutover"), counted(outcome.blocked.total(), "cutover")
    click.echo(f"\n{switched} switched, {outcome.rolled_back} of them rolled back")
    click.echo(f"{blocked} blocked by a gate: {_most_of(outcome.blocked)}")
    if outcome.closes is not None:
        click.echo(f"VKP could close on {outcome.closes}")
    else:
        click.echo(f"VKP cannot close in this time; still held back: {_most_of(outcome.holds_back)}")


def _line(day: SimulatedDay) -> str:
    return (
        f"{day.date}  {day.legacy:>9}  {day.rehearsing:>10}  {day.moved:>6}  "
        f"{day.to_vkp:>15,}  {day.to_jft:>15,}  {day.peak:>6.1f}"
    )


def _most_of(counter: Any) -> str:
    return ", ".join(f"{reason} {number}" for reason, number in counter.most_common(8)) or "none"
