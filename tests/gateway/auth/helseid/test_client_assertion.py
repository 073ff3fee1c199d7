"""The gateway's private key: read from where it is, or a reason without the key in it."""

from __future__ import annotations

import json
import warnings
from typing import TYPE_CHECKING

import pytest
from joserfc.errors import SecurityWarning
from joserfc.jwk import ECKey, OctKey, RSAKey

from gateway.auth.helseid import client_assertion
from gateway.auth.helseid.client_assertion import ClientKey
from gateway.errors import StartupError

if TYPE_CHECKING:
    from pathlib import Path

    from tests.gateway.world import Logged


def test_key_comes_from_a_file_beside_the_configuration(tmp_path: Path) -> None:
    """A relative path is below the configuration's folder."""
    key = ECKey.generate_key("P-384", {"kid": "k"})
    (tmp_path / "key.json").write_text(json.dumps(key.as_dict(private=True)), encoding="utf-8")
    loaded = client_assertion.load("key.json", tmp_path)
    assert (loaded.kid, client_assertion.algorithm(loaded)) == ("k", "ES384")


def test_key_comes_from_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, key_pool: list[RSAKey]
) -> None:
    """`${NAME}` holds the JWK itself."""
    monkeypatch.setenv("GATEWAY_KEY", json.dumps({**key_pool[0].as_dict(private=True), "kid": "k"}))
    assert client_assertion.algorithm(client_assertion.load("${GATEWAY_KEY}", tmp_path)) == "PS256"


def test_key_may_name_its_algorithm(tmp_path: Path, key_pool: list[RSAKey]) -> None:
    """HelseID registers a key with one algorithm, which the key's `alg` then says."""
    (tmp_path / "k").write_text(
        json.dumps({**key_pool[0].as_dict(private=True), "kid": "k", "alg": "RS512"}), encoding="utf-8"
    )
    assert client_assertion.algorithm(client_assertion.load("k", tmp_path)) == "RS512"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "5",
        "{}",
        '{"kty": "RSA"}',
        '{"kty": "EC", "d": "SECRET"}',
        json.dumps(OctKey.generate_key(256).as_dict(private=True)),
        json.dumps(ECKey.generate_key("P-256").as_dict(private=False)),
        "-----BEGIN PRIVATE KEY-----\nSECRET",
        "\ud800".encode("utf-8", "surrogatepass").decode("latin-1"),
    ],
    ids=range(10),
)
def test_what_is_no_private_key_is_refused(tmp_path: Path, text: str) -> None:
    """The operator hears that it is none, and sees nothing of it."""
    (tmp_path / "key.json").write_text(text, encoding="utf-8")
    with pytest.raises(StartupError) as error:
        client_assertion.load("key.json", tmp_path)
    assert "key.json" in str(error.value)
    assert "SECRET" not in str(error.value)


def stored(folder: Path, key: ECKey | RSAKey, **changes: str | None) -> None:
    """Write a key's file, with other members or without them."""
    members = {**key.as_dict(private=True), "kid": "k", **changes}
    said = {name: value for name, value in members.items() if value is not None}
    (folder / "key.json").write_text(json.dumps(said), encoding="utf-8")


@pytest.mark.fact("helseid-keys", "helseid-kid")
@pytest.mark.parametrize(
    ("key", "changes", "reason"),
    [
        (ECKey.generate_key("secp256k1"), {}, "curve"),
        (ECKey.generate_key("P-256"), {"alg": "ES384"}, "another kind of key"),
        (ECKey.generate_key("P-256"), {"alg": "RS256"}, "another kind of key"),
        (ECKey.generate_key("P-256"), {"alg": "EdDSA"}, "algorithm"),
        (ECKey.generate_key("P-256"), {"alg": "HS256"}, "algorithm"),
        (ECKey.generate_key("P-256"), {"kid": None}, "kid"),
    ],
    ids=["curve", "size of another curve", "RSA for an EC key", "EdDSA", "symmetric", "no kid"],
)
def test_what_helseid_would_not_take_is_refused_before_anything_is_signed(
    tmp_path: Path, key: ECKey | RSAKey, changes: dict[str, str | None], reason: str
) -> None:
    """Keys and algorithms of HelseID's security profile (FAPI 2.0 section 5.4), and a kid to be found by."""
    stored(tmp_path, key, **changes)
    with pytest.raises(StartupError, match=reason) as error:
        client_assertion.load("key.json", tmp_path)
    assert str(key.as_dict(private=True)["d"]) not in str(error.value)


@pytest.mark.fact("helseid-keys")
def test_an_rsa_key_that_is_too_short_is_refused(tmp_path: Path) -> None:
    """Of fewer than 2048 bits, as HelseID refuses it."""
    with pytest.warns(SecurityWarning):
        stored(tmp_path, RSAKey.generate_key(1024))
    with warnings.catch_warnings(action="ignore"), pytest.raises(StartupError, match="2048 bits"):
        client_assertion.load("key.json", tmp_path)


@pytest.mark.parametrize("name", ["missing.json", ".", "${NOT_SET_ANYWHERE}"])
def test_key_that_is_not_there_is_refused(tmp_path: Path, name: str) -> None:
    """A missing file, a folder and an unset variable each have their reason."""
    with pytest.raises(StartupError):
        client_assertion.load(name, tmp_path)


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    """A binary file is no JWK."""
    (tmp_path / "key.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(StartupError):
        client_assertion.load("key.json", tmp_path)


def test_key_of_a_file_is_read_again_when_the_file_changes(tmp_path: Path, logged: Logged) -> None:
    """When it is looked at, and by no signing; a file that is gone, or holds nonsense, changes nothing and is told once."""
    keys = [ECKey.generate_key("P-256", {"kid": str(number)}) for number in range(2)]
    path = tmp_path / "key.json"
    path.write_text(json.dumps(keys[0].as_dict(private=True)), encoding="utf-8")
    current = ClientKey("key.json", tmp_path)
    assert current().kid == "0"
    path.unlink()
    current.look()
    assert current().kid == "0"
    path.write_text("half a ke", encoding="utf-8")
    for _ in range(3):
        current.look()
    assert current().kid == "0"
    assert len(logged.named("helseid.client_key.unusable")) == 1
    path.write_text(json.dumps(keys[1].as_dict(private=True)), encoding="utf-8")
    assert current().kid == "0"
    current.look()
    assert current().kid == "1"


def test_key_of_the_environment_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, key_pool: list[RSAKey]) -> None:
    """A process's environment does not change from outside."""
    monkeypatch.setenv("GATEWAY_KEY", json.dumps({**key_pool[0].as_dict(private=True), "kid": "k"}))
    current = ClientKey("${GATEWAY_KEY}", tmp_path)
    monkeypatch.delenv("GATEWAY_KEY")
    current.look()
    assert current() is current()
