"""`vkp-gateway demo`: realistic legacy traffic through a gateway, with doubles of everything around it."""

import asyncio
import signal
import tempfile
from dataclasses import asdict
from pathlib import Path

import click

from gateway.cli.demo import story
from gateway.cli.demo.afterwards import Aftermath, copied, looked_at
from gateway.cli.demo.retrieval_scenarios import searches
from gateway.cli.demo.scenarios import r4_scenarios
from gateway.cli.demo.soap_scenarios import soap_scenarios
from gateway.cli.demo.stage import Stage, StageFailed, stage, with_free_ports
from gateway.cli.demo.stu3_scenarios import stu3_scenarios
from gateway.cli.demo.traffic import TrafficOutcome, send_all
from gateway.cli.options import config_option, json_option
from gateway.cli.output import print_json
from gateway.counting import counted


@click.command()
@click.option(
    "--once",
    is_flag=True,
    help="End after the traffic, on free ports of its own; exit 0 if all went as the routes say.",
)
@config_option
@json_option
def demo(path: str, *, once: bool, as_json: bool) -> None:
    """Start doubles of HelseID, VKP and JFT and a gateway on loopback, and send legacy traffic; Ctrl-C ends them."""
    if not Path(path).exists():
        raise click.ClickException(
            f"{path} is not here; run this where routes.yaml is, or name the file with --config."
        )
    try:
        if once:
            with tempfile.TemporaryDirectory() as folder:
                all_well = asyncio.run(_play(with_free_ports(Path(path), Path(folder)), as_json=as_json, stay=False))
        else:
            all_well = asyncio.run(_play(Path(path), as_json=as_json, stay=True))
    except (StageFailed, OSError) as error:
        raise click.ClickException(str(error)) from None
    if not all_well:
        raise click.exceptions.Exit(1)


async def _play(path: Path, *, as_json: bool, stay: bool) -> bool:
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    async with stage(path, with_story=stay) as running:
        await copied(running)
        outcomes = []
        async for outcome in send_all(running, [*r4_scenarios(), *searches(), *stu3_scenarios(), *soap_scenarios()]):
            outcomes.append(outcome)
            if not as_json:
                click.echo(_line(outcome))
            if stopping.is_set():
                return False
        after = await looked_at(running, outcomes)
        all_well = all(outcome.as_expected for outcome in outcomes) and all(one.as_expected for one in after)
        if as_json:
            told = {"messages": [asdict(one) for one in outcomes], "afterwards": [asdict(one) for one in after]}
            print_json({**told, "ok": all_well})
        else:
            for one in after:
                click.echo(_after_line(one))
            click.echo(_summary(outcomes))
        if stay:
            if not as_json:
                click.echo(_invitation(running, path))
            await _stay(running, stopping, as_json=as_json)
    return all_well


async def _stay(running: Stage, stopping: asyncio.Event, *, as_json: bool) -> None:
    """Tell the story of a migration on the pages, where the configuration has its municipalities, until Ctrl-C."""
    if not story.is_told(running):
        await stopping.wait()
        return
    for line in await story.begin(running):
        if not as_json:
            click.echo(line)
    traffic = asyncio.get_running_loop().create_task(story.go_on(running))
    await stopping.wait()
    traffic.cancel()
    await asyncio.gather(traffic, return_exceptions=True)


def _line(outcome: TrafficOutcome) -> str:
    way = f"{outcome.mode} -> {outcome.upstream}" if outcome.upstream else str(outcome.mode)
    found = counted(outcome.patients, "patient") if outcome.patients is not None else None
    asked = f"{outcome.type}/" if outcome.type is not None else ""
    result = " ".join(filter(None, (str(outcome.status), outcome.code, outcome.response, found)))
    verdict = "as the routes say" if outcome.as_expected else f"NOT as the routes say: {outcome.note}"
    return (
        f"{outcome.surface:<8}  {outcome.municipality:<9}  {asked + outcome.information:<30}  {way:<13}  {result:<19}  "
        f"{verdict}  ({outcome.name}, {outcome.sender})"
    )


def _after_line(one: Aftermath) -> str:
    verdict = "as planted" if one.as_expected else f"NOT as planted: {one.note}"
    return f"afterwards  {one.name:<17} {'; '.join(one.found) or 'nothing'}  {verdict}"


def _summary(outcomes: list[TrafficOutcome]) -> str:
    well = sum(outcome.as_expected for outcome in outcomes)
    to_vkp = sum(outcome.receiver == "vkp" for outcome in outcomes)
    to_jft = sum(outcome.receiver == "jft" for outcome in outcomes)
    events = "became an event" if to_jft == 1 else "became events"
    return f"\n{well} of {counted(len(outcomes), 'message')} as the routes say: {to_vkp} went to VKP, {to_jft} {events} in JFT."


def _invitation(running: Stage, path: Path) -> str:
    sender = next((one for one in running.config.senders if one.vkp_id and one.municipalities), None)
    municipality = next(iter(sorted(sender.municipalities or ()))) if sender else ""
    orgnr = running.config.municipalities[municipality].orgnr if municipality else "ORGNR"
    wanted = f'{{"vkp_id": "{sender.vkp_id if sender else "VKP_ID"}"}}'
    processes = ", ".join(f"{name} {pid}" for name, pid in running.pids.items())
    return f"""
The gateway stays up at {running.gateway_url}. Its pages: http://{running.config.listen.admin} (log in with any role),
its metrics at http://{running.config.listen.admin}/metrics.
Send a message of your own (a token from the double of HelseID first):

  TOKEN=$(curl -s {running.helseid_url}/stub/token -d '{wanted}' | sed 's/.*"access_token": *"\\([^"]*\\)".*/\\1/')
  curl -i {running.gateway_url}/epj/r4/{orgnr}/composition -H "Authorization: Bearer $TOKEN" \\
    --data-binary @translators/examples/note.json

What arrived: {running.vkp_url}/stub/received, with bodies in base64, and {running.jft_url}/stub/received.
Edit {path} and reload it with: kill -HUP {running.pids["gateway"]}
Processes: {processes}. Their output is in {path.parent / "var"}. Ctrl-C ends everything."""
