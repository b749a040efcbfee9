"""A proxy that ends TLS stands before the server: addresses that clients are given lead through it (--public-url)."""

from __future__ import annotations

import contextlib
import datetime
import ipaddress
import json
import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.mlflow.servers import run_client
from tests.mlflow.test_artifacts import EXPECTED, OF_2
from tests.mlflow.test_multipart import FILES, Wire
from tests.races.kit import serving

WAYS = ("multipart", "snapshot")


def certificate(folder: Path) -> Path:
    """Make a key and a certificate of its own for loopback, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    file = folder / "cert.pem"
    file.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + made.public_bytes(serialization.Encoding.PEM)
    )
    return file


class EndOfTLS:
    """Accepts TLS and carries what is inside to `target`."""

    def __init__(self, cert: Path) -> None:
        self.target = ("127.0.0.1", 0)
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(cert)
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.url = f"https://localhost:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                plain, _ = self._listener.accept()
                threading.Thread(target=self._carry, args=(plain,), daemon=True).start()

    def _carry(self, plain: socket.socket) -> None:
        with (
            contextlib.suppress(OSError),
            plain,
            self._context.wrap_socket(plain, server_side=True) as near,
            socket.create_connection(self.target) as far,
        ):
            back = threading.Thread(target=_pour, args=(far, near), daemon=True)
            back.start()
            _pour(near, far)
            back.join()


def _pour(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while piece := source.recv(1 << 16):
            target.sendall(piece)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_WR)


@pytest.fixture
def proxy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[EndOfTLS]:
    cert = certificate(tmp_path)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(cert))
    found = EndOfTLS(cert)
    yield found
    found.close()


def seen_through(proxy: EndOfTLS, data: Path, client: str, *ways: str, public_url: str = "") -> Any:
    with serving(data, "--public-url", public_url) as server:
        proxy.target = server.address
        return run_client(client, "artifact_calls.py", proxy.url, "tls", *ways)


@pytest.mark.mlflow
@pytest.mark.slow
@pytest.mark.parametrize("client", ["mlflow3", "mlflow2"])
def test_a_client_behind_tls_sends_and_fetches(proxy: EndOfTLS, tmp_path: Path, client: str) -> None:
    seen = seen_through(proxy, tmp_path / "data", client, *WAYS, public_url=proxy.url)
    expected = EXPECTED if client == "mlflow3" else EXPECTED | OF_2
    assert seen == {way: expected[way] for way in WAYS}


@pytest.mark.mlflow
@pytest.mark.slow
def test_without_it_addresses_lead_nowhere(proxy: EndOfTLS, tmp_path: Path) -> None:
    """The mutant: the addresses say http, where only TLS is spoken."""
    seen = seen_through(proxy, tmp_path / "data", "mlflow2", "multipart")  # 3.x tries for a minute
    assert "Failed to upload" in seen["multipart"], seen


PUBLIC = "https://registry.example.org/green"
SPOOFED = {
    "X_Forwarded_Proto": "https",
    "X_Forwarded_Host": "evil.example",
    "Forwarded": "proto=https;host=evil.example",
}


@pytest.mark.parametrize("options", [(), ("--public-url", PUBLIC + "/")])
def test_no_header_changes_an_address(tmp_path: Path, options: tuple[str, ...]) -> None:
    """AZ-20: what a proxy would say is not believed, for anybody can say it; the operator's word is."""
    with serving(tmp_path / "data", *options) as server:
        wire = Wire(server, tmp_path / "data")
        root = (PUBLIC if options else server.url) + FILES
        assert wire.ask("PUT", f"{FILES}/artifacts/f", b"x")[0] == 200
        _, body, _ = wire.ask("GET", f"{FILES}/presigned/f", **SPOOFED)
        assert json.loads(body)["url"].startswith(f"{root}/presigned-file/f?")
        _, body, _ = wire.ask("POST", f"{FILES}/mpu/create/d", {"path": "f", "num_parts": 1}, **SPOOFED)
        address = json.loads(body)["credentials"][0]["url"]
        assert address.startswith(f"{root}/mpu/parts/")
        wire.put(address.removeprefix(root.removesuffix(FILES)), b"part")  # the prefix is the proxy's to take off
        for host, status in (("registry.example.org", 200 if options else 403), ("evil.example", 403)):
            assert wire.ask("GET", "/api/v1/info", Host=host)[0] == status
        for origin, status in (
            ("https://registry.example.org", 200 if options else 403),
            ("https://evil.example", 403),
        ):
            assert wire.ask("PUT", f"{FILES}/artifacts/g", b"x", Origin=origin)[0] == status
