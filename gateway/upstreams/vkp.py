"""Our own client of legacy VKP: sends a stored request as its sender sent it, and says honestly what became of it."""

import asyncio
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

import structlog

from gateway.auth.helseid.access_tokens import TokenSource
from gateway.auth.helseid.http import HelseIdUnavailable
from gateway.config import upstreams
from gateway.model import Headers
from gateway.proxy.http_client import Answer, Caller, NoAnswer, Unreachable
from gateway.surfaces.soap import surface as vkp_soap
from gateway.surfaces.vkp_stu3 import message
from gateway.surfaces.vkp_stu3 import surface as vkp_stu3
from gateway.surfaces.vkp_stu3.message import header_of
from gateway.upstreams.service_caller import ServiceCaller, ServiceUnavailable
from translators.contract import Call, Refused, Tree
from translators.fhir.invariants import objects
from translators.identity import text_of
from translators.soap.envelope import opened

log = structlog.get_logger()

_CODE = re.compile(r"[1-9](\.[1-9])?")
"""A code of vkp-operation-outcome; whatever else stands there is not repeated."""
SEARCH_SCOPE = "nhn:vkp/api/user/patient.read"


class Fate(StrEnum):
    """What became of a request to VKP."""

    ACCEPTED = "accepted"
    REFUSED = "refused"
    """VKP has looked at it and does not take it."""
    NOT_DELIVERED = "not-delivered"
    """VKP has not taken it, for reasons that are not the message's."""
    UNCLEAR = "unclear"
    """It was sent, and nobody knows whether VKP has it."""


@dataclass(frozen=True, slots=True)
class Sent:
    """What became of one request, and why; the reason holds nothing of the message."""

    fate: Fate
    reason: str = ""
    status: int | None = None
    retry_after: float = 0.0
    """Seconds that VKP asked to be left alone."""


@dataclass(frozen=True, slots=True)
class StoredRequest:
    """A journaling as its sender sent it."""

    surface: str
    method: str
    target: str
    """Path and query."""
    headers: Headers
    """Those that say something of the message; never a token."""
    body: bytes


class VkpClient:
    """Sends with a token for the municipality.

    HelseID binds the token to our key, as it does for every new client. VKP documents plain Bearer, and what knows no DPoP
    takes a bound token as a bearer token (RFC 9449 section 7.2).
    """

    def __init__(
        self, settings: upstreams.VkpClient, tokens: TokenSource, caller: Caller, searching: ServiceCaller | None = None
    ) -> None:
        """Without `searching` VKP is asked nothing."""
        self._settings = settings
        self._searching = searching
        self._tokens = tokens
        self._caller = caller

    async def send(self, request: StoredRequest, orgnr: str, timeout: float) -> Sent:  # noqa: ASYNC109 - given on to the call
        """Send a request once; never raises for anything that VKP or HelseID does. `timeout` is in seconds, for a token too."""
        scope, now = self._settings.scope, asyncio.get_running_loop().time
        until = now() + timeout
        try:
            token = await self._tokens.token(orgnr, scope)
        except HelseIdUnavailable as error:
            return Sent(Fate.NOT_DELIVERED, f"no token from HelseID: {error}")
        if (left := until - now()) <= 0:
            return Sent(Fate.NOT_DELIVERED, "HelseID's token came too late")
        headers = (*request.headers, (b"Authorization", f"Bearer {token}".encode()))
        try:
            answer = await self._caller.call(request.method, request.target, headers, request.body, left)
        except Unreachable as error:
            return Sent(Fate.NOT_DELIVERED, f"VKP cannot be reached: {error}")
        except NoAnswer as error:
            return Sent(Fate.UNCLEAR, f"no usable answer from VKP: {error}")
        except ValueError:
            # Before a byte was sent: an address or a field that we may not write.
            return Sent(Fate.REFUSED, "its address or its fields cannot be sent")
        if answer.status == 401:
            self._tokens.forget(orgnr, scope, token)
        return judged(answer, request.surface)

    async def ask(self, call: Call, orgnr: str, timeout: float) -> Answer:  # noqa: ASYNC109 - given on to the call
        """Return VKP's answer to a search for patients, whatever its status below 500; raises `ServiceUnavailable`."""
        if self._searching is None:
            raise ServiceUnavailable("VKP is not searched")
        return await self._searching.ask(call, orgnr, SEARCH_SCOPE, timeout)


class VkpClients:
    """All of our own clients of one VKP, by municipality and vendor."""

    def __init__(self, upstream: upstreams.VkpUpstream, clients: Mapping[str, VkpClient]) -> None:
        """`clients` are by their client id."""
        self._upstream = upstream
        self._clients = clients

    def client_for(self, municipality: str, vendor: str | None) -> VkpClient | None:
        """Return the client that sends a vendor's messages to a municipality; None where VKP has registered none for us."""
        found = self._upstream.client_for(municipality, vendor)
        return self._clients[found.client_id] if found is not None else None


