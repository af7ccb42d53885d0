"""Planted faults: how Azure fails. The README lists the kinds."""

import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from doubles import errors
from doubles.identity import Identity
from doubles.web import Answer, AzureError, DroppedError, Request

OPERATION_KINDS = ("slow", "provisioning-fails")


@dataclass
class Fault:
    """A failure: its kind, the calls it hits (a regex over METHOD and path), and how often.

    Attributes
    ----------
    after :
        A regex: nothing fails until a call matches it.
    skip :
        The number of matching calls that succeed first.
    options :
        Settings of the kind: seconds, message, logs, carried_out.
    """

    kind: str
    match: str
    count: int = 1
    skip: int = 0
    after: str = ""
    options: dict[str, Any] = field(default_factory=dict)

    @property
    def seconds(self) -> float:
        return float(self.options.get("seconds", 1))


class Faults:
    """The planted faults; each is used up by the calls that it hits."""

    def __init__(self, identity: Identity) -> None:
        self._identity = identity
        self._planted: list[Fault] = []
        self._lock = threading.Lock()

    def plant(self, content: dict[str, Any]) -> None:
        """Add a fault, given as JSON."""
        known = {name: content[name] for name in ("kind", "match", "count", "skip", "after") if name in content}
        fault = Fault(**known, options={name: content[name] for name in content.keys() - known.keys()})
        if fault.kind not in {*REFUSALS, *OPERATION_KINDS, "expired-token", "delay", "drop"}:
            raise AzureError(400, "UnknownFault", f"Unknown fault {fault.kind}.")
        with self._lock:
            self._planted.append(fault)

    def clear(self) -> None:
        with self._lock:
            self._planted.clear()

    def left(self) -> list[Fault]:
        """Return the faults that have not been used up."""
        with self._lock:
            return [fault for fault in self._planted if fault.count]

    def answer(self, request: Request, proceed: Callable[[], Answer]) -> Answer:
        """Answer a request with the first fault that matches it, or normally."""
        fault = self.take(request.call, operation=False)
        if fault is None:
            return proceed()
        if fault.kind == "delay":
            time.sleep(fault.seconds)
            return proceed()
        if fault.kind == "expired-token":
            self._identity.expire_all()
            return proceed()
        if fault.kind == "drop":
            raise DroppedError(proceed() if fault.options.get("carried_out", True) else Answer(200, {}))
        raise REFUSALS[fault.kind](fault, request)

    def take(self, call: str, operation: bool) -> Fault | None:
        """Use up one hit of the first fault that matches a call, or its long-running operation."""
        with self._lock:
            hit = next((fault for fault in self._planted if self._hits(fault, call, operation)), None)
            if not operation:
                for fault in self._planted:
                    if fault.after and re.search(fault.after, call, re.IGNORECASE):
                        fault.after = ""
            if hit is None:
                return None
            if hit.skip:
                hit.skip -= 1
                return None
            hit.count -= 1
            return hit

    def _hits(self, fault: Fault, call: str, operation: bool) -> bool:
        kind = (fault.kind in OPERATION_KINDS) == operation
        return bool(kind and fault.count and not fault.after and re.search(fault.match, call, re.IGNORECASE))


def _quota(fault: Fault, request: Request) -> AzureError:
    if "/containerGroups/" in request.path:
        return errors.over_core_quota()
    if "/computes/" in request.path:
        return errors.over_cluster_quota(fault.options.get("size", "Standard DSv2 family"))
    size = request.json().get("properties", {}).get("instanceType")
    return errors.over_quota(fault.options.get("size") or size or "Standard_DS3_v2")


def _server_error(fault: Fault, _: Request) -> AzureError:
    message = fault.options.get("message", "An internal server error occurred. Please try again.")
    return AzureError(500, "InternalServerError", message)


def _unavailable(_: Fault, __: Request) -> AzureError:
    return AzureError(
        503, "ServiceUnavailable", "The service is temporarily unavailable. Please retry after some time."
    )


REFUSALS: dict[str, Callable[[Fault, Request], AzureError]] = {
    "not-found": lambda _, request: errors.not_found(request.path),
    "throttled": lambda fault, _: errors.throttled(fault.seconds),
    "conflict": lambda _, request: errors.conflict(request.path),
    "quota": _quota,
    "forbidden": lambda _, request: errors.forbidden(request.method, request.path),
    "server-error": _server_error,
    "unavailable": _unavailable,
    "tasks-not-allowed": lambda _, request: errors.tasks_not_allowed(request.path),
    "logged-out": lambda _, __: AzureError(401, "", "Please run 'az login' to setup account."),
}
