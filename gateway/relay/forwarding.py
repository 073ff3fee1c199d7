"""Fields that tell an upstream of the sender, where `routes.yaml` asks for them; the legacy lane adds none by itself."""

from gateway.config.upstreams import Forwarded, VkpUpstream
from gateway.model import RequestHead

VIA = (b"Via", b"1.1 vkp-gateway")


def forwarding(
    upstream: VkpUpstream, peer: str, head: RequestHead, scheme: bytes = b"http"
) -> list[tuple[bytes, bytes]]:
    """Return the fields to add to a request: Via (RFC 9110 section 7.6.3), and the sender's address and Host.

    They come after what the sender wrote; with several lines of a list, the last is this gateway's.
    """
    fields = [VIA] if upstream.via else []
    host = next(iter(head.values(b"host")), b"")
    address = peer.encode("ascii", "replace")
    if upstream.forwarded is Forwarded.X_FORWARDED:
        fields += [
            (b"X-Forwarded-For", address),
            (b"X-Forwarded-Host", host),
            (b"X-Forwarded-Proto", scheme),
        ]
    elif upstream.forwarded is Forwarded.FORWARDED:
        node = b'"[%b]"' % address if b":" in address else address
        quoted = host.replace(b'"', b'\\"')  # a backslash is no part of a Host that is accepted
        fields.append((b"Forwarded", b'for=%b;host="%b";proto=%b' % (node, quoted, scheme)))
    return fields
