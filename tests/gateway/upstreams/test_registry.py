"""Which client an upstream has, and which upstream answers for what."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from joserfc.jwk import ECKey

from gateway.config.load import load_text
from gateway.config.model import Config
from gateway.proxy.tls import Certificates
from gateway.upstreams.jft import JftClient
from gateway.upstreams.registry import UpstreamRegistry
from gateway.upstreams.vkp import VkpClients
from tests.gateway.clocks import FakeClock

_FILE = """\
version: 1
environment: test
helseid: {issuer: "https://sts.example", client_id: a, key_file: key.json}
upstreams:
  old: {kind: vkp, url: "https://vkp.example", clients: [{municipality: havnes, client_id: b, key_file: key.json, scope: "nhn:vkp"}]}
  journal: {kind: jft, write_url: "https://write.example", read_url: "https://read.example", status: test}
municipalities:
  havnes: {name: Havnes, orgnr: "315058384", epj: {system: Gerica, generation: legacy, reads: [jft]}}
vendors: {}
routes: [{mode: legacy}]
"""


@pytest.fixture
async def registry(tmp_path: Path, client_key: ECKey) -> AsyncIterator[UpstreamRegistry]:
    """Make a registry beside a key."""
    (tmp_path / "key.json").write_text(json.dumps(client_key.as_dict(private=True)))
    made = UpstreamRegistry(tmp_path, FakeClock())
    yield made
    await made.close()


def _config(text: str = _FILE) -> Config:
    loaded = load_text(text, "routes.yaml")
    assert loaded.config is not None, loaded.problems
    return loaded.config


async def test_journalings_are_answered_by_the_client_of_their_kind(registry: UpstreamRegistry, tmp_path: Path) -> None:
    """JFT has one, and VKP its own."""
    config = _config()
    made = registry.prepare(config, Certificates(config, tmp_path))
    assert made.of(JftClient) is not None
    assert made.of(VkpClients) is not None


async def test_upstream_that_is_not_configured_has_no_client(registry: UpstreamRegistry, tmp_path: Path) -> None:
    """Without JFT nothing answers for a journaling, and a VKP that has no client of ours is not called by us."""
    lines = [
        line.replace(', clients: [{municipality: havnes, client_id: b, key_file: key.json, scope: "nhn:vkp"}]', "")
        for line in _FILE.splitlines()
    ]
    config = _config("\n".join(line for line in lines if "kind: jft" not in line))
    made = registry.prepare(config, Certificates(config, tmp_path))
    assert (made.of(JftClient), made.of(VkpClients), made.tokens) == (None, None, None)


async def test_reload_keeps_the_breaker_of_an_upstream_that_stays(registry: UpstreamRegistry, tmp_path: Path) -> None:
    """A service that was left alone is left alone under the next configuration too, unless it is another service."""
    breakers = []
    for text in (_FILE, _FILE.replace("client_id: a", "client_id: c"), _FILE.replace("write.example", "other.example")):
        config = _config(text)
        made = registry.prepare(config, Certificates(config, tmp_path))
        registry.use(made)
        client = made.of(JftClient)
        assert client is not None
        breakers.append(client.breaker)
    assert breakers[0] is breakers[1]
    assert breakers[1] is not breakers[2]
