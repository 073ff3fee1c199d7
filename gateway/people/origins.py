"""The names by which browsers may call the admin port; under any other a page of somebody else could drive it."""

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from gateway.config.places import Address
from gateway.config.values import is_loopback

_DEFAULT_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Origins:
    """Every Host that is answered, with the origin that its pages have."""

    canonical: str | None
    """`people.url`."""
    by_host: Mapping[str, str]

    @classmethod
    def of(cls, url: str | None, admin: Address) -> "Origins":
        """Return the configured name, and those of this machine when the port is only open to it."""
        known = {}
        if is_loopback(admin.host):
            for name in ("127.0.0.1", "localhost", "[::1]"):
                known[f"{name}:{admin.port}"] = f"http://{name}:{admin.port}"
        canonical = None if url is None else _normal(url)
        if canonical is not None:
            known[urlsplit(canonical).netloc] = canonical
        return cls(canonical, known)

    @staticmethod
    def host_of(url: str) -> str:
        """Return the name of a URL without its port."""
        return urlsplit(url).hostname or ""

    def origin(self, host: str) -> str | None:
        """Return the origin that a request for this Host is for, or None when it is none of ours."""
        return self.by_host.get(host.lower())


def _normal(url: str) -> str:
    """Return a URL as browsers write an origin (RFC 6454 section 6.1)."""
    parts = urlsplit(url.lower())
    if parts.port == _DEFAULT_PORTS.get(parts.scheme):
        return f"{parts.scheme}://{parts.netloc.rpartition(':')[0]}"
    return f"{parts.scheme}://{parts.netloc}"
