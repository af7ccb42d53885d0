"""What a release needs of the place it releases to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Final, Protocol

SLOTS: Final = ("blue", "green")


@dataclass(frozen=True)
class Slot:
    """One of an endpoint's two places for a version: blue or green."""

    version: int
    digest: str
    healthy: bool


@dataclass(frozen=True)
class PendingRelease:
    """A release that began and has not ended.

    Attributes
    ----------
    version, slot :
        What is being released, and where to.
    before : mapping of slot to percent
        The traffic when it began, to be restored if it fails.
    withdraws : int or None
        The version that a rollback takes out of production.
    """

    version: int
    slot: str
    before: Mapping[str, int]
    withdraws: int | None = None


@dataclass(frozen=True)
class EndpointState:
    """An endpoint as it is now; ``traffic`` is in percent and sums to 100, or is empty."""

    slots: Mapping[str, Slot] = field(default_factory=dict)
    traffic: Mapping[str, int] = field(default_factory=dict)
    pending: PendingRelease | None = None

    @property
    def live(self) -> str | None:
        """The slot with the most traffic."""
        return max(self.traffic, key=lambda slot: self.traffic[slot]) if self.traffic else None

    @property
    def serving(self) -> Slot | None:
        """What the live slot holds, if it is in good health."""
        slot = self.slots.get(self.live) if self.live else None
        return slot if slot and slot.healthy else None

    @property
    def idle(self) -> str:
        """The slot to deploy to."""
        return "green" if self.live == "blue" else "blue"


@dataclass(frozen=True)
class Answer:
    """An endpoint's answer: HTTP status, body, and the seconds it took."""

    status: int
    body: bytes
    seconds: float


class Target(Protocol):
    """An endpoint with two slots and weighted traffic.

    Every method raises a `MlopsError` if it cannot do its work, and can be repeated.

    Attributes
    ----------
    mirrors : bool
        Whether it can copy clients' requests to a slot that they get no answer from.
    keeps_previous : bool
        Whether the version before stays in its slot at 0 %, which costs nothing here, or is
        removed once its successor has proved itself.
    """

    mirrors: ClassVar[bool]
    keeps_previous: ClassVar[bool]

    @property
    def address(self) -> str:
        """Where clients send their rows."""

    def describe(self) -> EndpointState:
        """What is there; an error if another process is releasing to it at this moment."""

    def record_pending(self, release: PendingRelease | None) -> None:
        """Note, so that it survives this process, that a release is under way, or over."""

    def deploy(self, slot: str, version: int, digest: str, model: Path) -> None:
        """Serve the model folder ``model`` in a slot without traffic; return once it is ready."""

    def set_traffic(
        self, traffic: Mapping[str, int], mirror: Mapping[str, int] | None = None
    ) -> None:
        """Share the clients' requests out between the slots, in percent.

        ``mirror`` names a slot without traffic, and the percent of the requests to copy to it;
        only a target that `mirrors` is given one.
        """

    def invoke(self, body: bytes, slot: str | None = None) -> Answer:
        """Send a request to one slot, or as a client would."""

    def remove(self, slot: str) -> None:
        """Stop serving a slot that has no traffic."""
