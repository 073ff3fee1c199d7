"""Client of PMD (Pasientens måledata): shares measurements, each bundle once.

PMD documents no conditional create, so what it may have got is never sent again.
"""

from gateway.config.upstreams import PmdUpstream
from gateway.upstreams.service_caller import AnswerRefused, ServiceCaller, ServiceUnavailable
from translators.contract import Refused, Tree
from translators.fhir.invariants import objects, objects_of_list
from translators.fhir.json_codec import decode
from translators.pmd import call_of

_NOT_THERE = frozenset({*range(300, 400), 404, 405, 410, 421})
"""What a server answers that PMD is not at: it says nothing of a bundle."""

_SEVERITIES = ("fatal", "error", "warning", "information")


class NotTaken(Exception):  # noqa: N818 - the condition
    """PMD says that it does not take a bundle, or a part of it; the text holds no value."""


class PmdClient:
    """Sends bundles with a token for the municipality, where a scope of machines is configured."""

    def __init__(self, upstream: PmdUpstream, caller: ServiceCaller) -> None:
        self.upstream = upstream
        self._caller = caller

    async def share(self, bundle: bytes, orgnr: str, timeout: float) -> None:  # noqa: ASYNC109 - given on to the call
        """Share a bundle of a municipality; returns once PMD has taken all of it. `timeout` is in seconds.

        Raises `NotTaken`; `AnswerRefused` where something else than PMD answers at its address; and `ServiceUnavailable` where PMD
        has not got it, or may have (`is_silent`): also for a success that is not answered as the contract says.
        """
        call, scope = call_of(bundle), self.upstream.scope
        if scope is None:
            answer = await self._caller.ask_with(call, (), timeout)
        else:
            answer = await self._caller.ask(call, orgnr, scope, timeout)
        if answer.status in (401, 403):
            raise ServiceUnavailable(f"PMD asks for a token ({answer.status}): no scope is configured")
        if answer.status in _NOT_THERE:
            raise AnswerRefused(f"PMD answered {answer.status} at its documented address")
        if not 200 <= answer.status < 300:
            raise NotTaken(f"PMD answered {answer.status}")
        if answer.body.strip():
            _check(answer.body, bundle)


def _check(body: bytes, sent: bytes) -> None:
    """Raise `NotTaken` where entries were refused; `ServiceUnavailable` for what is no answer of PMD, or none to all that was sent."""
    try:
        found = decode(body)
    except Refused as error:
        raise ServiceUnavailable(f"PMD's success cannot be read: {error}", is_silent=True) from None
    if not isinstance(found, dict) or found.get("resourceType") not in ("Bundle", "OperationOutcome"):
        raise ServiceUnavailable("PMD's success is neither Bundle nor OperationOutcome", is_silent=True)
    if found["resourceType"] == "OperationOutcome":
        if _tells_of_error(found, "OperationOutcome"):
            raise NotTaken("PMD answered with a success that tells of an error")
        return
    entries = _objects(found.get("entry"), "Bundle.entry")
    told = [
        (f"Bundle.entry[{index}].response", one["response"])
        for index, one in enumerate(entries)
        if one.get("response") is not None
    ]
    if failed := sum(not _is_taken(one, path) for path, one in told):
        raise NotTaken(f"PMD did not take {failed} of {len(entries)} measurements")
    bundle = decode(sent)
    number = len(list(objects(bundle.get("entry")))) if isinstance(bundle, dict) else 0
    if told and len(told) != number:
        text = f"PMD's success tells of {len(told)} measurements, of {number} that were sent"
        raise ServiceUnavailable(text, is_silent=True)


def _is_taken(response: Tree, path: str) -> bool:
    if not isinstance(response, dict):
        raise _not_documented(path)
    status, outcome = response.get("status"), response.get("outcome")
    if not isinstance(status, str):
        raise _not_documented(f"{path}.status")
    if outcome is not None and not isinstance(outcome, dict):
        raise _not_documented(f"{path}.outcome")
    return status.startswith("2") and not (outcome is not None and _tells_of_error(outcome, f"{path}.outcome"))


def _tells_of_error(outcome: dict[str, Tree], path: str) -> bool:
    issues = _objects(outcome.get("issue"), f"{path}.issue")
    for index, one in enumerate(issues):
        if one.get("severity") not in _SEVERITIES:
            raise _not_documented(f"{path}.issue[{index}].severity")
    return any(one["severity"] in ("error", "fatal") for one in issues)


def _objects(value: Tree, path: str) -> list[dict[str, Tree]]:
    """Return the objects of an array; raises `ServiceUnavailable` for what is passed over otherwise."""
    found = objects_of_list(value)
    if value is not None and (not isinstance(value, list) or len(found) != len(value)):
        raise _not_documented(path)
    return found


def _not_documented(path: str) -> ServiceUnavailable:
    return ServiceUnavailable(f"PMD's success is not what it documents: {path}", is_silent=True)
