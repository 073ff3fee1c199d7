"""What tests of routing share: configurations made of routes alone."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from gateway.config.load import load_text
from gateway.config.model import Config
from gateway.model import Information, Mode, Place
from gateway.routing.route import Route

FILE = """\
version: 1
helseid: {issuer: https://sts.example, client_id: gateway, key_file: key.json}
upstreams:
  old: {kind: vkp, url: https://vkp.example}
  journal: {kind: jft, write_url: https://write.example, read_url: https://read.example, status: test}
municipalities:
  nordfjell:
    name: Nordfjell kommune
    orgnr: "312229544"
    her_ids: ["102287", "102288"]
    epj: {system: Gerica, generation: legacy, reads: [jft], feeds: [pit]}
  sorvik:
    name: Sørvik kommune
    orgnr: "974760673"
    epj: {system: CosDoc, generation: legacy}
vendors:
  dignio:
    name: Dignio
    systems:
      prevent:
        name: Prevent
        senders:
          - {vkp_id: Dignio_Nordfjell, her_id: "135233", municipality: nordfjell}
          - {her_id: "135234", municipality: sorvik}
      other: {name: Other}
  skyresponse:
    name: Skyresponse
    systems:
      alarm: {name: Alarm}
routes:
"""

NOW = datetime(2026, 12, 1, tzinfo=UTC)


@pytest.fixture(scope="session")
def now() -> datetime:
    """Any moment: the layers that exist do not depend on it."""
    return NOW


@pytest.fixture(scope="session")
def config() -> Config:
    """Two municipalities, two vendors and both upstreams; everything is closed."""
    loaded = load_text(FILE + "  - {mode: closed, text: Nei.}\n", "routes.yaml")
    assert loaded.config is not None, loaded.problems
    return loaded.config


@pytest.fixture(scope="session")
def with_routes(config: Config) -> Callable[[Iterable[Route]], Config]:
    """Put routes of a test into the configuration, whatever its rules would say of them."""
    return lambda routes: replace(config, routes=tuple(routes))


def route(
    line: int,
    municipality: str | None = None,
    vendor: str | None = None,
    system: str | None = None,
    *,
    information: Iterable[Information] | None = None,
    grouped: Iterable[Information] = (),
    mode: Mode = Mode.LEGACY,
    text: str | None = None,
    losses: tuple[str, ...] = (),
) -> Route:
    """Make a route as if it stood at `line`."""
    named = None if information is None else frozenset(information)
    place = Place("routes.yaml", line, 5)
    return Route(municipality, vendor, system, named, frozenset(grouped), mode, text, place, losses=losses)


@pytest.fixture(scope="session")
def make_route() -> Callable[..., Route]:
    """Make a route as if it stood at a line."""
    return route
