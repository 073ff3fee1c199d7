"""HelseID: its documents, its clock, and whether it gives the tokens that messages will need."""

import asyncio

from gateway.auth.helseid.access_tokens import TokenEndpoint
from gateway.auth.helseid.client_assertion import ClientIdentity
from gateway.auth.helseid.dpop import DpopProver
from gateway.auth.helseid.http import HelseIdHttp, HelseIdUnavailable
from gateway.auth.helseid.issuer import Issuer
from gateway.auth.helseid.jws import Key
from gateway.cli.doctor.installation.findings import Finding, fine, warning, wrong
from gateway.config.model import Config, Municipality
from gateway.config.upstreams import Grant, JftUpstream
from gateway.model import GOES_NEW
from gateway.times import Clock

UNSURE, TOO_FAR = 2.0, 5.0
"""Seconds that the clocks may differ before somebody should look, and before HelseID refuses what we sign."""
_NO_KEY = "doctor"
"""An id that no key has: all that matters is that keys are there."""
_AT_ONCE = 4
"""Tokens that are asked for at a time."""
_NETWORK = "look at the network and its proxies, and at helseid.issuer"


async def check_documents(config: Config, http: HelseIdHttp) -> list[Finding]:
    """Fetch what HelseID publishes, as the gateway will."""
    issuer = Issuer(config.helseid.issuer, http, Clock())
    try:
        await issuer.discovery()
    except HelseIdUnavailable as error:
        return [wrong("HelseID discovery", f"{config.helseid.issuer}: {error}", _NETWORK)]
    found = [
        fine("HelseID discovery", f"{config.helseid.issuer} names itself as issuer, and only addresses of its own")
    ]
    found.append(await _keys(issuer))
    found.append(clock(issuer.ahead))
    return found


async def _keys(issuer: Issuer) -> Finding:
    name = "HelseID keys"
    try:
        await issuer.key(_NO_KEY)
    except HelseIdUnavailable:
        advice = "no sender can be let in: look at the network, and at what HelseID publishes as jwks_uri"
        return wrong(name, "none that signs can be fetched", advice)
    return fine(name, "senders' tokens can be checked")


def clock(ahead: float | None) -> Finding:
    """Judge how far our clock is from HelseID's; None where that is not known."""
    name = "clock"
    if ahead is None:
        return warning(name, "HelseID's answer has no Date to compare with", "look at the clock yourself: timedatectl")
    shown = f"{abs(ahead):.1f} s {'ahead of' if ahead > 0 else 'behind'} HelseID's"
    advice = "let the machine keep time (chrony, systemd-timesyncd): what we sign is good for seconds"
    if abs(ahead) > TOO_FAR:
        return wrong(name, shown, advice)
    if abs(ahead) > UNSURE:
        return warning(name, shown, advice)
    return fine(name, f"within {UNSURE:.0f} s of HelseID's")


async def check_tokens(config: Config, upstream: JftUpstream, key: Key, http: HelseIdHttp) -> list[Finding]:
    """Ask for the token of every municipality whose messages the service may get."""
    if upstream.grant is Grant.TOKEN_EXCHANGE:
        return [fine("tokens", "not tried: they are got in exchange for senders' own")]
    helseid = config.helseid
    own = Clock()
    issuer = Issuer(helseid.issuer, http, own)
    identity = ClientIdentity(helseid.client_id, lambda: key, helseid.multi_tenant, helseid.assertion_field)
    endpoint = TokenEndpoint(issuer, identity, DpopProver(own), own)
    places = asyncio.Semaphore(_AT_ONCE)

    async def ask(municipality: Municipality) -> Finding:
        async with places:
            refused = None
            try:
                await endpoint.ask(municipality.orgnr, upstream.scopes.write)
            except HelseIdUnavailable as error:
                refused = str(error)
            return token(municipality.key, upstream.scopes.write, refused, in_use=_in_use(config, municipality))

    wanted = [each for each in config.municipalities.values() if upstream.KIND in each.epj.reads]
    return await asyncio.gather(*map(ask, wanted))


def token(municipality: str, scope: str, refused: str | None, *, in_use: bool) -> Finding:
    """Judge a token request; where no route needs the token yet, a refusal is for later."""
    name = f"token for {municipality}"
    if refused is None:
        return fine(name, f"HelseID gives {scope}")
    is_ours = refused.startswith(("token refused", "the client key"))
    advice = _ADVICE.get(refused, _OF_THE_CLIENT if is_ours else _OF_THE_WAY)
    return (wrong if in_use else warning)(name, f"{scope}: {refused}", advice)


_OF_THE_CLIENT = "look at helseid.client_id and key_file, and at the client in HelseID's self-service"
_OF_THE_WAY = "look at the network and its proxies, and at helseid.issuer: HelseID was not asked"
_ADVICE = {
    "the scope was rejected for this municipality": "the municipality must accept the service's terms of use",
    "token refused: invalid_client": "the key or client id is not the one that HelseID has: look at its self-service",
    "token refused: invalid_scope": "ask in HelseID's self-service for the scope, or correct upstreams.*.scopes",
}


def _in_use(config: Config, municipality: Municipality) -> bool:
    return any(each.mode in GOES_NEW and each.municipality in (None, municipality.key) for each in config.routes)
