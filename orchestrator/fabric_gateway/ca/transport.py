"""One HTTP request to a Fabric CA, and its answer or error."""

import json
import os
import ssl
import tempfile
from collections.abc import Mapping
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from socket import create_connection
from typing import Any
from urllib.parse import urlsplit

from fabric_gateway.ca.errors import CaRefused, CaUnreachable
from fabric_gateway.connection import Tls
from fabric_gateway.errors import Malformed

DEFAULT_PORT = 7054


class Transport:
    """Requests to one server; each has a connection of its own.

    Raises:
        Malformed: if the address is no http or https URL, or `tls` is missing for https.
    """

    def __init__(self, url: str, *, tls: Tls | None, timeout_s: float) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise Malformed(f"{url} is no http or https address of a Fabric CA")
        if parts.scheme == "https" and tls is None:
            raise Malformed(f"{url} needs the root certificates to trust")
        self.base_path = parts.path.rstrip("/")
        self._host = parts.hostname
        self._port = parts.port or DEFAULT_PORT
        self._server_name = parts.hostname if tls is None or tls.server_name is None else tls.server_name
        self._context = _context(tls) if tls is not None and parts.scheme == "https" else None
        self._timeout_s = timeout_s

    def call(self, method: str, uri: str, body: bytes, headers: Mapping[str, str]) -> Any:
        """Return the result of a request.

        Raises:
            CaRefused: if the CA says no.
            CaUnreachable: if there is no answer, or none of a Fabric CA.
        """
        status, content = self._exchange(method, uri, body, headers)
        try:
            answer: Any = json.loads(content)
            if answer["success"]:
                return answer["result"]
            errors = [(error["code"], error["message"]) for error in answer["errors"]]
        except (ValueError, KeyError, TypeError) as error:
            raise CaUnreachable(f"{self._host}:{self._port} did not answer as a Fabric CA, HTTP {status}") from error
        number, _ = errors[0] if errors else (0, "")
        message = "; ".join(text for _, text in errors)
        raise CaRefused(method, uri, http_status=status, number=number, message=message)

    def _exchange(self, method: str, uri: str, body: bytes, headers: Mapping[str, str]) -> tuple[int, bytes]:
        connection = HTTPConnection(self._host, self._port, timeout=self._timeout_s)
        try:
            plain = create_connection((self._host, self._port), timeout=self._timeout_s)
            connection.sock = plain
            if self._context is not None:
                connection.sock = self._context.wrap_socket(plain, server_hostname=self._server_name)
            connection.request(method, uri, body or None, dict(headers))
            response = connection.getresponse()
            return response.status, response.read()
        except (OSError, HTTPException) as error:
            raise CaUnreachable(f"no answer from the Fabric CA at {self._host}:{self._port}: {error}") from error
        finally:
            connection.close()


def _context(tls: Tls) -> ssl.SSLContext:
    context = ssl.create_default_context(cadata=tls.root_pem.decode())
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if tls.client_certificate_pem is not None and tls.client_key_pem is not None:
        # OpenSSL reads a client's key from a file only; this one its owner alone can read, and it is gone at once.
        handle, name = tempfile.mkstemp()
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(tls.client_certificate_pem + b"\n" + tls.client_key_pem)
            context.load_cert_chain(name)
        finally:
            Path(name).unlink()
    return context
