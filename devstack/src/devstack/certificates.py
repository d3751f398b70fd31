"""A certificate authority for tests: whom a server trusts, and what it shows, as files in PEM."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from devstack.kafka import PROTOCOL
from devstack.settings import HOST


@dataclass(frozen=True)
class Authority:
    """Signs certificates, and leaves them as files."""

    folder: Path
    name: str
    key: EllipticCurvePrivateKey

    @property
    def file(self) -> Path:
        """Where its own certificate lies, for those who trust it."""
        return self.folder / f"{self.name}.pem"

    def sign(self, name: str, key: EllipticCurvePrivateKey, *, authority: bool = False) -> Path:
        """Return the file of a certificate for a key, good for a day on this machine."""
        start = datetime.now(UTC) - timedelta(minutes=5)
        certificate = (
            x509.CertificateBuilder()
            .subject_name(_named(name))
            .issuer_name(_named(self.name))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(start)
            .not_valid_after(start + timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
            .add_extension(x509.SubjectAlternativeName([x509.IPAddress(IPv4Address(HOST))]), critical=False)
            .sign(self.key, SHA256())
        )
        file = self.folder / f"{name}.pem"
        file.write_bytes(certificate.public_bytes(Encoding.PEM))
        return file

    def issue(self, name: str) -> tuple[Path, Path]:
        """Return the files of a new certificate and of its key."""
        key = generate_private_key(SECP256R1())
        file = self.folder / f"{name}.key"
        file.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        return self.sign(name, key), file

    def lock(self, name: str) -> dict[str, str]:
        """Return what a port of Kafka is told that asks its clients for a certificate of ours (`kafka_server`)."""
        certificate, key = self.issue(name)
        shown = self.folder / f"{name}-shown.pem"
        shown.write_bytes(key.read_bytes() + certificate.read_bytes())
        return {
            PROTOCOL: "SSL",
            "ssl.keystore.type": "PEM",
            "ssl.keystore.location": str(shown),
            "ssl.truststore.type": "PEM",
            "ssl.truststore.location": str(self.file),
            "ssl.client.auth": "required",
        }


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])


def authority(folder: Path, name: str) -> Authority:
    """Make an authority that signs itself."""
    made = Authority(folder, name, generate_private_key(SECP256R1()))
    made.sign(name, made.key, authority=True)
    return made
