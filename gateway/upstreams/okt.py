"""Client of OKT (oversikt kommunale tjenester), a prototype: the services of one person at a time.

The person's number stands in the path of its one look-up, so the path is nowhere told: not in a log, a metric or an error.
"""

from typing import Any

from gateway.config.upstreams import OktUpstream
from gateway.proxy.http_client import Answer
from gateway.upstreams.service_caller import AnswerRefused, ServiceCaller
from translators.contract import Call, Refused
from translators.national_number import kind_of
from translators.okt import active_services, services_of
from translators.services import Service

EVENTS = "/okt-events"
STATUS = "/okt-status"


class OktClient:
    """Asks OKT with a token for the municipality: it tells of a person what that municipality has said itself."""

    def __init__(self, upstream: OktUpstream, caller: ServiceCaller) -> None:
        self.upstream = upstream
        self._caller = caller

    async def services(self, number: str, orgnr: str, timeout: float) -> tuple[Service, ...]:  # noqa: ASYNC109 - given on to the call
        """Return the services of the person with this national number.

        "Nobody known" is believed only where OktStatus says it too: an address that is wrong would be answered alike. Raises
        `ServiceUnavailable`, and `AnswerRefused` for what the contract does not say. `timeout` is in seconds, for each call.
        """
        answer = await self._ask(EVENTS, number, orgnr, timeout)
        found = () if answer.status == 404 else _read(EVENTS, answer, services_of, number)
        if not found:
            status = await self._ask(STATUS, number, orgnr, timeout)
            if active := _read(STATUS, status, active_services, number):
                raise AnswerRefused(f"OKT tells of no services at {EVENTS}, and of {min(active, 99)} at {STATUS}")
        return found

    async def _ask(self, operation: str, number: str, orgnr: str, timeout: float) -> Answer:  # noqa: ASYNC109 - given on to the call
        if kind_of(number) is None:
            raise ValueError("not a national number")
        call = Call("okt", "GET", f"{operation}/{number}", (("Accept", "application/json"),), b"")
        return await self._caller.ask(call, orgnr, self.upstream.scopes.read, timeout)


def _read(operation: str, answer: Answer, read: Any, number: str) -> Any:
    if answer.status != 200:
        raise AnswerRefused(f"OKT answered {answer.status} at {operation}")
    try:
        return read(answer.body, number)
    except Refused as error:
        raise AnswerRefused(f"OKT at {operation}: {error}") from None