def judged(answer: Answer, surface: str) -> Sent:
    """Return what an answer of VKP means for a journaling of this surface."""
    status = answer.status
    if surface == vkp_soap.NAME and (status == 500 or 200 <= status < 300):
        return _of_soap(answer)
    if 200 <= status < 300:
        return _of_message(answer) if surface == vkp_stu3.NAME else Sent(Fate.ACCEPTED, status=status)
    if status in (401, 403):
        log.error("vkp.refuses_our_client", status=status)
        text = f"VKP does not let the gateway's own client send it ({status}{_code(answer)})"
        return Sent(Fate.NOT_DELIVERED, text, status)
    if status in (408, 429) or (500 <= status <= 599 and status != 504):
        return Sent(Fate.NOT_DELIVERED, f"VKP answered {status}", status, float(answer.retry_after or 0))
    if 400 <= status < 500:
        return Sent(Fate.REFUSED, f"VKP refused it ({status}{_code(answer)})", status)
    # With 504 whoever stands before VKP has sent it on. A redirect is documented nowhere, and never followed.
    return Sent(Fate.UNCLEAR, f"VKP answered {status}", status)


def _of_message(answer: Answer) -> Sent:
    """Judge the answer to an STU3 message: HTTP says success also where the message that answers does not."""
    tree, status = _tree(answer.body), answer.status
    header = header_of(tree)
    if header is not None:
        response = header.get("response")
        match text_of(response.get("code")) if isinstance(response, dict) else "":
            case "ok":
                return Sent(Fate.ACCEPTED, status=status)
            case "fatal-error":
                return Sent(Fate.REFUSED, f"VKP refused it (fatal-error{_code(answer)})", status)
            case "transient-error":
                return Sent(Fate.NOT_DELIVERED, f"VKP cannot take it now (transient-error{_code(answer)})", status)
    elif issues := list(_issues(tree)):
        if any(text_of(issue.get("severity")) in ("error", "fatal") for issue in issues):
            return Sent(Fate.REFUSED, f"VKP refused it ({status}{_code(answer)})", status)
        return Sent(Fate.ACCEPTED, status=status)
    return Sent(Fate.UNCLEAR, f"VKP answered {status} with what is no answer to a message", status)


def _of_soap(answer: Answer) -> Sent:
    """Judge the answer to a MsgHead: HTTP says success also where the AppRec rejects, and an error where a fault blames us."""
    status = answer.status
    try:
        body = opened(answer.body).body
    except Refused:
        fate = Fate.UNCLEAR if status < 300 else Fate.NOT_DELIVERED
        return Sent(fate, f"VKP answered {status} with what is no SOAP", status, float(answer.retry_after or 0))
    told = next((one.get("V") for one in body.iterfind("{*}AppRec/{*}Status")), None)
    if told in ("1", "3"):
        return Sent(Fate.ACCEPTED, status=status)
    if told == "2":
        return Sent(Fate.REFUSED, "VKP refused it (AppRec 2)", status)
    codes = [*body.iter("{*}faultcode"), *body.iter("{*}Value")]
    if codes and (codes[0].text or "").rpartition(":")[2] in ("Server", "Receiver"):
        return Sent(
            Fate.NOT_DELIVERED, f"VKP cannot take it now (a fault, {status})", status, float(answer.retry_after or 0)
        )
    if codes:
        return Sent(Fate.REFUSED, f"VKP refused it (a fault, {status})", status)
    return Sent(Fate.UNCLEAR, f"VKP answered {status} with what is no answer to a message", status)


def _tree(body: bytes) -> Tree:
    try:
        return message.decode(body)[0]
    except Refused:
        return None


def _code(answer: Answer) -> str:
    """Return VKP's own code of a refusal, after a comma; nothing where it gives none."""
    for issue in _issues(_tree(answer.body)):
        details = issue.get("details")
        for coding in objects(details.get("coding") if isinstance(details, dict) else None):
            if _CODE.fullmatch(code := text_of(coding.get("code"))):
                return f", {code}"
    return ""


def _issues(tree: Tree) -> Iterator[dict[str, Tree]]:
    """Go through the issues of an OperationOutcome, or of those in a Bundle."""
    if not isinstance(tree, dict):
        return
    if text_of(tree.get("resourceType")) == "OperationOutcome":
        yield from objects(tree.get("issue"))
    for entry in objects(tree.get("entry")):
        for resource in objects(entry.get("resource")):
            if text_of(resource.get("resourceType")) == "OperationOutcome":
                yield from objects(resource.get("issue"))
