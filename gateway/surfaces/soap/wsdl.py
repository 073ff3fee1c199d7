"""The WSDLs of the SOAP surface: what senders are told of it, and zeep's reading of them, which writes and reads XML alone."""

from functools import cache
from typing import TYPE_CHECKING, Any

from lxml import etree

from gateway.model import Reply
from translators.soap.schema import FOLDER, JOURNALING, RETRIEVAL

if TYPE_CHECKING:
    from zeep.wsdl import Document

SERVICES = {"journalforing": JOURNALING, "innhenting": RETRIEVAL}
"""The services by the last segment of their paths, in lower case, with their namespaces."""
_BINDINGS = {"1.1": "BasicHttpBinding", "1.2": "WSHttpBinding"}
_XML = ((b"Content-Type", b"text/xml; charset=utf-8"),)


class _FromThePackage:
    """Loads the package's own files, and nothing else: zeep is a codec here, and never speaks with anybody."""

    def load(self, url: str) -> bytes:
        """Return a file of the folder of schemas; raises `ValueError` for every other address."""
        name = url.rpartition("/")[2]
        path = FOLDER / name
        if url != str(path) and url != path.as_uri():
            raise ValueError("not a schema of this package")
        return path.read_bytes()


@cache
def _document(service: str) -> "Document":
    # zeep takes as long to import as all else that `translate` needs, and it is for answers and searches of SOAP alone.
    from zeep import Settings  # noqa: PLC0415 - said above
    from zeep.wsdl import Document  # noqa: PLC0415 - said above

    settings = Settings(strict=True, forbid_dtd=True, forbid_entities=True, forbid_external=True)
    transport: Any = _FromThePackage()
    return Document(str(FOLDER / f"{service}.wsdl"), transport, settings=settings)


def operation(service: str, version: str, name: str) -> Any:
    """Return zeep's operation of a service for a version of SOAP; raises `ValueError` where there is none."""
    binding: Any = _document(service).bindings[f"{{{SERVICES[service]}}}{_BINDINGS[version]}"]
    return binding.get(name)


def render(service: str, element: str, values: dict[str, Any], parent: etree._Element) -> None:
    """Write an element of a service below another; `element` is its qualified name."""
    kind: Any = _document(service).types.get_element(element)
    kind.render(parent, kind(**values))


def prepare() -> None:
    """Read the WSDLs, so that the first message does not wait for them."""
    for service in SERVICES:
        _document(service)


def described(service: str, query: str, address: str) -> Reply | None:
    """Answer `?wsdl` and `?xsd=<name>` of a service at this address; None for any other query."""
    name, _, value = query.partition("=")
    if name.lower() in ("wsdl", "singlewsdl") and not value:
        return Reply(200, _XML, _text(f"{service}.wsdl", address))
    known = frozenset(path.stem for path in FOLDER.glob("*.xsd"))
    if name.lower() == "xsd" and value in known:
        return Reply(200, _XML, _text(f"{value}.xsd", address))
    return None


@cache
def _text(file: str, address: str) -> bytes:
    """Return a file with the addresses at which the service and its schemas are found."""
    text = (FOLDER / file).read_text(encoding="utf-8")
    for path in FOLDER.glob("*.xsd"):
        text = text.replace(f'schemaLocation="{path.name}"', f'schemaLocation="{address}?xsd={path.stem}"')
    start = f'location="http://localhost/ws/v1/{file.removesuffix(".wsdl").capitalize()}"'
    return text.replace(start, f'location="{address}"').encode()
