"""Senders that speak TLS to the data port, and what they are shown."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from cryptography import x509

from gateway.config.load import load
from gateway.runtime.node import Node
from tests.gateway.world import NORDFJELL

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator

    from tests.gateway.wire import Answer
    from tests.gateway.world import World


NAME = "localhost"
BUNDLE = f"/epj/r4/{NORDFJELL}/bundle"
TLS = "tls: {cert_file: server.pem, key_file: server.key}"


@asynccontextmanager
async def connection(
    world: World, context: ssl.SSLContext
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """Connect a sender."""
    async with asyncio.timeout(120):
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", world.data_port, ssl=context, server_hostname=NAME, limit=1 << 20
        )
    try:
        yield reader, writer
    finally:
        writer.transport.abort()


async def post(world: World, context: ssl.SSLContext, path: str = BUNDLE, body: bytes = b"{}") -> Answer:
    """Send one request over TLS."""
    async with connection(world, context) as (reader, writer), asyncio.timeout(120):
        writer.write(world.request(path, body))
        answer = await world.read_answer(reader)
    assert answer is not None
    return answer


def shown_by(writer: asyncio.StreamWriter) -> int:
    """Return the serial number of the certificate that the gateway showed."""
    der = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    return x509.load_der_x509_certificate(der).serial_number


@asynccontextmanager
async def served(world: World) -> AsyncIterator[Any]:
    """Run the gateway of a world here."""
    loaded = load(str(world.config))
    assert loaded.config is not None
    assert loaded.table is not None
    gateway = Node(str(world.config), loaded.config, loaded.table)
    await gateway.start()
    try:
        yield gateway
    finally:
        await gateway.stop()
