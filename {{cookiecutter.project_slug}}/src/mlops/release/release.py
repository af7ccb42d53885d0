"""The release: one algorithm for every target.

The idle slot gets the new version, proves itself on rows with known answers, and takes over the
traffic step by step. Whatever fails, the endpoint goes back to what it served before.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from mlops.config import Endpoint
from mlops.errors import MlopsError, ReleaseError
from mlops.model.registry import PRODUCTION, REGISTERED, WITHDRAWN, Registry, Version
from mlops.release.smoke import Probe, check, make_probes
from mlops.release.target import EndpointState, PendingRelease, Target

Tell = Callable[[str], None]


class Release:
    """Moves one environment's endpoint from version to version.

    Parameters
    ----------
    environment : str
        staging or production.
    tell : callable
        Is told each step, as a sentence.
    """

    def __init__(
        self, environment: str, endpoint: Endpoint, target: Target, registry: Registry, tell: Tell
    ) -> None:
        self._environment = environment
        self._endpoint = endpoint
        self._target = target
        self._registry = registry
        self._tell = tell

    def deploy(self, version: Version) -> None:
        """Bring ``version`` into service.

        Raises
        ------
        ReleaseError
            It did not prove itself; the endpoint serves what it served before.
        """
        if self._environment == PRODUCTION and version.stage == REGISTERED:
            raise ReleaseError(
                f"Version {version.number} has not been in staging.", "Run `mlops deploy staging`."
            )
        if version.stage == WITHDRAWN:
            raise ReleaseError(f"Version {version.number} was withdrawn from production.")
        self.recover()
        self._shift(version, self._endpoint.steps)

    def roll_back(self) -> Version:
        """Go back to the version that was in production before, and withdraw the present one.

        Raises
        ------
        ReleaseError
            There is none to go back to, or it did not prove itself.
        """
        completed = self.recover()
        if completed and completed.withdraws:
            return self._registry.version(completed.version)
        present = self._registry.in_production()
        before = self._registry.before(present) if present else None
        if present is None or before is None:
            raise ReleaseError("There is no earlier version to go back to.")
        self._shift(before, [100], withdraws=present.number)
        return before

    def recover(self) -> PendingRelease | None:
        """Complete or undo a release whose process was killed; returns it if completed."""
        state = self._target.describe()
        left = state.pending
        if left is None:
            return None
        if state.traffic == {left.slot: 100} and self._proves_itself(left):
            self._tell(f"Completing the interrupted release of version {left.version}.")
            self._mark(left)
            self._finish(left)
            return left
        self._tell(f"Undoing the interrupted release of version {left.version}.")
        self._undo(left)
        return None

    def _shift(self, version: Version, steps: Sequence[int], withdraws: int | None = None) -> None:
        state = self._target.describe()
        with tempfile.TemporaryDirectory() as folder:
            self._tell(f"Fetching version {version.number} and checking its digest.")
            model = self._registry.download(version, Path(folder))
            probes = make_probes(model)
            before = dict(state.traffic)
            if state.live and state.serving and state.serving.version == version.number:
                self._confirm(PendingRelease(version.number, state.live, before, withdraws), probes)
                return
            release = PendingRelease(version.number, state.idle, before, withdraws)
            self._target.record_pending(release)
            try:
                self._bring_up(release, state, version, model, probes)
                self._move_traffic(release, state, probes, steps if state.serving else [100])
                self._mark(release)
            except BaseException as error:
                self._tell("It failed: going back.")
                left = self._go_back(release)
                if isinstance(error, MlopsError):
                    message = self._failure(version, state, error, left)
                    raise ReleaseError(message, error.fix) from error
                raise
            self._finish(release)

    def _proves_itself(self, release: PendingRelease) -> bool:
        with tempfile.TemporaryDirectory() as folder:
            version = self._registry.version(release.version)
            try:
                probes = make_probes(self._registry.download(version, Path(folder)))
                self._check(release.version, probes, release.slot)
            except ReleaseError:
                return False
        return True

    def _confirm(self, release: PendingRelease, probes: list[Probe]) -> None:
        self._tell(f"Version {release.version} is live already: checking it.")
        self._target.set_traffic(release.before)
        self._check(release.version, probes, slot=None)
        self._mark(release)
        self._finish(release)

    def _bring_up(
        self,
        release: PendingRelease,
        state: EndpointState,
        version: Version,
        model: Path,
        probes: list[Probe],
    ) -> None:
        kept = state.slots.get(release.slot)
        if not (kept and kept.healthy and kept.version == version.number):
            self._tell(f"Deploying version {version.number} to the {release.slot} slot.")
            digest = version.tags["mlops.model_digest"]
            self._target.deploy(release.slot, version.number, digest, model)
        self._tell(f"Smoke test: {self._endpoint.smoke_requests} rows with known answers.")
        self._check(version.number, probes, release.slot)

    def _move_traffic(
        self,
        release: PendingRelease,
        state: EndpointState,
        probes: list[Probe],
        steps: Sequence[int],
    ) -> None:
        if self._endpoint.mirror and self._target.mirrors and state.serving:
            self._mirror_traffic(release, state, probes)
        for percent in steps:
            rest = {state.live: 100 - percent} if state.live and percent < 100 else {}
            self._target.set_traffic({**rest, release.slot: percent})
            own = self._check(release.version, probes, slot=None, alone=percent == 100)
            self._check(release.version, probes, release.slot)
            count = self._endpoint.smoke_requests
            self._tell(f"{percent} % of the traffic: {own} of {count} answers its own, all right.")

    def _check(
        self, version: int, probes: list[Probe], slot: str | None, alone: bool = True
    ) -> int:
        """Send rows to a slot, or as clients do; returns how many ``version`` answered.

        It is an error if another version answers although this one should do so ``alone``.
        """
        count, limit = self._endpoint.smoke_requests, self._endpoint.max_latency_ms
        own = check(lambda body: self._target.invoke(body, slot), probes, version, count, limit)
        if alone and own < count:
            raise ReleaseError(f"{count - own} of {count} answers come from another version.")
        return own

    def _mirror_traffic(
        self, release: PendingRelease, state: EndpointState, probes: list[Probe]
    ) -> None:
        percent = self._endpoint.mirror
        self._target.set_traffic(state.traffic, mirror={release.slot: percent})
        self._check(release.version, probes, slot=None, alone=False)
        self._check(release.version, probes, release.slot)
        self._tell(f"{percent} % of the traffic copied to it: all right.")

    def _mark(self, release: PendingRelease) -> None:
        """Tag the version with what it now serves, which it has shown to do rightly."""
        version = self._registry.version(release.version)
        if self._environment == PRODUCTION:
            self._registry.mark_production(version, release.withdraws)
        else:
            self._registry.mark_staging(version)

    def _finish(self, release: PendingRelease) -> None:
        """Clear up after a version that serves by now: whatever fails here, it stays."""
        try:
            if self._environment == PRODUCTION:
                version = self._registry.version(release.version)
                self._registry.retire_others(version, release.withdraws)
            if not self._target.keeps_previous:
                self._remove_others(release)
            self._target.record_pending(None)
        except MlopsError as error:
            raise ReleaseError(
                f"Version {release.version} is in {self._environment}, but not all is cleared up: "
                f"{error}",
                error.fix or "Run the same command again: it completes what is left.",
            ) from error

    def _remove_others(self, release: PendingRelease) -> None:
        for slot, kept in self._target.describe().slots.items():
            if slot != release.slot:
                self._tell(f"Removing version {kept.version} from the {slot} slot.")
                self._target.remove(slot)

    def _go_back(self, release: PendingRelease) -> str:
        """Undo a release that failed; says why if that fails, too, and the note of it stays."""
        try:
            self._undo(release)
        except MlopsError as error:
            return str(error)
        return ""

    def _undo(self, release: PendingRelease) -> None:
        self._target.set_traffic(release.before)
        self._target.remove(release.slot)
        self._target.record_pending(None)

    def _failure(self, version: Version, state: EndpointState, error: MlopsError, left: str) -> str:
        live = f"version {state.serving.version}" if state.serving else "nothing, as before"
        after = f"{self._environment.capitalize()} serves {live}."
        if left:
            after = (
                f"Going back failed, too: {left}\n{self._environment.capitalize()} served {live}, "
                "and the next command goes back to it first."
            )
        return f"Version {version.number} was not released to {self._environment}: {error}\n{after}"
