"""An authority for tests: certificates that last for a day, or for as long as a test wants."""

from __future__ import annotations

import datetime as dt
import ipaddress
import ssl
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

if TYPE_CHECKING:
    from pathlib import Path

LIFE = dt.timedelta(days=1)


class Authority:
    """Signs certificates that last for a day."""

    def __init__(self, folder: Path, file: str = "ca.pem") -> None:
        self.file = folder / file
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Authority of a test")])
        self.certificate = self._signed(self._name, self._key, x509.BasicConstraints(ca=True, path_length=0), [])
        self._write(file, self.certificate.public_bytes(serialization.Encoding.PEM))

    def issue(self, file: str, *names: str, life: dt.timedelta = LIFE) -> tuple[Path, Path]:
        """Write a certificate for these names, and its key; return both paths."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, file)])
        certificate = self._signed(subject, key, x509.BasicConstraints(ca=False, path_length=None), list(names), life)
        pem, pkcs8 = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
        return (
            self._write(f"{file}.pem", certificate.public_bytes(pem)),
            self._write(f"{file}.key", key.private_bytes(pem, pkcs8, serialization.NoEncryption())),
        )

    def context(self, *names: str, life: dt.timedelta = LIFE) -> ssl.SSLContext:
        """Return a server's settings, with a certificate for these names."""
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(*self.issue("upstream", *names, life=life))
        return context

    def trusting(self) -> ssl.SSLContext:
        """Return a client's settings, with which this authority is trusted."""
        return ssl.create_default_context(cafile=self.file)

    def _signed(
        self,
        subject: x509.Name,
        key: ec.EllipticCurvePrivateKey,
        basic: x509.BasicConstraints,
        names: list[str],
        life: dt.timedelta = LIFE,
    ) -> x509.Certificate:
        now = dt.datetime.now(dt.UTC)  # noqa: TID251 - a certificate is judged by the real clock
        own = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
        signer = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        builder = x509.CertificateBuilder(self._name, subject, key.public_key(), x509.random_serial_number())
        builder = builder.not_valid_before(now - max(LIFE, -2 * life)).not_valid_after(now + life)
        builder = builder.add_extension(basic, critical=True).add_extension(own, critical=False)
        builder = builder.add_extension(signer, critical=False)
        if basic.ca:
            builder = builder.add_extension(
                x509.KeyUsage(
                    digital_signature=True,
                    content_commitment=False,
                    key_encipherment=False,
                    data_encipherment=False,
                    key_agreement=False,
                    key_cert_sign=True,
                    crl_sign=True,
                    encipher_only=False,
                    decipher_only=False,
                ),
                critical=True,
            )
        if names:
            builder = builder.add_extension(
                x509.SubjectAlternativeName([_name(each) for each in names]), critical=False
            )
        return builder.sign(self._key, hashes.SHA256())

    def _write(self, file: str, data: bytes) -> Path:
        path = self._folder / file
        path.write_bytes(data)
        return path


def _name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)
