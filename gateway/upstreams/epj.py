"""Client of a municipality's own record system, which answers VKP's R4 searches by agreement, and what such an answer must be."""

from collections.abc import Collection, Iterator
from urllib.parse import urlencode

from gateway.config.upstreams import EpjAuth, EpjUpstream
from gateway.errors import Failure, Fault
from gateway.proxy.http_client import Answer
from gateway.surfaces.base import Found
from gateway.surfaces.search import Search
from gateway.surfaces.vkp_r4 import LISTS, PATIENT_PARAMETER
from gateway.upstreams.service_caller import AnswerRefused, ServiceCaller, ServiceUnavailable
from translators.contract import Call, Number, Refused, Tree
from translators.fhir.json_codec import decode
from translators.fhir.shapes import shape_fault
from translators.patient import NATIONAL_SYSTEMS
from translators.places import steps_spelled

ANSWER_LIMIT = 16 * 1024 * 1024
"""Bytes of an answer: a list of every patient of a large municipality."""
_FAULTS = {"1.1": Fault.NO_ACCESS, "1.2": Fault.NO_ACCESS, "1.3": Fault.NO_SERVICE, "1.4": Fault.NO_ACCESS}
_FAULTS |= {"2.1": Fault.PATIENT, "2.3": Fault.PARAMETERS, "2.4": Fault.MALFORMED}
"""What a record system's refusal means, by its code of vkp-operation-outcome; its text may name the patient and is not passed on."""
_TEXTS = {
    Fault.TOKEN: "Journalsystemet godtar ikke tilgangstokenet",
    Fault.NO_ACCESS: "Journalsystemet gir ikke avsenderen tilgang",
    Fault.NO_SERVICE: "Journalsystemet svarer at tjenstlig behov ikke er oppfylt",
    Fault.PATIENT: "Journalsystemet godtar ikke personidentifikatoren",
    Fault.PARAMETERS: "Journalsystemet godtar ikke parameterne i søket",
    Fault.MALFORMED: "Journalsystemet godtar ikke søket",
}
"""What the sender's user is told: who refused it is the record system, and neither VKP nor our own register."""
RECORD_SYSTEM = "The record system, which answers in mode epj,"
"""With this the diagnostics of its refusals begin."""
_MODES: dict[Tree, bool | None] = {"match": True, "include": False, None: None}


class EpjClient:
    """Asks one record system, with whose credentials its `auth` says; its connections are its own."""

    def __init__(self, upstream: EpjUpstream, caller: ServiceCaller) -> None:
        self.upstream = upstream
        self._caller = caller

    async def ask(
        self,
        search: Search,
        *,
        orgnr: str,
        scope: str,
        authorization: bytes | None,
        timeout: float,  # noqa: ASYNC109 - given on to the call
    ) -> bytes:
        """Return the body of a search's answer, which is not read yet; raises `Failure` and `AnswerRefused`.

        `scope` is what a sender's token needs for the search, `authorization` the sender's own field, used with `auth: pass`
        alone. `timeout` is in seconds.
        """
        call = question(search, orgnr)
        timeout = min(timeout, self.upstream.timeout)
        try:
            match self.upstream.auth:
                case EpjAuth.CLIENT_CREDENTIALS:
                    answer = await self._caller.ask(call, orgnr, self.upstream.scope or scope, timeout)
                case EpjAuth.MTLS:
                    answer = await self._caller.ask_with(call, (), timeout)
                case EpjAuth.PASS:
                    fields = ((b"Authorization", authorization),) if authorization is not None else ()
                    answer = await self._caller.ask_with(call, fields, timeout)
        except ServiceUnavailable as error:
            fault = Fault.NO_ANSWER if error.is_silent else Fault.UNAVAILABLE
            retry_after = None if error.is_silent else error.retry_after
            raise Failure(fault, f"The record system: {error}", retry_after=retry_after) from None
        return self._body(answer)

    def _body(self, answer: Answer) -> bytes:
        if answer.status == 200:
            return answer.body
        if answer.status in (401, 403) and self.upstream.auth is EpjAuth.PASS:
            fault = Fault.TOKEN if answer.status == 401 else Fault.NO_ACCESS
            raise _refused(
                fault,
                f"The record system, which answers in mode epj, does not accept the sender's token ({answer.status})",
            )
        if 400 <= answer.status < 500 and (code := _code(answer.body)) in _FAULTS:
            raise _refused(
                _FAULTS[code],
                f"The record system, which answers in mode epj, refused the search ({answer.status}, {code})",
            )
        raise AnswerRefused(f"it answered {answer.status}")


def _refused(fault: Fault, diagnostics: str) -> Failure:
    return Failure(fault, diagnostics, text=_TEXTS[fault])


def question(search: Search, orgnr: str) -> Call:
    """Return a search as VKP's R4 interface has it: the number stands in the form, and never in the address.

    What that interface has no parameter for, a name, a type or an id, the surface looks at when it answers. Raises `Failure` for
    the id of what no list can be asked of.
    """
    form = []
    if search.patient is not None:
        system, value = search.patient.system, search.patient.value
        name = PATIENT_PARAMETER.get(search.kind, "patient.identifier")
        form.append((name, value if system is None else f"{system}|{value}"))
    form += [("date", bound.prefix + bound.instant) for bound in search.dates]
    if search.id is not None and search.kind not in LISTS:
        raise Failure(Fault.NOT_SUPPORTED, f"The record system has no search for a {search.kind} by its id")
    headers = [("Accept", "application/fhir+json"), ("ServiceCodes", ",".join(search.service_codes))]
    if form:
        headers.append(("Content-Type", "application/x-www-form-urlencoded"))
    return Call(
        "epj", "POST", f"/epj/r4/{orgnr}/{search.kind.lower()}/_search", tuple(headers), urlencode(form).encode()
    )


