"""Servers on 127.0.0.1 that speak the hub's and a registry's HTTP, and misbehave when told to."""

import hashlib
import json
import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import unquote

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@dataclass
class Request:
    """What a client asked."""

    method: str
    path: str
    headers: dict[str, str]


@dataclass
class Answer:
    """What is sent back."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)


@dataclass
class Faults:
    """How a server misbehaves with the contents it sends."""

    ranges: bool = True
    cuts: list[int] = field(default_factory=list)  # for the next requests, after so many bytes
    busy: list[Answer] = field(default_factory=list)  # what the next requests are answered instead
    chunk_delay: float = 0.0
    lie: Callable[[bytes], bytes] = bytes  # what is sent instead of a content
    stall: threading.Event | None = None  # once it is set, contents stop arriving without an end


class Server:
    """Answers by a function from requests; remembers what was asked. A context manager."""

    def __init__(self, host: str = "127.0.0.1") -> None:
        self.asked: list[Request] = []
        self.faults = Faults()
        self._lock = threading.Lock()
        outer = self

        class Answering(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                outer._serve(self)

            def do_HEAD(self) -> None:
                outer._serve(self)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002
                pass

        self._server = ThreadingHTTPServer((host, 0), Answering)
        self._server.daemon_threads = True
        self._server.handle_error = lambda request, client_address: None  # type: ignore[method-assign]
        self.url = f"http://{host}:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def answer(self, request: Request) -> Answer:
        """What a request gets; a content is an Answer with X-Content."""
        return Answer(404)

    def contents(self) -> list[Request]:
        """The requests for contents."""
        return [request for request in self.asked if request.method == "GET" and "Range" in request.headers]

    def _serve(self, http: BaseHTTPRequestHandler) -> None:
        request = Request(http.command, unquote(http.path), dict(http.headers.items()))
        with self._lock:
            self.asked.append(request)
        answer = self.answer(request)
        content = answer.headers.pop("X-Content", None) is not None
        if content:
            with self._lock:
                answer = self.faults.busy.pop(0) if self.faults.busy else self._part(request, answer)
        http.send_response(answer.status)
        for name, value in answer.headers.items():
            http.send_header(name, value)
        http.send_header("Content-Length", str(len(answer.body)))
        http.end_headers()
        if request.method == "GET":
            self._send(http, answer.body, content)

    def _part(self, request: Request, answer: Answer) -> Answer:
        body = self.faults.lie(answer.body)
        match = re.fullmatch(r"bytes=(\d+)-(\d*)", request.headers.get("Range", ""))
        if not match or not self.faults.ranges:
            return Answer(200, body, answer.headers)
        first, last = int(match[1]), min(int(match[2] or len(body) - 1), len(body) - 1)
        if first >= len(body):
            return Answer(416, b"", {"Content-Range": f"bytes */{len(body)}"})
        about = {"Content-Range": f"bytes {first}-{last}/{len(body)}"}
        return Answer(206, body[first : last + 1], answer.headers | about)

    def _send(self, http: BaseHTTPRequestHandler, body: bytes, content: bool) -> None:
        with self._lock:
            limit = self.faults.cuts.pop(0) if content and self.faults.cuts else len(body)
        for at in range(0, min(limit, len(body)), 64 << 10):
            if content and self.faults.stall is not None and self.faults.stall.is_set():
                time.sleep(20)
            http.wfile.write(body[at : min(at + (64 << 10), limit)])
            if content and self.faults.chunk_delay:
                time.sleep(self.faults.chunk_delay)
        if limit < len(body):
            http.wfile.flush()
            http.close_connection = True


class Files(Server):
    """Contents by their paths."""

    def __init__(self, files: dict[str, bytes], host: str = "127.0.0.1") -> None:
        super().__init__(host)
        self.files = files

    def answer(self, request: Request) -> Answer:
        """The content of that path."""
        body = self.files.get(request.path.split("?")[0])
        return Answer(404) if body is None else Answer(200, body, {"X-Content": ""})


class Hub(Server):
    """The Hugging Face hub, as far as downloads go: large files are redirected to `cdn` when there is one."""

    def __init__(self, cdn: Files | None = None, token: str | None = None) -> None:
        super().__init__()
        self.cdn = cdn
        self.token = token
        self.repositories: dict[str, dict[str, bytes]] = {}
        self.change: Callable[[dict[str, Any]], Any] = lambda description: description
        self.refusal: Answer | None = None

    def answer(self, request: Request) -> Answer:
        """A description of a repository, or a file of it."""
        if self.refusal is not None:
            return self.refusal
        if self.token is not None and request.headers.get("Authorization") != f"Bearer {self.token}":
            return Answer(401, b"", {"X-Error-Message": "Invalid username or password."})
        path = request.path.split("?")[0]
        if match := re.fullmatch(r"/api/models/([^/]+/[^/]+)/revision/(.+)", path):
            return self._description(match[1], match[2])
        if match := re.fullmatch(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path):
            return self._file(match[1], match[3])
        return Answer(404, b"", {"X-Error-Code": "RepoNotFound"})

    def _description(self, name: str, revision: str) -> Answer:
        if name not in self.repositories:
            return Answer(401, b"", {"X-Error-Code": "RepoNotFound"})
        if revision not in ("main", "v2", COMMIT):
            return Answer(404, b"", {"X-Error-Code": "RevisionNotFound"})
        siblings = [_sibling(file, data) for file, data in self.repositories[name].items()]
        found = self.change({"id": name, "sha": COMMIT, "siblings": siblings, "gated": False, "private": False})
        return Answer(200, found if isinstance(found, bytes) else json.dumps(found).encode())

    def _file(self, name: str, file: str) -> Answer:
        data = self.repositories.get(name, {}).get(file)
        if data is None:
            return Answer(404, b"", {"X-Error-Code": "EntryNotFound"})
        sibling = _sibling(file, data)
        etag = sibling["lfs"]["sha256"] if "lfs" in sibling else sibling["blobId"]
        headers = {"X-Repo-Commit": COMMIT, "ETag": f'"{etag}"', "X-Content": "", "Accept-Ranges": "bytes"}
        if "lfs" not in sibling or self.cdn is None:
            return Answer(200, data, headers)
        self.cdn.files[f"/{etag}"] = data
        linked = {"X-Linked-Etag": f'"{etag}"', "X-Linked-Size": str(len(data))}
        place = {"Location": f"{self.cdn.url}/{etag}?Signature=secret"}
        return Answer(302, b"", {"X-Repo-Commit": COMMIT} | linked | place)


class Registry(Server):
    """An Ollama registry; with `realm`, one that wants a token from there."""

    def __init__(self, wants_token: bool = False) -> None:
        super().__init__()
        self.wants_token = wants_token
        self.challenge = f'Bearer realm="{self.url}/token",service="registry",scope="repository:library/x:pull"'
        self.manifests: dict[str, bytes] = {}
        self.blobs: dict[str, bytes] = {}

    def add(self, name: str, tag: str, model: bytes, **config: str) -> dict[str, Any]:
        """Put a model there; its manifest."""
        layers = [self._layer("application/vnd.ollama.image.model", model)]
        layers.append(self._layer("application/vnd.ollama.image.license", b"Apache"))
        about = self._layer("application/vnd.docker.container.image.v1+json", json.dumps(config).encode())
        manifest = {"schemaVersion": 2, "mediaType": "…", "config": about, "layers": layers}
        self.manifests[f"{name}/manifests/{tag}"] = json.dumps(manifest).encode()
        return manifest

    def _layer(self, kind: str, data: bytes) -> dict[str, Any]:
        digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
        self.blobs[digest] = data
        return {"mediaType": kind, "size": len(data), "digest": digest}

    def answer(self, request: Request) -> Answer:
        """A token, a manifest, or a part of a model."""
        path = request.path.split("?")[0]
        if path == "/token":
            return Answer(200, b'{"token": "anonymous"}')
        if self.wants_token and request.headers.get("Authorization") != "Bearer anonymous":
            return Answer(401, b"", {"WWW-Authenticate": self.challenge})
        name = path.removeprefix("/v2/")
        if name in self.manifests:
            return Answer(200, self.manifests[name])
        if (digest := name.rpartition("/blobs/")[2]) in self.blobs:
            return Answer(200, self.blobs[digest], {"X-Content": ""})
        return Answer(404)


def _sibling(name: str, data: bytes) -> dict[str, Any]:
    """How the hub lists a file: large ones with their sha256."""
    sibling: dict[str, Any] = {"rfilename": name, "size": len(data), "blobId": git_sha1(data)}
    if name.endswith((".safetensors", ".gguf", ".bin")) or len(data) > 10 << 20:
        sibling["lfs"] = {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data), "pointerSize": 135}
    return sibling


def git_sha1(data: bytes) -> str:
    """As `git hash-object` has it."""
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()
