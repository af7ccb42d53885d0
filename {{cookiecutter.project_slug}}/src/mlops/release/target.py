"""What a release needs: an endpoint with two slots, on a platform with registries."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Final, Protocol

from mlops.config import Environment
from mlops.model.registry import Registry, Version

SLOTS: Final = ("blue", "green")
Tell = Callable[[str], None]


@dataclass(frozen=True)
class Slot:
    """A version in one of an endpoint's two slots, blue and green.

    Attributes
    ----------
    scoring : str
        What scores rows, arrays or the model itself; "" where only the server's log says it.
    """

    version: int
    digest: str
    healthy: bool
    scoring: str = ""


@dataclass(frozen=True)
class PendingRelease:
    """A release that has started and not ended.

    Attributes
    ----------
    version, slot :
        The version being released, and its slot.
    before : mapping of slot to percent
        The traffic at the start, restored if the release fails.
    withdraws : int or None
        The version that a rollback takes out of production.
    """

    version: int
    slot: str
    before: Mapping[str, int]
    withdraws: int | None = None


@dataclass(frozen=True)
class EndpointState:
    """The state of an endpoint; ``traffic`` is in percent and sums to 100, or is empty."""

    slots: Mapping[str, Slot] = field(default_factory=dict)
    traffic: Mapping[str, int] = field(default_factory=dict)
    pending: PendingRelease | None = None

    @property
    def live(self) -> str | None:
        """Return the slot with the most traffic."""
        return max(self.traffic, key=lambda slot: self.traffic[slot]) if self.traffic else None

    @property
    def serving(self) -> Slot | None:
        """Return the content of the live slot if it is healthy."""
        slot = self.slots.get(self.live) if self.live else None
        return slot if slot and slot.healthy else None

    @property
    def idle(self) -> str:
        """Return the slot to deploy to."""
        return "green" if self.live == "blue" else "blue"

    def slot_for(self, version: int) -> str:
        """Return the live slot if it serves a version, or else the idle one."""
        if self.live and self.serving and self.serving.version == version:
            return self.live
        return self.idle


@dataclass(frozen=True)
class Answer:
    """An endpoint's answer: HTTP status, body and latency in seconds."""

    status: int
    body: bytes
    seconds: float


class Target(Protocol):
    """An endpoint with two slots and weighted traffic.

    Every method can be repeated, and raises a `MlopsError` if it fails.

    Attributes
    ----------
    mirror : int
        Percent of the traffic to copy to a new version first; 0 if the target cannot.
    keeps_previous : bool
        Whether the previous version stays in its slot without traffic, or is removed.
    """

    mirror: int
    keeps_previous: ClassVar[bool]

    @property
    def address(self) -> str:
        """Return the URL to which clients send rows."""

    def describe(self) -> EndpointState:
        """Return the state; raise `OtherRelease` if another release is changing the endpoint."""

    def prepare(self, version: int, digest: str, model: Path) -> None:
        """Do what takes long and does not change the endpoint, such as building an image."""

    def record_pending(self, release: PendingRelease | None) -> None:
        """Record at the endpoint that a release is pending, or has ended.

        Raises
        ------
        OtherRelease
            Another release is recorded.
        """

    def deploy(self, slot: str, version: int, digest: str, model: Path) -> None:
        """Serve the model folder ``model`` in a slot without traffic; return once it is ready."""

    def set_traffic(
        self, traffic: Mapping[str, int], mirror: Mapping[str, int] | None = None
    ) -> None:
        """Split clients' requests between the slots, in percent.

        ``mirror`` is a slot without traffic and the percent of the requests to copy to it; only
        targets with a `mirror` receive it.
        """

    def invoke(self, body: bytes, slot: str | None = None) -> Answer:
        """Send a request to one slot, or as a client does."""

    def remove(self, slot: str) -> None:
        """Stop serving a slot that has no traffic."""


class Platform(Protocol):
    """Where models are registered and served: this machine, or Azure ML."""

    def registry(self, environment: Environment) -> Registry:
        """Return the environment's registry."""

    def target(self, environment: Environment) -> Target:
        """Return the environment's endpoint."""

    def promote(self, version: Version, environment: Environment, tell: Tell) -> Version:
        """Return the version from the environment's registry, copied there if missing."""

    def after_release(self, version: Version, environment: Environment, tell: Tell) -> None:
        """Update what else depends on the released version."""
