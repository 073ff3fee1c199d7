"""The clients that are registered with the HelseID stub."""

from pathlib import Path
from typing import Any, Literal

import msgspec
from joserfc.errors import JoseError
from joserfc.jwk import Key, KeySet

from service_stubs.proofs import public_key_fault


class Client(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A client as registered in HelseID's self-service: public keys only, as the private ones never leave the owner.

    `delegations` are the organisations that have delegated to a multi-tenant client; None means all. `may_exchange` lets it
    exchange tokens of others for its own (RFC 8693).
    """

    client_id: str
    name: str
    scopes: list[str]
    jwks: dict[str, Any]
    tenancy: Literal["multi", "single"] = "multi"
    orgnr: str | None = None
    delegations: list[str] | None = None
    may_exchange: bool = False
    exchanges: str = "nhn:vkp"
    """The API that it is, whose tokens it may exchange: an actor exchanges what was sent to it (RFC 8693 section 1.1)."""
    claims: dict[str, str] = {}
    """What its tokens say beside the usual: VKP's clients have a vkp-id and a HER-id."""
    redirect_uris: list[str] = []
    """Where people who log in may be sent back to; a client that has none is not for people."""

    def keys(self, kid: str | None) -> list[Key]:
        """Return the key with this id, or all keys if no id is given."""
        keys = KeySet.import_key_set({"keys": self.jwks["keys"]}).keys
        return [key for key in keys if kid is None or key.kid == kid]

    def has_delegation(self, orgnr: str | None) -> bool:
        """Tell whether the client may act for the organisation."""
        return self.delegations is None or orgnr in self.delegations


class ClientsFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The content of a clients file."""

    clients: list[Client]


def read_clients(path: Path) -> list[Client]:
    """Read a clients file; ValueError says what is wrong."""
    try:
        clients = msgspec.json.decode(path.read_bytes(), type=ClientsFile).clients
    except (OSError, msgspec.DecodeError) as error:
        raise ValueError(f"{path}: {error}") from error
    for client in clients:
        check_client(client)
    return clients


def check_client(client: Client) -> None:
    """Refuse a registration whose keys are missing, unreadable or private."""
    keys = client.jwks.get("keys")
    if not isinstance(keys, list) or not keys:
        raise ValueError(f"client {client.client_id}: jwks has no keys")
    for key in keys:
        if fault := public_key_fault(key):
            raise ValueError(f"client {client.client_id}: {fault}")
    try:
        client.keys(None)
    except (JoseError, ValueError, TypeError, KeyError) as error:
        raise ValueError(f"client {client.client_id}: unreadable key") from error
