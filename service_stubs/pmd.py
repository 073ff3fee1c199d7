"""PMD 2.0 (Pasientens måledata) as a runnable double: bundles of measurements, as NHN's pages and profiles have them.

No access of machines is documented: the double takes whoever comes, as `pmd.dev.nhn.no` does, or tokens with a scope that is
given to it. Whether a bundle is a `collection` or a `batch` is a conflict of the sources, so it takes both, or one alone.
"""

import re
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Literal

import msgspec
from aiohttp import web

from service_stubs.api_access import AccessError, ApiAccess, Credentials
from service_stubs.behaviour import Script, act, end_connection
from service_stubs.fhir_structure import structure_faults
from service_stubs.issuer_keys import IssuerKeys, IssuerUnavailableError
from service_stubs.listening import Listener, ScriptedStub
from service_stubs.national_numbers import SYSTEMS, Kind, kind_of
from service_stubs.problems import ProblemError
from service_stubs.proofs import Call
from service_stubs.recording import Recorder

Results = Literal["entries", "empty", "page"]
"""What a bundle that was taken is answered with: a result for each entry, nothing, or a web page in its place."""
_AUDIENCE = "nhn:pmd"
_MAX_BODY = 5_000_000
_MUNICIPALITY = "https://register.geonorge.no/sosi-kodelister/inndelinger/inndelingsbase/kommunenummer"
_IDENTIFIER = "https://www.nhn.no/komlink/bundle-identifier"
_PROFILES = "http://hl7.no/fhir/vkpobservation/StructureDefinition/"
_TYPES = ("collection", "batch")
_CODES = {
    "8867-4": f"{_PROFILES}vkp-Observation-Heartrate",
    "85354-9": f"{_PROFILES}vkp-Observation-Bloodpressure",
    "2708-6": f"{_PROFILES}vkp-Observation-Oxygensat",
    "8310-5": f"{_PROFILES}vkp-Observation-Bodytemp",
    "9279-1": f"{_PROFILES}vkp-Observation-Resprate",
    "29463-7": f"{_PROFILES}vkp-Observation-Bodyweight",
}


class SharedBundle(msgspec.Struct, frozen=True):
    """A bundle that was taken: of which municipality, in which form, and its Observations."""

    kommunenummer: str
    form: str
    identifier: str
    observations: list[dict[str, Any]]


@dataclass
class PmdStub(ScriptedStub):
    """A double of `pmd.test.nhn.no`; with a `scope` it trusts the tokens of `issuer` alone."""

    issuer: str = ""
    host: str = "127.0.0.1"
    port: int = 0
    scope: str | None = None
    forms: tuple[str, ...] = _TYPES
    results: Results = "entries"
    refuse_entries: int = 0
    """How many entries of the next bundles are answered with 422."""
    clock: Callable[[], float] = time.time
    shared: Recorder[SharedBundle] = field(default_factory=Recorder, init=False)
    refused: list[str] = field(default_factory=list, init=False)
    """Why bundles were not taken."""
    _script: Script = field(default_factory=Script, init=False)

    def __post_init__(self) -> None:
        self._access = ApiAccess(IssuerKeys(self.issuer), _AUDIENCE, self.scope) if self.scope is not None else None
        self._listener = Listener(self._handle, self.host, self.port, _MAX_BODY)

    def ready_lines(self) -> Iterable[str]:
        """Say where the stub listens."""
        return [f"PMD on {self.url}"]

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        match request.method, request.path:
            case "GET", "/stub/received":
                return web.Response(body=msgspec.json.encode(list(self.shared)), content_type="application/json")
            case "POST", "/stub/behaviour":
                return await self._script.set_from(request)
        body = await request.read()
        behaviour = self._script.next()

        async def handle() -> web.Response:
            return await self._respond(request, body, ask_for_nonce=behaviour.dpop_nonce)

        response = await act(behaviour, handle, lambda status: _failed(status, behaviour.retry_after))
        if behaviour.drops:
            end_connection(request)
        return response

    async def _respond(self, request: web.Request, body: bytes, *, ask_for_nonce: bool) -> web.Response:
        try:
            await self._admit(request, ask_for_nonce=ask_for_nonce)
            bundle = _bundle_of(request, body, self.forms)
        except ProblemError as error:
            self.refused.append(f"{error.problem.status} {error}")
            return _failed(error.problem.status)
        except AccessError as error:
            response = _failed(error.status)
            response.headers.update(error.fields())
            return response
        except IssuerUnavailableError:
            return _failed(503)
        return self._taken(bundle, len(body))

    async def _admit(self, request: web.Request, *, ask_for_nonce: bool) -> None:
        if request.raw_path != "/":
            raise ProblemError(404, "Bundles are sent to the root.")
        if request.method != "POST":
            raise ProblemError(405, "Only POST is answered here.")
        if self._access is not None:
            call = Call(request.method, self.url + "/", self.clock())
            credentials = Credentials(request.headers.getall("Authorization", []), request.headers.getall("DPoP", []))
            await self._access.admit(credentials, call, ask_for_nonce=ask_for_nonce)

    def _taken(self, bundle: dict[str, Any], size: int) -> web.Response:
        entries = [one for one in bundle["entry"] if one["resource"]["resourceType"] == "Observation"]
        refused = entries[: self.refuse_entries]
        kept = [one["resource"] for one in entries[self.refuse_entries :]]
        tag = next(one["code"] for one in bundle["meta"]["tag"] if one.get("system") == _MUNICIPALITY)
        self.shared.add(SharedBundle(tag, bundle["type"], bundle["identifier"]["value"], kept), size)
        if self.results == "empty":
            return web.Response(status=200)
        if self.results == "page":
            return web.Response(status=200, body=b"<html>Logg inn</html>", content_type="text/html")
        told = [
            {"fullUrl": one["fullUrl"], "response": {"status": "422" if one in refused else "200"}} for one in entries
        ]
        profile = {"profile": [f"{_PROFILES}pmd-Bundle-Response"]}
        answer = {"resourceType": "Bundle", "meta": profile, "type": "batch-response", "entry": told}
        return web.Response(body=msgspec.json.encode(answer), content_type="application/fhir+json")


