"""A configuration to ask about, and the command line to ask with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner, Result

from gateway.cli.main import main
from tests.gateway.world import CLIENT_ID, ROUTES

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

HEAD = f"""\
version: 1
environment: test
helseid: {{issuer: https://helseid.example, client_id: {CLIENT_ID}, key_file: key.json}}
upstreams:
  vkp: {{kind: vkp, url: "https://vkp.example"}}
  jft: {{kind: jft, write_url: "https://write.example", read_url: "https://read.example", status: production}}
municipalities:
  nordfjell:
    {{name: Nordfjell kommune, orgnr: "312229544", her_ids: ["102287"],
     epj: {{system: Gerica, generation: legacy, reads: [jft]}}}}
  sorvik:
    {{name: Sørvik kommune, orgnr: "313231593", epj: {{system: CosDoc, generation: legacy}}}}
  havnes:
    {{name: Havnes kommune, orgnr: "315058384", epj: {{system: Helseplattformen, generation: new, reads: [jft]}}}}
  vikan:
    {{name: Vikan kommune, orgnr: "974760674", epj: {{system: Profil, generation: legacy, reads: [jft], feeds: [pit, okt]}}}}
vendors:
  dignio:
    name: Dignio
    systems:
      prevent: {{name: Dignio Prevent, senders: [{{vkp_id: Dignio_Havnes, her_id: "135233", municipality: havnes}}]}}
  evondos:
    name: Evondos
    systems:
      e300: {{name: Evondos E300, senders: [{{vkp_id: Evondos_Nordfjell, municipality: nordfjell}}]}}
routes:
"""


@pytest.fixture
def routes_file(tmp_path: Path) -> Path:
    """Write a configuration."""
    path = tmp_path / "routes.yaml"
    path.write_text(HEAD + ROUTES, encoding="utf-8")
    return path


@pytest.fixture
def run(routes_file: Path) -> Callable[..., Result]:
    """Run a command with that configuration."""

    def ran(command: str, *arguments: object, stdin: Any = None) -> Result:
        return CliRunner().invoke(main, [command, "--config", str(routes_file), *map(str, arguments)], input=stdin)

    return ran
