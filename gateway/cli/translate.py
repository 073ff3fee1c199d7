"""`vkp-gateway translate`: what one message becomes, without any network."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import BinaryIO, Literal

import click
import msgspec

from gateway.cli.configuration import find_municipality, find_sender, usable
from gateway.cli.options import READABLE, config_option, json_option
from gateway.cli.output import print_json
from gateway.config.directory import envelope_of
from gateway.config.model import Config
from gateway.config.upstreams import PmdUpstream, of_kind
from gateway.counting import counted
from gateway.errors import fault_of
from gateway.model import Information
from gateway.pipeline.translate import allowed_numbers, settings
from gateway.routing.table import RouteTable
from gateway.surfaces.registry import SURFACES
from translators.contract import Loss, Reason, Refused, Settings, Translation, Tree
from translators.fhir.json_codec import decode, encode
from translators.information import information_of
from translators.jft import SERVICE as JOURNALING
from translators.pmd import Sharing, call_of, shared
from translators.translate import WRITERS
from translators.translate import translate as translate_tree

_PMD = PmdUpstream.KIND
_COUNTED = ("leaves", "carried", "derived", "repaired", "lost")
_SURFACES = {surface.NAME: surface for surface in SURFACES}


@click.command()
@click.option(
    "--surface", required=True, type=click.Choice(sorted(_SURFACES)), help="The interface the message was sent to."
)
@click.option(
    "--to",
    "service",
    required=True,
    type=click.Choice(sorted((*WRITERS, _PMD))),
    help="The information service; pmd is what `share_with` shares with it, and needs --municipality.",
)
@click.option(
    "--municipality", metavar="NAME|ORGNR", help="An orgnr or short name; its route says which losses are tolerated."
)
@click.option("--sender", metavar="ID", help="A vkp-id or HER-id; its system's name goes along.")
@config_option
@json_option
@click.argument("message", type=READABLE, metavar="FILE|-")
def translate(  # noqa: PLR0913 - the options of the command
    *,
    surface: str,
    service: str,
    municipality: str | None,
    sender: str | None,
    path: str,
    as_json: bool,
    message: BinaryIO,
) -> None:
    """Translate one message: print the calls, repairs and losses; exit 1 if it is refused."""
    config, table = usable(path)
    try:
        tree, repairs = _SURFACES[surface].read(message.read(), None)
        wanted = _settings(config, table, tree, municipality, sender)
        translation = translate_tree(tree, surface, JOURNALING if service == _PMD else service, wanted, repairs)
        if service == _PMD:
            translation = _shared(translation, config, municipality, wanted)
    except Refused as refusal:
        translation = Translation(refusal=refusal)
    if as_json:
        print_json(_document(surface, translation, config))
    else:
        _print(translation, config)
    if translation.refusal is not None:
        raise click.exceptions.Exit(1)


def _settings(
    config: Config, table: RouteTable, tree: Tree, orgnr_or_name: str | None, sender_id: str | None
) -> Settings:
    municipality = find_municipality(config, orgnr_or_name)
    sender = find_sender(config, sender_id)
    information = information_of(tree, sender.code_history if sender else ())
    envelope = envelope_of("", municipality, sender, Information(information) if information else None)
    now = datetime.now(UTC)  # noqa: TID251 - the command's own clock
    route = table.decide(envelope, now).route if municipality else None
    allowed = allowed_numbers(config)
    return settings(config, allowed, municipality=municipality, sender=sender, route=route, received=now)


def _shared(translation: Translation, config: Config, orgnr_or_name: str | None, how: Settings) -> Translation:
    """Return what is shared with PMD of a message once JFT has accepted it, with what is left out among the losses."""
    municipality = find_municipality(config, orgnr_or_name)
    if municipality is None or municipality.kommunenummer is None:
        raise click.UsageError("--to pmd needs --municipality, with a kommunenummer in routes.yaml.")
    if translation.refusal is not None or not translation.calls or translation.patient is None:
        return translation
    pmd = of_kind(PmdUpstream, config.upstreams.values())
    form: Literal["collection", "batch"] = pmd.bundle if pmd is not None else "collection"
    sharing = Sharing(municipality.kommunenummer, translation.patient, "translate", how.received or "", form)
    found = shared(decode(translation.calls[0].body), sharing) if translation.information == "maledata" else None
    left_out = [one.partition(": ") for one in (found.left_out if found is not None else ())]
    losses = (*translation.losses, *(Loss(path, path, reason) for path, _, reason in left_out))
    if found is None or found.bundle is None:
        refusal = Refused(Reason.UNSUPPORTED, "it has no measurement that can be shared")
        return replace(translation, calls=(), losses=losses, refusal=refusal)
    return replace(translation, calls=(call_of(encode(found.bundle)),), losses=losses)


def _document(surface: str, translation: Translation, config: Config) -> dict[str, object]:
    refusal = translation.refusal
    return {
        "surface": surface,
        "information": translation.information,
        "calls": [
            {
                "service": call.service,
                "method": call.method,
                "path": call.path,
                "headers": dict(call.headers),
                "body": msgspec.Raw(call.body),
            }
            for call in translation.calls
        ],
        "repairs": [{"path": repair.path, "rule": repair.rule} for repair in translation.repairs],
        "losses": [{"path": loss.path, "reason": loss.reason} for loss in translation.losses],
        "coverage": {name: getattr(translation.coverage, name) for name in _COUNTED},
        "refusal": None
        if refusal is None
        else {"code": config.wordings[fault_of(refusal.reason)].code, "text": refusal.text, "path": refusal.path},
        "derived": [{"path": derived.path, "rule": derived.rule} for derived in translation.derived],
        "test": translation.undelivered == "test",
        "undelivered": translation.undelivered,
        "addressing": translation.addressing,
    }


def _print(translation: Translation, config: Config) -> None:
    click.echo(f"information  {translation.information or 'not known'}")
    for call in translation.calls:
        click.echo(f"call         {call.service} {call.method} {call.path}, {counted(len(call.body), 'byte')}")
    for repair in translation.repairs:
        click.echo(f"repair       {repair.path}: {repair.rule}")
    for loss in translation.losses:
        click.echo(f"loss         {loss.path}: {loss.reason}; a route tolerates it as {loss.element}")
    for path in translation.addressing:
        click.echo(f"used         {path}: addressing needs it, and it is not sent on")
    for derived in translation.derived:
        click.echo(f"derived      {derived.path}: {derived.rule}")
    coverage = translation.coverage
    click.echo(
        f"coverage     {counted(coverage.leaves, 'leaf', 'leaves')}: {coverage.carried} carried ({coverage.used} of them used), "
        f"{coverage.repaired} repaired, {coverage.lost} lost; {coverage.derived} derived"
    )
    if translation.undelivered is not None and translation.refusal is None:
        click.echo(f"undelivered  {translation.undelivered}: the message is acknowledged and delivered nowhere")
    if translation.refusal is not None:
        code = config.wordings[fault_of(translation.refusal.reason)].code
        click.echo(f"refused      {code}: {translation.refusal}")
