"""Blob storage for the real azure-storage-blob: accounts, containers and blobs are folders and files."""

import base64
import email.utils
import hashlib
import hmac
import json
import re
import secrets
import threading
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote
from xml.etree import ElementTree
from xml.sax.saxutils import escape

from doubles.identity import Identity
from doubles.roles import BLOBS, Access, Need
from doubles.web import OPEN, Answer, AzureError, Handler, Names, Request, Route

SUFFIX = "core.windows.net"
AUDIENCE = "https://storage.azure.com"


class Storage:
    """Accounts below /storage: the host name of an account is part of the path."""

    def __init__(self, folder: Path, url: str, identity: Identity, access: Access) -> None:
        self._folder = folder
        self._identity = identity
        self._access = access
        self._accounts: dict[str, str] = {}
        self._url = url
        self._key = secrets.token_bytes(32)
        self._metadata_file = folder / "metadata.json"
        self._metadata: dict[str, dict[str, str]] = {}
        self._blocks: dict[str, bytes] = {}
        self._leases: dict[str, str] = {}
        self._lock = threading.RLock()
        folder.mkdir(parents=True, exist_ok=True)

    def routes(self) -> list[Route]:
        root = "/storage/{account}.blob." + SUFFIX + "/{container}"
        return [
            Route(methods, pattern, self._guarded(handler), OPEN)
            for methods, pattern, handler in (
                ("PUT", root + "/{blob...}", self._put),
                ("GET HEAD", root + "/{blob...}", self._get),
                ("DELETE", root + "/{blob...}", self._delete),
                ("GET HEAD PUT", root, self._container),
            )
        ]

    def add_account(self, path: str) -> None:
        """Let identities use an account by their roles; ``path`` is Resource Manager's."""
        self._accounts[path.rsplit("/", 1)[1]] = path

    def account_name(self, account: str) -> str:
        """Return the name that clients expand to https://{name}.blob.core.windows.net, and so reach the double."""
        return f"{self._url.removeprefix('https://')}/storage/{account}"

    def folder(self, account: str, container: str) -> Path:
        """Return the folder of a container's blobs."""
        return self._folder / account / container

    def url(self, account: str, container: str, blob: str = "") -> str:
        """Return the address of a container or a blob."""
        return f"{self._url}/storage/{account}.blob.{SUFFIX}/{container}" + (f"/{quote(blob)}" if blob else "")

    def signature(self, account: str, container: str) -> str:
        """Return a shared access signature for a container."""
        signed = hmac.new(self._key, f"{account}/{container}".encode(), hashlib.sha256).digest()
        return f"sv=2024-11-04&sr=c&sp=racwdl&se=2099-01-01&sig={quote(base64.b64encode(signed), safe='')}"

    def signed_url(self, account: str, container: str, blob: str = "") -> str:
        """Return the address of a container or a blob with its signature."""
        return f"{self.url(account, container, blob)}?{self.signature(account, container)}"

    def find(self, address: str) -> Path:
        """Return the file or folder at an address, signed or not."""
        path = address.partition("?")[0].partition("/storage/")[2]
        account, _, rest = path.partition(f".blob.{SUFFIX}/")
        return self._folder / account / rest

    def _guarded(self, handler: Handler) -> Handler:
        """Let a handler answer only requests with the container's signature, or of an identity with a role."""

        def guarded(request: Request, names: Names) -> Answer:
            if "sig" in request.query:
                expected = self.signature(names["account"], names["container"])
                signature = f"sig={quote(request.query['sig'], safe='')}"
                if not expected.endswith(signature):
                    message = (
                        "Server failed to authenticate the request. Make sure the value of Authorization header is "
                    )
                    return _error(403, "AuthenticationFailed", message + "formed correctly including the signature.")
                return handler(request, names)
            try:
                who = self._identity.check(request.headers.get("Authorization"), [AUDIENCE])["oid"]
            except AzureError as refusal:
                return _error(refusal.status, str(refusal.error["code"]), str(refusal.error["message"]))
            if self._access.missing(who, [blob_need(request, names, self._accounts)]):
                message = "This request is not authorized to perform this operation using this permission."
                return _error(403, "AuthorizationPermissionMismatch", message)
            return handler(request, names)

        return guarded

    def _file(self, names: Names) -> Path:
        home = self.folder(names["account"], names["container"]).resolve()
        file = (home / names["blob"]).resolve()
        if home not in file.parents:
            raise ValueError(f"{names['blob']} points outside its container")
        return file

    def _put(self, request: Request, names: Names) -> Answer:
        file, key = self._file(names), "/".join(names.values())
        kind = request.query.get("comp")
        if kind in ("metadata", "lease") and not file.is_file():
            return _error(404, "BlobNotFound", "The specified blob does not exist.")
        if kind == "lease":
            return self._lease(key, request)
        if kind != "block" and (refusal := self._check_lease(key, request)):
            return refusal
        if kind == "metadata":
            self._describe(key, request)
            return Answer(200, None, _tags(file))
        if kind == "block":
            with self._lock:
                self._blocks[f"{key}?{request.query['blockid']}"] = request.body
            return Answer(201)
        if request.headers.get("If-None-Match") == "*" and file.is_file():
            return _error(409, "BlobAlreadyExists", "The specified blob already exists.")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(self._joined(key, request) if kind == "blocklist" else request.body)
        self._describe(key, request)
        return Answer(201, None, _tags(file))

    def _lease(self, key: str, request: Request) -> Answer:
        """Acquire or release a lease without an end.

        Source: Microsoft, "Lease Blob": 201 and 200; 409 for a blob that is leased by another.
        """
        with self._lock:
            if request.headers["x-ms-lease-action"] == "release":
                if self._leases.get(key) != request.headers.get("x-ms-lease-id"):
                    return _error(409, "LeaseIdMismatchWithLeaseOperation", "The lease ID did not match.")
                del self._leases[key]
                return Answer(200)
            if key in self._leases:
                return _error(409, "LeaseAlreadyPresent", "There is already a lease present.")
            self._leases[key] = request.headers["x-ms-proposed-lease-id"]
            return Answer(201, None, {"x-ms-lease-id": self._leases[key]})

    def _check_lease(self, key: str, request: Request) -> Answer | None:
        """Refuse to change a blob that another has leased. Source: Microsoft, "Lease Blob", outcomes of use."""
        lease = self._leases.get(key)
        if lease is None or request.headers.get("x-ms-lease-id") == lease:
            return None
        return _error(412, "LeaseIdMissing", "There is currently a lease on the blob and no lease ID was specified.")

    def _joined(self, key: str, request: Request) -> bytes:
        blocks = ElementTree.fromstring(request.body)  # noqa: S314 -- from our own tests
        with self._lock:
            return b"".join(self._blocks.pop(f"{key}?{block.text}") for block in blocks)

    def _describe(self, key: str, request: Request) -> None:
        prefix = "x-ms-meta-"
        found = {n[len(prefix) :].lower(): v for n, v in request.headers.items() if n.lower().startswith(prefix)}
        with self._lock:
            self._metadata[key] = found
            self._metadata_file.write_text(json.dumps(self._metadata, indent=1), encoding="utf-8")

    def _get(self, request: Request, names: Names) -> Answer:
        file = self._file(names)
        if not file.is_file():
            return _error(404, "BlobNotFound", "The specified blob does not exist.")
        content = file.read_bytes()
        metadata = {f"x-ms-meta-{n}": v for n, v in self._metadata.get("/".join(names.values()), {}).items()}
        headers = {**_tags(file), **metadata, "x-ms-blob-type": "BlockBlob", "Accept-Ranges": "bytes"}
        leased = "/".join(names.values()) in self._leases
        headers |= {"x-ms-lease-status": "locked" if leased else "unlocked"}
        if request.method == "HEAD":
            return Answer(200, b"", {**headers, "Content-Length": str(len(content))})
        found = re.fullmatch(
            r"bytes=(\d+)-(\d*)", request.headers.get("x-ms-range") or request.headers.get("Range") or ""
        )
        if not found:
            return Answer(200, content, headers)
        start, end = int(found[1]), min(int(found[2] or len(content)), len(content) - 1)
        if start >= len(content):
            return _error(416, "InvalidRange", "The range specified is invalid for the current size of the resource.")
        part = content[start : end + 1]
        return Answer(206, part, {**headers, "Content-Range": f"bytes {start}-{end}/{len(content)}"})

    def _delete(self, request: Request, names: Names) -> Answer:
        file = self._file(names)
        if not file.is_file():
            return _error(404, "BlobNotFound", "The specified blob does not exist.")
        if refusal := self._check_lease("/".join(names.values()), request):
            return refusal
        file.unlink()
        return Answer(202)

    def _container(self, request: Request, names: Names) -> Answer:
        home = self.folder(names["account"], names["container"])
        if request.method == "PUT":
            home.mkdir(parents=True, exist_ok=True)
            return Answer(201)
        if request.query.get("comp") != "list":
            return Answer(200, None, {"ETag": '"0x1"', "Last-Modified": email.utils.formatdate(usegmt=True)})
        prefix = request.query.get("prefix", "")
        blobs = {file.relative_to(home).as_posix(): file for file in sorted(home.rglob("*")) if file.is_file()}
        listed = "".join(
            f"<Blob><Name>{escape(name)}</Name><Properties><Last-Modified>{_tags(file)['Last-Modified']}</Last-Modified>"
            f"<Etag>0x1</Etag><Content-Length>{file.stat().st_size}</Content-Length><BlobType>BlockBlob</BlobType>"
            "</Properties></Blob>"
            for name, file in blobs.items()
            if name.startswith(prefix)
        )
        text = (
            f'<?xml version="1.0" encoding="utf-8"?><EnumerationResults ServiceEndpoint="{self._url}/" '
            f'ContainerName="{names["container"]}"><Prefix>{escape(prefix)}</Prefix><Blobs>{listed}</Blobs><NextMarker/>'
            "</EnumerationResults>"
        )
        return Answer(200, text.encode(), {"Content-Type": "application/xml"})


def blob_need(request: Request, names: Names, accounts: Mapping[str, str]) -> Need:
    """Return what a request for a blob or a container needs: an action on data, or on the container."""
    scope = f"{accounts.get(names['account'], '')}/blobServices/default/containers/{names['container']}"
    if "blob" in names or request.query.get("comp") == "list":
        kind = {"GET": "read", "HEAD": "read", "DELETE": "delete"}.get(request.method, "write")
        return Need(f"{BLOBS}/blobs/{kind}", scope, data=True)
    return Need(f"{BLOBS}/{'write' if request.method == 'PUT' else 'read'}", scope)


def _tags(file: Path) -> dict[str, str]:
    at = file.stat().st_mtime
    return {"ETag": f'"0x{int(at * 1e6):X}"', "Last-Modified": email.utils.formatdate(at, usegmt=True)}


def _error(status: int, code: str, message: str) -> Answer:
    text = f'<?xml version="1.0" encoding="utf-8"?><Error><Code>{code}</Code><Message>{message}</Message></Error>'
    return Answer(status, text.encode(), {"x-ms-error-code": code, "Content-Type": "application/xml"})
