"""Who is who in a configuration."""

import pytest

from gateway.config.directory import Directory
from gateway.config.load import load_text
from gateway.config.model import Config
from tests.gateway.routing.conftest import FILE


@pytest.fixture
def config() -> Config:
    """Two municipalities and two vendors."""
    loaded = load_text(FILE + "  - {mode: closed, text: Nei.}\n", "routes.yaml")
    assert loaded.config is not None, loaded.problems
    return loaded.config


def test_parties_are_found_by_what_requests_carry(config: Config) -> None:
    """Organisation numbers, HER-ids and vkp-ids lead to the definitions, and unknown ones to None."""
    directory = Directory(config)
    nordfjell = config.municipalities["nordfjell"]
    assert directory.municipality_by_orgnr("312229544") is nordfjell
    assert directory.municipality_by_her_id("102287") is directory.municipality_by_her_id("102288") is nordfjell
    assert directory.municipality_by_orgnr("102287") is directory.municipality_by_her_id("312229544") is None
    first, second = config.senders
    assert directory.sender_by_vkp_id("Dignio_Nordfjell") is directory.sender_by_her_id("135233") is first
    assert directory.sender_by_her_id("135234") is second
    assert directory.sender_by_vkp_id("135234") is directory.sender_by_her_id("Dignio_Nordfjell") is None
