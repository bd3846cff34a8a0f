"""A Fabric CA for tests: it checks tokens, secrets and certificate requests, and answers in Fabric CA's words."""

import json
import threading
from base64 import b64decode, b64encode
from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ssl import SSLContext
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed, decode_dss_signature
from cryptography.x509.oid import NameOID

from gateway.organisation import Organisation

ATTRIBUTES_OID = x509.ObjectIdentifier("1.2.3.4.5.6.7.8.1")
NAME = "ca-fake"


class Refused(Exception):
    """An answer that says no."""

    def __init__(self, status: int, code: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message


AUTHENTICATION = Refused(401, 20, "Authentication failure")


@dataclass
class Known:
    """An identity that the CA knows."""

    secret: str
    type: str
    affiliation: str
    attributes: list[dict[str, Any]] = field(default_factory=list)
    max_enrollments: int = -1
    enrolled: int = 0
    wrong_secrets: int = 0
    is_revoked: bool = False

    def to_json(self, name: str) -> dict[str, Any]:
        return {
            "id": name,
            "type": self.type,
            "affiliation": self.affiliation,
            "attrs": self.attributes,
            "max_enrollments": self.max_enrollments,
        }


class FabricCa:
    """One CA over HTTP, or HTTPS with a context."""

    def __init__(self, organisation: Organisation, context: SSLContext | None = None) -> None:
        self.organisation = organisation
        self.known = {"admin": Known("adminpw", "client", "")}
        self.affiliations = {"org1", "org1.department1", "org1.department2", "org2", "org2.department1"}
        self.certificates: dict[int, x509.Certificate] = {}
        self.owners: dict[int, str] = {}
        self.revoked: set[int] = set()
        self.profiles: list[str] = []
        # An answer in place of the next one: its HTTP status and body.
        self.answer_instead: tuple[int, bytes] | None = None
        handler = type("Handler", (_Handler,), {"ca": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        scheme = "http"
        if context is not None:
            scheme = "https"
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.url = f"{scheme}://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def answer(self, method: str, uri: str, body: bytes, authorization: str | None) -> tuple[int, Any]:
        parts = urlsplit(uri)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        content = json.loads(body) if body else {}
        route, _, name = parts.path.removeprefix("/api/v1/").partition("/")
        if query.get("ca", NAME) != NAME:
            raise Refused(404, 19, f"CA '{query['ca']}' does not exist")
        if (method, route) == ("GET", "cainfo"):
            return 200, self._info()
        if authorization is None:
            raise Refused(401, 2, "No authorization header")
        if route == "enroll":
            return 201, self._enroll(self._check_secret(authorization), content)
        caller = self._check_token(authorization, method, uri, body)
        calls: dict[tuple[str, str], Callable[[], tuple[int, Any]]] = {
            ("POST", "reenroll"): lambda: (201, self._enroll(caller, content)),
            ("POST", "register"): lambda: (201, self._register(caller, content)),
            ("POST", "revoke"): lambda: (200, self._revoke(caller, content)),
            ("POST", "gencrl"): lambda: (200, {"CRL": self._crl()}),
            ("GET", "certificates"): lambda: (200, self._found(query)),
        }
        if (method, route) in calls:
            return calls[method, route]()
        if route == "identities":
            return self._identities(method, unquote(name), content)
        return self._affiliations(method, unquote(name), content, is_forced=query.get("force") == "true")

    def _info(self) -> dict[str, str]:
        return {"CAName": NAME, "CAChain": b64encode(self.organisation.root_pem).decode(), "Version": "1.5.21"}

    def _check_secret(self, authorization: str) -> str:
        name, _, secret = b64decode(authorization.removeprefix("Basic ")).decode().partition(":")
        known = self.known.get(name)
        if known is None or known.is_revoked:
            raise AUTHENTICATION
        if known.wrong_secrets >= 10:
            raise Refused(401, 73, "Incorrect password entered 10 times, max incorrect password limit of 10 reached")
        if secret != known.secret or 0 <= known.max_enrollments <= known.enrolled:
            known.wrong_secrets += 1
            raise AUTHENTICATION
        known.enrolled += 1
        return name

    def _check_token(self, authorization: str, method: str, uri: str, body: bytes) -> str:
        certificate_part, _, signature_part = authorization.partition(".")
        certificate = x509.load_pem_x509_certificate(b64decode(certificate_part))
        text = ".".join((method, b64encode(uri.encode()).decode(), b64encode(body).decode(), certificate_part))
        key = certificate.public_key()
        signature = b64decode(signature_part)
        try:
            certificate.verify_directly_issued_by(self.organisation.root)
            assert isinstance(key, ec.EllipticCurvePublicKey)
            key.verify(signature, sha256(text.encode()).digest(), ec.ECDSA(Prehashed(hashes.SHA256())))
        except InvalidSignature as error:
            raise AUTHENTICATION from error
        is_low = decode_dss_signature(signature)[1] <= key.curve.group_order // 2
        name = _name(certificate.subject)
        if not is_low or certificate.serial_number in self.revoked or self.known[name].is_revoked:
            raise AUTHENTICATION
        return name

    def _enroll(self, name: str, content: Any) -> dict[str, Any]:
        csr = x509.load_pem_x509_csr(content["certificate_request"].encode())
        if not csr.is_signature_valid:
            raise Refused(500, 31, "invalid certificate request")
        if _name(csr.subject) != name:
            raise Refused(403, 77, "The CSR subject common name must equal the enrollment ID")
        self.profiles.append(content.get("profile", ""))
        known = self.known[name]
        units = [known.type, *known.affiliation.split(".")] if known.affiliation else [known.type]
        subject = [x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, unit) for unit in units]
        subject.append(x509.NameAttribute(NameOID.COMMON_NAME, name))
        attributes = self._attributes(name, known, content.get("attr_reqs"))
        extension = x509.UnrecognizedExtension(ATTRIBUTES_OID, json.dumps({"attrs": attributes}).encode())
        certificate = self.organisation.certify(x509.Name(subject), csr.public_key(), extension)
        self.certificates[certificate.serial_number] = certificate
        self.owners[certificate.serial_number] = name
        return {"Cert": b64encode(_pem(certificate)).decode(), "ServerInfo": self._info()}

    def _attributes(self, name: str, known: Known, asked: Any) -> dict[str, str]:
        own = {"hf.Affiliation": known.affiliation, "hf.EnrollmentID": name, "hf.Type": known.type}
        if asked is None:
            return own | {one["name"]: one["value"] for one in known.attributes if one.get("ecert")}
        all_of_them = own | {one["name"]: one["value"] for one in known.attributes}
        missing = [one["name"] for one in asked if one["name"] not in all_of_them and not one["optional"]]
        if missing:
            raise Refused(500, 0, f"The following required attributes are missing: {missing}")
        return {one["name"]: all_of_them[one["name"]] for one in asked if one["name"] in all_of_them}

    def _register(self, caller: str, content: Any) -> dict[str, str]:
        if caller != "admin":
            raise Refused(403, 71, "Authorization failure")
        if content["id"] in self.known:
            raise Refused(409, 74, f"Identity '{content['id']}' is already registered")
        if content["affiliation"] and content["affiliation"] not in self.affiliations:
            raise Refused(404, 16, f"Failed getting affiliation '{content['affiliation']}'")
        self.known[content["id"]] = Known(
            secret=content.get("secret", "a random one"),
            type=content["type"],
            affiliation=content["affiliation"],
            attributes=content["attrs"],
            max_enrollments=content["max_enrollments"] or -1,
        )
        return {"secret": self.known[content["id"]].secret}

    def _revoke(self, caller: str, content: Any) -> dict[str, Any]:
        if "id" in content:
            name = content["id"]
            if name not in self.known:
                raise Refused(404, 10, f"Identity {name} was not found")
            serials = {serial for serial, owner in self.owners.items() if owner == name} - self.revoked
        else:
            serials = {int(content["serial"], 16)}
            if not serials <= self.certificates.keys():
                raise Refused(404, 8, f"Certificate with serial {content['serial']} was not found")
            if serials <= self.revoked:
                raise Refused(404, 66, f"Certificate with serial {content['serial']} was already revoked")
            name = ""
        if caller != "admin" and not all(self.owners[serial] == caller for serial in serials):
            raise Refused(403, 71, "Authorization failure")
        self.revoked |= serials
        if name:
            self.known[name].is_revoked = True
        revoked = [{"Serial": f"{serial:x}", "AKI": _aki(self.certificates[serial])} for serial in sorted(serials)]
        return {"RevokedCerts": revoked, "CRL": self._crl() if content.get("gencrl") else None}

    def _crl(self) -> str:
        root = self.organisation.root
        builder = x509.CertificateRevocationListBuilder().issuer_name(root.subject)
        builder = builder.last_update(root.not_valid_before_utc).next_update(root.not_valid_after_utc)
        for serial in sorted(self.revoked):
            revoked = x509.RevokedCertificateBuilder().serial_number(serial)
            builder = builder.add_revoked_certificate(revoked.revocation_date(root.not_valid_before_utc).build())
        crl = builder.sign(self.organisation.key, hashes.SHA256())
        return b64encode(crl.public_bytes(serialization.Encoding.PEM)).decode()

    def _found(self, query: dict[str, str]) -> dict[str, Any]:
        found = [
            certificate
            for serial, certificate in self.certificates.items()
            if query.get("id", self.owners[serial]) == self.owners[serial]
            and query.get("serial", f"{serial:x}") == f"{serial:x}"
            and not ("notrevoked" in query and serial in self.revoked)
        ]
        return {"certs": [{"PEM": _pem(certificate).decode()} for certificate in found], "caname": NAME}

    def _identities(self, method: str, name: str, content: Any) -> tuple[int, Any]:
        if not name:
            return 200, {"identities": [known.to_json(one) for one, known in self.known.items()], "caname": NAME}
        if name not in self.known:
            raise Refused(404, 63, f"Failed to get User: {name}")
        known = self.known[name]
        if method == "PUT":
            changed = {one["name"]: one for one in [*known.attributes, *content.get("attrs", [])]}
            known.attributes = [one for one in changed.values() if one["value"]]
            known.affiliation = content.get("affiliation", known.affiliation)
            known.type = content.get("type", known.type)
            known.secret = content.get("secret", known.secret)
            known.max_enrollments = content.get("max_enrollments", known.max_enrollments)
        if method == "DELETE":
            del self.known[name]
        return 200, known.to_json(name)

    def _affiliations(self, method: str, name: str, content: Any, *, is_forced: bool) -> tuple[int, Any]:
        if method == "POST":
            parent = content["name"].rpartition(".")[0]
            if parent and parent not in self.affiliations and not is_forced:
                raise Refused(404, 60, f"Failed to add affiliation, parent affiliation '{parent}' does not exist")
            parts = content["name"].split(".")
            self.affiliations |= {".".join(parts[: n + 1]) for n in range(len(parts))}
            return 201, {"name": content["name"]}
        if name and name not in self.affiliations:
            raise Refused(404, 63, f"Failed to get affiliation: {name}")
        if method == "PUT":
            self.affiliations = {
                content["name"] + one.removeprefix(name) if (one + ".").startswith(name + ".") else one
                for one in self.affiliations
            }
            return 200, self._tree(content["name"])
        tree = self._tree(name)
        if method == "DELETE":
            self.affiliations -= {one for one in self.affiliations if (one + ".").startswith(name + ".")}
        return 200, tree

    def _tree(self, name: str) -> dict[str, Any]:
        children = sorted(one for one in self.affiliations if one.rpartition(".")[0] == name)
        return {"name": name, "affiliations": [self._tree(one) for one in children]}


class _Handler(BaseHTTPRequestHandler):
    ca: FabricCa

    def _serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.ca.answer_instead is not None:
            (status, content), self.ca.answer_instead = self.ca.answer_instead, None
        else:
            status, answer = self._answer(body)
            content = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def _answer(self, body: bytes) -> tuple[int, Any]:
        try:
            status, result = self.ca.answer(self.command, self.path, body, self.headers.get("Authorization"))
        except Refused as refused:
            error = {"code": refused.code, "message": refused.message}
            return refused.status, {"result": None, "errors": [error], "messages": [], "success": False}
        return status, {"result": result, "errors": [], "messages": [], "success": True}

    do_GET = do_POST = do_PUT = do_DELETE = _serve  # noqa: N815 -- the names that http.server calls

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 -- the name in http.server
        """Write no log."""


def _name(subject: x509.Name) -> str:
    return str(subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value)


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _aki(certificate: x509.Certificate) -> str:
    extension = certificate.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier)
    return (extension.value.key_identifier or b"").hex().lstrip("0")
