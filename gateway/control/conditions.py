"""Changes that are made only by who has seen what is there: versions in ETag and If-Match (RFC 9110, RFC 6585)."""

from aiohttp import web  # noqa: TID251 - the admin port is no part of the data plane

from gateway.control.refusals import Code, Refusal
from gateway.migration.override_rules import etag, versions_of

LOST_RACE = "somebody else has changed it meanwhile"


class Unmet(Refusal):
    """A change whose condition is missing (428), or does not hold (412, with the version that there is)."""

    def __init__(self, version: int | None = None) -> None:
        if version is None:
            super().__init__(Code.UNCONDITIONAL, "If-Match: the ETag of what you have seen is needed")
        else:
            super().__init__(Code.CHANGED_MEANWHILE, f"{LOST_RACE}: it is version {version} now")
        self.version = version

    @property
    def headers(self) -> dict[str, str]:
        """The version that there is."""
        return {} if self.version is None else {"ETag": etag(self.version)}


def asked_versions(request: web.Request) -> frozenset[int]:
    """Return which versions a change is meant for; raises `Unmet` where the request does not say."""
    if "If-Match" not in request.headers:
        raise Unmet
    return versions_of(",".join(request.headers.getall("If-Match")))


def versions_if_asked(request: web.Request) -> frozenset[int] | None:
    """Likewise, or None where the request does not say."""
    return asked_versions(request) if "If-Match" in request.headers else None


def check_version(versions: frozenset[int] | None, version: int, *, needed: bool = False) -> None:
    """Raise `Unmet` where a change is meant for other versions, or for none although it is `needed` to say."""
    if versions is None:
        if needed:
            raise Unmet
    elif version not in versions:
        raise Unmet(version)


def unchanged(request: web.Request, version: int) -> web.Response | None:
    """Return the answer for who has this version already (If-None-Match), or None."""
    given = ",".join(request.headers.getall("If-None-Match", []))
    if version in versions_of(given.replace("W/", "")):
        return web.Response(status=304, headers={"ETag": etag(version)})
    return None
