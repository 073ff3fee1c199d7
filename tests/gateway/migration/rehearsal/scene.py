"""A configuration with rehearsals and canaries, and messages as they come out of identification."""

from __future__ import annotations

import asyncio
import base64
import json
from dataclasses import replace
from typing import TYPE_CHECKING

from msgspec import structs

from gateway.config.directory import Directory
from gateway.config.load import load_text
from gateway.model import RequestHead
from gateway.pipeline.identify import Identified, Identifier
from tests.gateway.cli.conftest import HEAD

if TYPE_CHECKING:
    from gateway.config.model import Config
    from gateway.routing.table import RouteTable

NORDFJELL_R4 = "/epj/r4/312229544"
NORDFJELL_STU3 = "/epj/stu3/102287"
NEW_ONLY = '  - {municipality: havnes, mode: closed, text: "Ikke ennå."}\n'
REHEARSE = "  - {mode: legacy}\n  - {municipality: nordfjell, information: [journaling], mode: rehearse}\n"
CANARY = "  - {mode: legacy}\n  - {municipality: nordfjell, information: [journaling], mode: canary, share: 30%}\n"
SENDER = "Evondos_Nordfjell"
PATIENT = "12834010060"
LOCAL_SYSTEM = "http://record.example/lopenummer"


def loaded(routes: str) -> tuple[Config, RouteTable]:
    """Return a configuration with these routes."""
    found = load_text(HEAD + routes + NEW_ONLY, "routes.yaml")
    assert found.config is not None, found.problems
    assert found.table is not None
    return found.config, found.table


def with_local_number(config: Config, local: str, national: str) -> Config:
    """Return the configuration with one local number of Nordfjell's record system resolved."""
    nordfjell = replace(config.municipalities["nordfjell"], local_numbers={(LOCAL_SYSTEM, local): national})
    return replace(config, municipalities={**config.municipalities, "nordfjell": nordfjell})


def head(target: str, sender: str | None = SENDER) -> RequestHead:
    """Return the head of a POST whose token claims to be of a sender."""
    if sender is None:
        return RequestHead("POST", target, ())
    claims = json.dumps({"nhn:vkp/client/claims/vkp-id": sender}).encode()
    token = b"e30." + base64.urlsafe_b64encode(claims).rstrip(b"=") + b".c2ln"
    return RequestHead("POST", target, ((b"Authorization", b"Bearer " + token),))


def with_subject(body: bytes, system: str, number: str) -> bytes:
    """Return a lone resource about another patient."""
    resource = json.loads(body)
    resource["subject"] = {"identifier": {"system": system, "value": number}}
    return json.dumps(resource).encode()


class Whole:
    """A body that is here."""

    def __init__(self, data: bytes) -> None:
        self.data = data

    def whole(self, limit: int) -> bytes | None:
        """Return it."""
        return self.data if len(self.data) <= limit else None

    async def read(self, limit: int) -> bytes | None:
        """Return it."""
        return self.whole(limit)


def identified(config: Config, table: RouteTable, target: str, body: bytes, sender: str | None = SENDER) -> Identified:
    """Return what a request is, its body read."""
    identification = Identifier(1_000_000, Directory(config))
    found = asyncio.run(identification.identify(head(target, sender), Whole(body), table))
    content = found.content or identification.content(body, found)
    named = found.envelope.municipality
    return structs.replace(found, content=content, municipality=config.municipalities[named] if named else None)
