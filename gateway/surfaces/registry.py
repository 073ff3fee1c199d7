"""Every surface that the gateway has."""

from gateway.model import Group
from gateway.surfaces import vkp_r4
from gateway.surfaces.base import Surface
from gateway.surfaces.paths import Path
from gateway.surfaces.soap import surface as vkp_soap
from gateway.surfaces.soap import wsdl
from gateway.surfaces.vkp_stu3 import surface as vkp_stu3

SURFACES: tuple[Surface, ...] = (vkp_r4, vkp_stu3, vkp_soap)
FALLBACK: Surface = vkp_r4
"""How a request is answered that no surface recognises."""
_BY_PREFIX = {surface.PREFIX: surface for surface in SURFACES}


def prepare() -> None:
    """Read what the surfaces need, so that the first message does not wait for it."""
    wsdl.prepare()


def surface_at(path: Path) -> Surface | None:
    """Return the surface that a path lies below."""
    return _BY_PREFIX.get(path.segments[:2])


def group_of(method: str, path: Path) -> Group | None:
    """Return what a request below a surface is, whether or not the surface knows it: only a search or a GET reads."""
    if surface_at(path) is None:
        return None
    if method in {"GET", "HEAD"} or path.segments[-1] == "_search":
        return Group.RETRIEVAL
    return None if method == "OPTIONS" else Group.JOURNALING
