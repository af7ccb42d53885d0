"""Long-running operations: answered at once, run in a thread, and polled by clients until they end."""

import re
import sys
import threading
import time
import traceback
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

from doubles import SUBSCRIPTION, errors
from doubles.faults import Faults
from doubles.store import ML, Store
from doubles.web import Answer, AzureError, Request

POLL_MS = 100
STATUS = f"/subscriptions/{SUBSCRIPTION}/providers/{ML}/locations/{{location}}/mfeOperationsStatus/{{id}}"


class Operations:
    """The running operations: one at a time for an endpoint with its deployments, as on Azure."""

    def __init__(self, store: Store, faults: Faults, folder: Path) -> None:
        self._store = store
        self._folder = folder
        self._faults = faults
        self._statuses: dict[str, dict[str, Any]] = {}
        self._running: dict[str, int] = {}
        self._lock = threading.Lock()
        self.url = ""

    def busy(self, owner: str) -> bool:
        """Return whether an operation on an endpoint or one of its deployments is running."""
        with self._lock:
            return self._running.get(owner.lower(), 0) > 0

    def logs(self, path: str) -> Path:
        """Return the log file of the process behind a resource."""
        return self._folder / "logs" / (re.sub(r"[^A-Za-z0-9]+", "-", path.partition(f"{ML}/")[2] or path) + ".log")

    def put(self, request: Request, resource: dict[str, Any], work: Callable[[], None], owner: str = "") -> Answer:
        """Create or update a resource: it exists at once, and is Succeeded or Failed when `work` ends."""
        new = self._store.get(request.path) is None
        resource.setdefault("properties", {})["provisioningState"] = "Creating" if new else "Updating"
        kept = self._store.put(request.path, resource)
        return Answer(201 if new else 200, kept, self._begin(request, work, owner or request.path))

    def delete(self, request: Request, work: Callable[[], None], owner: str = "") -> Answer:
        """Delete a resource, after `work`."""
        if self._store.get(request.path) is None:
            return Answer(204)

        def remove() -> None:
            work()
            self._store.remove(request.path)

        self._store.change(request.path, provisioningState="Deleting")
        return Answer(202, None, self._begin(request, remove, owner or request.path))

    def post(self, request: Request, work: Callable[[], None]) -> Answer:
        """Start an action; clients poll its result, which is 202 until `work` ends."""
        address = self._begin(request, work, request.path)["Azure-AsyncOperation"]
        return Answer(202, None, {"Location": f"{address}/result", "retry-after-ms": str(POLL_MS)})

    def result(self, request: Request, names: Any) -> Answer:
        """Answer a client that polls the result of an action."""
        status = self.status(request, names)
        if status.content["status"] == "Failed":
            return Answer(400, {"error": status.content["error"]})
        return Answer(200 if status.content["status"] == "Succeeded" else 202, None, status.headers)

    def status(self, _: Request, names: Any) -> Answer:
        """Answer a client that polls an operation."""
        with self._lock:
            status = self._statuses.get(names["id"])
            if status is None:
                raise errors.not_found(names["id"])
            return Answer(200, dict(status), {"retry-after-ms": str(POLL_MS)})

    def _begin(self, request: Request, work: Callable[[], None], owner: str) -> dict[str, str]:
        identity = str(uuid.uuid4())
        with self._lock:
            self._statuses[identity] = {"id": identity, "name": identity, "status": "InProgress"}
            self._running[owner.lower()] = self._running.get(owner.lower(), 0) + 1
        arguments = (identity, request, work, owner.lower())
        threading.Thread(target=self._run, args=arguments, daemon=True).start()
        address = self.url + STATUS.format(location="westeurope", id=identity)
        return {"Azure-AsyncOperation": address, "retry-after-ms": str(POLL_MS)}

    def _run(self, identity: str, request: Request, work: Callable[[], None], owner: str) -> None:
        outcome: dict[str, Any] = {"status": "Succeeded", "percentComplete": 100}
        try:
            while slow := self._faults.take(request.call, operation=True):
                if slow.kind == "provisioning-fails":
                    log = self.logs(request.path)
                    log.parent.mkdir(parents=True, exist_ok=True)
                    log.write_text(slow.options.get("logs", ""), encoding="utf-8")
                    raise errors.crashed(slow.options.get("message", ""))
                time.sleep(slow.seconds)
            work()
        except AzureError as refusal:
            outcome = {"status": "Failed", "error": refusal.error}
        except Exception:  # noqa: BLE001 -- a bug in the double: the operation fails
            traceback.print_exc(file=sys.stderr)
            outcome = {"status": "Failed", "error": {"code": "InternalServerError", "message": traceback.format_exc()}}
        self._store.change(request.path, provisioningState=outcome["status"])
        with self._lock:
            self._running[owner] -= 1
            self._statuses[identity].update(outcome)
