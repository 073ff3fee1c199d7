"""Every certificate that a configuration needs: the data port's own, and those for its upstreams."""

from pathlib import Path

from gateway.config.model import Config
from gateway.config.upstreams import Upstream, VkpUpstream
from gateway.relay.certificates import Files, Kept, Make, for_senders, for_upstream

DATA_PORT = "listen.data"
"""What certificates are for that are not an upstream's."""


class Certificates:
    """The certificates in use; those whose files are the same in name and content are taken over from `before`."""

    def __init__(self, config: Config, folder: Path, before: "Certificates | None" = None) -> None:
        """Read them all; raises `CertificatesUnusable`."""
        self._kept = {what: _kept(what, files, make, before) for what, files, make in needed(config, folder)}

    def of(self, what: str) -> Kept | None:
        """Return how connections to an upstream, or those of the data port, are encrypted; None where they are not."""
        return self._kept.get(what)

    def look(self) -> None:
        """Take files that have been exchanged."""
        for kept in self._kept.values():
            kept.look()


def needed(config: Config, folder: Path) -> list[tuple[str, Files, Make]]:
    """Return what every certificate is for, where it is, and what is made of it."""
    found: list[tuple[str, Files, Make]] = []
    if (tls := config.tls) is not None:
        found.append((DATA_PORT, Files(folder, tls.cert_file, tls.key_file, tls.client_ca_file), for_senders))
    over_tls = (each for each in config.upstreams.values() if _url(each).startswith("https:"))
    return [*found, *((each.name, files_of(each, folder), for_upstream) for each in over_tls)]


def files_of(upstream: Upstream, folder: Path) -> Files:
    """Return where the certificates for an upstream are."""
    return Files(folder, upstream.tls.cert_file, upstream.tls.key_file, upstream.tls.ca_file)


def _kept(what: str, files: Files, make: Make, before: Certificates | None) -> Kept:
    known = before._kept.get(what) if before else None  # noqa: SLF001 - its own kind
    return known if known is not None and known.is_current(files) else Kept(what, files, make)


def _url(upstream: Upstream) -> str:
    return upstream.url if isinstance(upstream, VkpUpstream) else upstream.write_url