def _bundle_of(request: web.Request, body: bytes, forms: tuple[str, ...]) -> dict[str, Any]:
    """Return the bundle that a request brings; raises `ProblemError`."""
    if request.content_type != "application/fhir+json":
        raise ProblemError(415, "Content-Type must be application/fhir+json.")
    try:
        bundle = msgspec.json.decode(body)
    except msgspec.DecodeError as error:
        raise ProblemError(400, "The body is not JSON.") from error
    if not isinstance(bundle, dict) or bundle.get("resourceType") != "Bundle" or bundle.get("type") not in forms:
        raise ProblemError(400, f"A Bundle of type {' or '.join(forms)} is expected.")
    tags = [one for one in bundle.get("meta", {}).get("tag", []) if one.get("system") == _MUNICIPALITY]
    if len(tags) != 1 or not re.fullmatch("[0-9]{4}", str(tags[0].get("code"))):
        raise ProblemError(400, "meta.tag must have the kommunenummer.")
    if bundle.get("identifier", {}).get("system") != _IDENTIFIER or "timestamp" not in bundle:
        raise ProblemError(400, "identifier and timestamp are expected.")
    _check_entries(bundle)
    return bundle


def _check_entries(bundle: dict[str, Any]) -> None:
    entries = bundle.get("entry") or []
    if not entries:
        raise ProblemError(400, "There is no entry.")
    if bundle["type"] == "batch":
        wanted = f"{_PROFILES}pmd-Bundle-Observation" in bundle["meta"].get("profile", [])
        requests = [one.get("request", {}) for one in entries]
        if not wanted or any(one.get("method") not in ("POST", "PUT") or not one.get("url") for one in requests):
            raise ProblemError(400, "A batch has its profile, and a request in each entry.")
    if len({one.get("fullUrl") for one in entries} - {None}) != len(entries):
        raise ProblemError(400, "Each entry needs a fullUrl of its own.")
    for index, entry in enumerate(entries):
        resource = entry.get("resource", {})
        if resource.get("resourceType") == "Observation":
            _check_observation(index, resource)
        elif resource.get("resourceType") != "Patient":
            raise ProblemError(400, f"entry[{index}]: only Observation and Patient are taken.")


def _check_observation(index: int, one: dict[str, Any]) -> None:
    where = f"entry[{index}].resource"
    if faults := structure_faults(one):
        raise ProblemError(422, f"{where}: {faults[0].path} {faults[0].message}")
    identifier = one.get("subject", {}).get("identifier", {})
    if identifier.get("system") not in SYSTEMS or kind_of(str(identifier.get("value"))) is not Kind.SYNTHETIC:
        raise ProblemError(422, f"{where}.subject: a synthetic national number is expected")
    if not any(name.startswith("effective") for name in one):
        raise ProblemError(422, f"{where}: effective is missing")
    codes = [coding.get("code") for coding in one["code"].get("coding", [])]
    profiles = one.get("meta", {}).get("profile", [])
    wrong = [code for code in codes if code in _CODES and _CODES[code] not in profiles]
    if wrong or "29563-7" in codes or not any(str(profile).startswith(_PROFILES) for profile in profiles):
        raise ProblemError(422, f"{where}: not the profile of its code")
    if any(code in _CODES for code in codes) and "vital-signs" not in str(one.get("category")):
        raise ProblemError(422, f"{where}.category: vital-signs is expected")


def _failed(status: int, retry_after: int | None = None) -> web.Response:
    headers = {"Retry-After": str(retry_after)} if retry_after is not None else {}
    return web.Response(status=status, body=b"{}", content_type="application/problem+json", headers=headers)
