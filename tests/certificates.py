"""Certificates for loopback: an authority of the tests' own, trusted by nobody else.

Not a mock of TLS: the handshakes are real, with what a client would check in earnest.
Nothing is written but where the caller says, which is a test's temporary folder.
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from pathlib import Path

import trustme


class Authority:
    """A certificate authority and the contexts that follow from it."""

    def __init__(self) -> None:
        self._ca = trustme.CA()

    def server_context(
        self,
        *names: str,
        by_server_name: Mapping[str, ssl.SSLContext] | None = None,
        require_client_certificate: bool = False,
    ) -> ssl.SSLContext:
        """Make the context of a server whose certificate is for `names`.

        Args:
            names: Host names and addresses, as in "orders" and "127.0.0.1".
            by_server_name: Contexts with other certificates, shown to a client that
                asks for one of these names (SNI).
            require_client_certificate: Whether to refuse a client that shows none of
                this authority.
        """
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._ca.issue_cert(*names).configure_cert(context)
        if require_client_certificate:
            context.verify_mode = ssl.CERT_REQUIRED
            self._ca.configure_trust(context)
        if by_server_name is not None:
            others = dict(by_server_name)

            def show_certificate(
                connection: ssl.SSLObject, server_name: str, _: ssl.SSLContext
            ) -> None:
                if server_name in others:
                    connection.context = others[server_name]

            context.sni_callback = show_certificate
        return context

    def client_context(self) -> ssl.SSLContext:
        """Make the context of a client that trusts this authority and no other."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self._ca.configure_trust(context)
        return context

    def write_trust(self, folder: Path) -> Path:
        """Write what a client needs to trust this authority, as `verify=` takes it."""
        path = folder / "authority.pem"
        self._ca.cert_pem.write_to_path(str(path))
        return path

    def write_client_certificate(self, folder: Path, name: str) -> Path:
        """Write a client's certificate and key in one file, as `cert=` takes it."""
        path = folder / f"{name}.pem"
        certificate = self._ca.issue_cert(name)
        certificate.private_key_and_cert_chain_pem.write_to_path(str(path))
        return path
