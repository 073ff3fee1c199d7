"""Clients files are read strictly."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from joserfc.jwk import ECKey

from service_stubs.clients import Client, read_clients

if TYPE_CHECKING:
    from pathlib import Path

    from tests.service_stubs.conftest import Sender


def write(path: Path, *clients: Any) -> Path:
    """Write a clients file."""
    path.write_bytes(msgspec.json.encode({"clients": clients}))
    return path


def test_registered_clients_are_read(tmp_path: Path, sender: Sender) -> None:
    """A file gives what a registration gives."""
    client = sender.registration(tenancy="single", orgnr="310000001", delegations=None)
    assert read_clients(write(tmp_path / "clients.json", client)) == [client]


@pytest.mark.parametrize(
    ("jwks", "reason"),
    [
        ({}, "no keys"),
        ({"keys": []}, "no keys"),
        ({"keys": [{"kty": "oct", "k": "AAAA"}]}, "RSA or EC"),
        ({"keys": [ECKey.generate_key("P-256").as_dict(private=True)]}, "private key"),
        ({"keys": [{"kty": "EC", "crv": "P-256", "x": "AA"}]}, "unreadable key"),
    ],
    ids=["none", "empty", "secret", "private", "incomplete"],
)
def test_bad_keys_are_refused(tmp_path: Path, jwks: dict[str, Any], reason: str) -> None:
    """HelseID holds public keys only."""
    client = Client(client_id="a", name="A", scopes=[], jwks=jwks)
    with pytest.raises(ValueError, match=reason):
        read_clients(write(tmp_path / "clients.json", client))


def test_misspelt_members_are_refused(tmp_path: Path) -> None:
    """An unknown member names itself and the file."""
    with pytest.raises(ValueError, match=r"clients\.json.*tenency"):
        read_clients(write(tmp_path / "clients.json", {"client_id": "a", "tenency": "multi"}))


def test_missing_file_is_named(tmp_path: Path) -> None:
    """The error says which file."""
    with pytest.raises(ValueError, match=r"nowhere\.json"):
        read_clients(tmp_path / "nowhere.json")