def found(body: bytes, search: Search, read: Collection[str] | None = None) -> tuple[Found, ...]:
    """Return what a searchset holds; raises `AnswerRefused` by the path of what no answer of VKP has, never with a value.

    What is about another patient than was asked for is refused, and so is a page of an answer: the rest would be missing. Of each
    resource the shape is that of FHIR R4; where only some elements are `read`, of these.
    """
    try:
        bundle = _object(decode(body), "Bundle")
    except Refused as error:
        raise AnswerRefused(f"it is no FHIR JSON: {error}") from None
    if bundle.get("resourceType") != "Bundle":
        raise AnswerRefused("resourceType: a Bundle is expected")
    if bundle.get("type") != "searchset":
        raise AnswerRefused("Bundle.type: searchset is expected")
    for index, link in enumerate(_list(bundle, "link", "Bundle")):
        if not isinstance(relation := _object(link, f"Bundle.link[{index}]").get("relation"), str):
            raise AnswerRefused(f"Bundle.link[{index}].relation: text is expected")
        if relation == "next":
            raise AnswerRefused(f"Bundle.link[{index}]: a next page")
    entries = [
        _entry(one, f"Bundle.entry[{index}]", search, read)
        for index, one in enumerate(_list(bundle, "entry", "Bundle"))
    ]
    _check_total(bundle.get("total"), entries, search)
    _check_patient(entries, search)
    return tuple(entries)


def _entry(entry: Tree, path: str, search: Search, read: Collection[str] | None) -> Found:
    fields = _object(entry, path)
    resource = _object(fields.get("resource"), f"{path}.resource")
    if resource.get("resourceType") not in (search.kind, "Patient"):
        raise AnswerRefused(f"{path}.resource.resourceType: {search.kind} or Patient is expected")
    looked_at = {name: one for name, one in resource.items() if read is None or name in read}
    if (fault := shape_fault({**looked_at, "resourceType": resource["resourceType"]})) is not None:
        raise AnswerRefused(f"{path}.resource{steps_spelled(fault.path)}: {fault.text}")
    url = fields.get("fullUrl")
    if url is not None and not isinstance(url, str):
        raise AnswerRefused(f"{path}.fullUrl: text is expected")
    how = fields.get("search")
    mode = _object(how, f"{path}.search").get("mode") if how is not None else None
    if not (mode is None or isinstance(mode, str)) or mode not in _MODES:
        raise AnswerRefused(f"{path}.search.mode: match or include is expected")
    return Found(resource, url, _MODES[mode])


def _check_total(total: Tree, entries: list[Found], search: Search) -> None:
    """Refuse a total that is neither that of the entries nor that of the matches."""
    if total is None:
        return
    matches = sum(
        one.resource.get("resourceType") == search.kind if one.is_match is None else one.is_match for one in entries
    )
    if not isinstance(total, Number) or total.text not in {str(matches), str(len(entries))}:
        raise AnswerRefused("Bundle.total: another number than there are entries")


def _check_patient(entries: list[Found], search: Search) -> None:
    """Refuse what says of its patient another number of the kind that was asked for: a national one, or one of the same record system."""
    if search.patient is None:
        return
    system = search.patient.system
    kind = NATIONAL_SYSTEMS if system is None or system in NATIONAL_SYSTEMS else frozenset({system})
    known = {search.patient.value}
    for one in entries:
        numbers = (
            set(_numbers(one.resource.get("identifier"), kind))
            if one.resource.get("resourceType") == "Patient"
            else set()
        )
        known |= numbers if numbers & known else set()
    for index, one in enumerate(entries):
        patients = one.resource if one.resource.get("resourceType") == "Patient" else None
        named = {number for holder in _holders(one.resource, patients) for number in _numbers(holder, kind)}
        if named and not named & known:
            raise AnswerRefused(f"Bundle.entry[{index}].resource: about another patient than was asked for")


def _holders(resource: dict[str, Tree], patient: dict[str, Tree] | None) -> Iterator[Tree]:
    if patient is not None:
        yield patient.get("identifier")
        return
    for name in ("subject", "patient"):
        if isinstance(reference := resource.get(name), dict):
            yield reference.get("identifier")


def _numbers(identifiers: Tree, kind: Collection[str]) -> Iterator[str]:
    for one in identifiers if isinstance(identifiers, list) else [identifiers]:
        system, value = (one.get("system"), one.get("value")) if isinstance(one, dict) else (None, None)
        if isinstance(system, str) and system in kind and isinstance(value, str):
            yield value


def _code(body: bytes) -> str | None:
    """Return the code of vkp-operation-outcome of a refusal; None where it has none."""
    try:
        outcome = decode(body)
    except Refused:
        return None
    issues = outcome.get("issue") if isinstance(outcome, dict) else None
    for issue in issues if isinstance(issues, list) else ():
        details = issue.get("details") if isinstance(issue, dict) else None
        codings = details.get("coding") if isinstance(details, dict) else None
        for coding in codings if isinstance(codings, list) else ():
            if isinstance(coding, dict) and isinstance(code := coding.get("code"), str):
                return code
    return None


def _object(value: Tree, path: str) -> dict[str, Tree]:
    if not isinstance(value, dict):
        raise AnswerRefused(f"{path}: an object is expected")
    return value


def _list(fields: dict[str, Tree], name: str, path: str) -> list[Tree]:
    value = fields.get(name, [])
    if not isinstance(value, list):
        raise AnswerRefused(f"{path}.{name}: a list is expected")
    return value
