"""Retrieval over SOAP where VKP does not answer: by the WSDL, in the request's version, with VKP's codes in faults."""

from __future__ import annotations

import asyncio
import threading
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from lxml import etree
from zeep import Client
from zeep.exceptions import Fault as ZeepFault
from zeep.transports import Transport

from gateway.pipeline.content import LARGE
from gateway.surfaces.soap import searches
from tests.gateway.pipeline.record_system import SOLVEIG
from tests.gateway.pipeline.searching import BY_SERVICE, PERSON, ask, fault_of, read, started
from tests.gateway.pipeline.stu3_sender import NORDFJELL_HER

if TYPE_CHECKING:
    from tests.gateway.pipeline.searching import Start


@pytest.mark.parametrize("version", ["1.1", "1.2"])
async def test_operations_over_soap_are_answered_in_plain_xml(start: Start, version: str) -> None:
    """By the WSDL, in the request's version of SOAP; without a patient the list of those with a need."""
    async with started(start) as (world, epj):
        (patient,) = read(
            await ask(world, "HentPasientinformasjon", PERSON + BY_SERVICE, version), "HentPasientinformasjon", version
        )
        assert [one.Id for one in patient.Identifikator] == [SOLVEIG]
        services = read(await ask(world, "HentTjenester", PERSON, version), "HentTjenester", version)
        assert {one.Pasient.Id for one in services} == {SOLVEIG}
        visits = read(await ask(world, "HentBesoksplan", PERSON, version), "HentBesoksplan", version)
        assert visits
        everybody = read(
            await ask(world, "HentPasientinformasjon", BY_SERVICE, version), "HentPasientinformasjon", version
        )
        assert SOLVEIG in {one.Identifikator[0].Id for one in everybody}
        assert next(one.service_codes for one in epj.received) == "TA"
        assert all(one.service_codes for one in epj.received)
        assert {(one["surface"], one["outcome"]) for one in world.logged.named("message")} == {("vkp-soap", "answered")}
        assert SOLVEIG not in world.logged.everything()


async def test_large_search_over_soap_is_read_where_nobody_waits_for_it(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An envelope may be as large as a message, whatever little it asks for."""
    threads, search = [], searches.search

    def noting(*given: Any) -> Any:
        threads.append(threading.current_thread() is threading.main_thread())
        return search(*given)

    monkeypatch.setattr(searches, "search", noting)
    async with started(start, body="1MB") as (world, _):
        for blanks in ("", " " * LARGE):
            assert read(await ask(world, "HentTjenester", blanks + PERSON), "HentTjenester")
    assert threads == [True, False]


async def test_client_that_zeep_makes_of_the_description_asks_for_all_three(start: Start) -> None:
    """As a vendor would: from the WSDL at its address, in either version of SOAP; a refusal is a fault with VKP's code."""
    async with started(start) as (world, epj):

        def ask_all() -> tuple[list[Any], str]:
            transport = Transport()
            transport.session.headers["Authorization"] = f"Bearer {world.token()}"
            transport.session.trust_env = False
            client = Client(f"http://127.0.0.1:{world.data_port}/ws/v1/Innhenting?wsdl", transport=transport)
            basic, ws = (client.bind("InnhentingService", port) for port in ("Basic", "WS"))
            whom = {"Mottaker": {"HerId": NORDFJELL_HER}, "Pasient": {"Id": SOLVEIG, "Type": "FNR"}}
            since = datetime(2024, 5, 17, 7, 8, 9, tzinfo=UTC)
            found = [
                basic.HentPasientinformasjon(**whom, Tjenestekode=["TA"])[0].Identifikator[0].Id,
                ws.HentTjenester(**whom)[0].Pasient.Id,
                basic.HentBesoksplan(**whom, FraOgMed=since)[0].Pasient.Id,
            ]
            with pytest.raises(ZeepFault) as caught:
                ws.HentTjenester(**whom, Tjenestekode=["DHO"])
            transport.session.close()
            return found, etree.tostring(caught.value.detail).decode()

        found, detail = await asyncio.to_thread(ask_all)
        assert found == [SOLVEIG] * 3
        assert "ErrorCode>1.3<" in detail
        assert [one.resource_type for one in epj.received] == ["Patient", "EpisodeOfCare", "CarePlan"]


async def test_bad_searches_over_soap_are_faults_and_nothing_is_fetched(start: Start) -> None:
    """A number that is none, a service that is not the sender's, no patient where there must be one."""
    async with started(start) as (world, epj):
        wrong = PERSON.replace(SOLVEIG, "12345678901")
        assert fault_of(await ask(world, "HentTjenester", wrong)) == (500, "2.1")
        assert fault_of(await ask(world, "HentTjenester", PERSON + BY_SERVICE.replace("TA", "DHO"))) == (500, "1.3")
        assert fault_of(await ask(world, "HentBesoksplan", BY_SERVICE, "1.2")) == (400, "2.3")
        assert fault_of(await ask(world, "HentTjenester", "<h:Annet/>"))[1] == "2.4"
        assert not list(epj.received)
        assert "12345678901" not in world.logged.everything()
