"""The release: one algorithm for every target.

The idle slot gets the new version, passes a smoke test, and takes over the traffic in steps. If
anything fails, the endpoint is restored to what it served before.
"""

from __future__ import annotations

import contextlib
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

from mlops.config import Endpoint, Environment, Project
from mlops.errors import MlopsError, ModelError, ReleaseError
from mlops.model import tags
from mlops.model.history import append
from mlops.model.loading import Trust, trust
from mlops.model.registry import PRODUCTION, WITHDRAWN, Registry, Version
from mlops.release.pending import OtherRelease
from mlops.release.smoke import SmokeRequest, make_smoke_requests, send_smoke_requests
from mlops.release.target import EndpointState, PendingRelease, Target, Tell

T = TypeVar("T")

PAUSE_SECONDS: Final = 5


@dataclass(frozen=True)
class Release:
    """Moves one environment's endpoint from version to version; ``tell`` receives each step."""

    environment: Environment
    project: Project
    target: Target
    registry: Registry
    tell: Tell
    approved: str = ""  # by whom, and how
    wait: bool = True  # for another release, rather than raise `OtherRelease`

    @property
    def endpoint(self) -> Endpoint:
        return self.project.endpoint(self.environment)

    def deploy(self, version: Version) -> None:
        """Deploy ``version`` and give it all the traffic.

        Raises
        ------
        ReleaseError
            It failed its checks; the endpoint serves what it served before.
        """
        if self.environment == PRODUCTION and version.is_new:
            raise ReleaseError(
                f"Version {version.number} has not been in staging.", "Run `mlops deploy staging`."
            )
        if version.stage == WITHDRAWN:
            raise ReleaseError(f"Version {version.number} was withdrawn from production.")
        self._in_turn(lambda _: self._shift(version, self.endpoint.steps))

    def roll_back(self) -> Version:
        """Return to the version that was in production before, and withdraw the present one.

        Raises
        ------
        ReleaseError
            There is no earlier version, or it failed its checks.
        """
        return self._in_turn(self._return_to_previous)

    def _return_to_previous(self, completed: PendingRelease | None) -> Version:
        if completed and completed.withdraws:
            return self.registry.version(completed.version)
        present = self.registry.in_production()
        before = self.registry.before(present) if present else None
        if present is None or before is None:
            raise ReleaseError("There is no earlier version to roll back to.")
        self._shift(before, [100], withdraws=present.number)
        return before

    def _in_turn(self, change: Callable[[PendingRelease | None], T]) -> T:
        """Make a change while no other release changes the endpoint.

        ``change`` receives the interrupted release that was completed first, if there was one.
        """
        told = False
        while True:
            try:
                return change(self._recover())
            except OtherRelease as error:
                if not self.wait:
                    raise
                if not told:
                    self.tell(f"{error} Waiting until it has ended.")
                told = True
            time.sleep(PAUSE_SECONDS)

    def _recover(self) -> PendingRelease | None:
        """Complete or undo an interrupted release; return it if completed."""
        release = self.target.describe().pending
        if release is None:
            return None
        state = self._claim(release)
        if state.traffic == {release.slot: 100} and self._passes_smoke_test(release):
            self.tell(f"Completing the interrupted release of version {release.version}.")
            self._complete(release)
            return release
        self.tell(f"Undoing the interrupted release of version {release.version}.")
        self._undo(release)
        return None

    def _claim(self, release: PendingRelease) -> EndpointState:
        """Record a release and return the state; of two that do so at once, the last one has it."""
        self.target.record_pending(release)
        return self.target.describe()

    def _shift(self, version: Version, steps: Sequence[int], withdraws: int | None = None) -> None:
        with tempfile.TemporaryDirectory() as folder:
            self.tell(f"Fetching version {version.number} and checking its digest.")
            model = self.registry.download(version, Path(folder))
            requests = make_smoke_requests(model, self._trust(version))
            release = self._plan(version, model, withdraws)
            state = self._claim(release)
            try:
                self._deploy_to_slot(release, state, version, model)
                self._check(version.number, requests, release.slot)
                self._move_traffic(release, state, requests, steps if state.serving else [100])
                self._mark(release)
            except OtherRelease:
                raise  # the endpoint is the other release's
            except MlopsError as error:
                outcome = self._restore(release, state)
                what = f"Version {version.number} was not released to {self.environment}"
                raise ReleaseError(f"{what}: {error}\n{outcome}", error.fix) from error
            except BaseException:
                with contextlib.suppress(OtherRelease):
                    self._restore(release, state)
                raise
            self._clean_up(release)

    def _plan(self, version: Version, model: Path, withdraws: int | None) -> PendingRelease:
        """Return the release of a version that is ready to be deployed, or live already."""
        state = self.target.describe()
        if state.slot_for(version.number) != state.live:
            self.target.prepare(version.number, version.tags[tags.MODEL_DIGEST], model)
            state = self.target.describe()  # again, after what may have taken minutes
        slot, before = state.slot_for(version.number), dict(state.traffic)
        return PendingRelease(version.number, slot, before, withdraws)

    def _passes_smoke_test(self, release: PendingRelease) -> bool:
        version = self.registry.version(release.version)
        with tempfile.TemporaryDirectory() as folder:
            try:
                model = self.registry.download(version, Path(folder))
                requests = make_smoke_requests(model, self._trust(version))
                self._check(release.version, requests, release.slot)
            except (ReleaseError, ModelError):
                return False
        return True

    def _trust(self, version: Version) -> Trust:
        return trust(self.project, version.tags[tags.MODEL_DIGEST])

    def _deploy_to_slot(
        self, release: PendingRelease, state: EndpointState, version: Version, model: Path
    ) -> None:
        if release.slot == state.live:
            self.tell(f"Version {version.number} is already live: checking it.")
            return
        present = state.slots.get(release.slot)
        if not (present and present.healthy and present.version == version.number):
            self.tell(f"Deploying version {version.number} to the {release.slot} slot.")
            digest = version.tags[tags.MODEL_DIGEST]
            self.target.deploy(release.slot, version.number, digest, model)
        self.tell(f"Smoke test: {self.endpoint.smoke_requests} rows with known answers.")

    def _move_traffic(
        self,
        release: PendingRelease,
        state: EndpointState,
        requests: Sequence[SmokeRequest],
        steps: Sequence[int],
    ) -> None:
        if release.slot == state.live:
            self.target.set_traffic(release.before)  # without a mirror
            self._check(release.version, requests)
            return
        if self.target.mirror and state.serving:
            self.target.set_traffic(state.traffic, mirror={release.slot: self.target.mirror})
            self._check(release.version, requests, mixed=True)
            self._check(release.version, requests, release.slot)
            self.tell(f"{self.target.mirror} % of the traffic mirrored: all answers correct.")
        for percent in steps:
            rest = {state.live: 100 - percent} if state.live and percent < 100 else {}
            self.target.set_traffic({**rest, release.slot: percent})
            own = self._check(release.version, requests, mixed=percent < 100)
            self._check(release.version, requests, release.slot)
            count = self.endpoint.smoke_requests
            self.tell(f"{percent} % of the traffic: all correct, {own} of {count} its own.")

    def _check(
        self,
        version: int,
        requests: Sequence[SmokeRequest],
        slot: str | None = None,
        mixed: bool = False,
    ) -> int:
        """Send requests to a slot, or as clients do; return how many ``version`` answered.

        Answers from another version are an error unless the traffic is ``mixed``.
        """
        count, limit = self.endpoint.smoke_requests, self.endpoint.max_latency_ms
        own, latency = send_smoke_requests(
            lambda body: self.target.invoke(body, slot), requests, version, count
        )
        if latency > limit:
            raise ReleaseError(
                f"Median latency {latency:.0f} ms exceeds the limit of {limit:g} ms "
                f"(serving.{self.environment}.max_latency_ms)."
            )
        if own < count and not mixed:
            raise ReleaseError(f"{count - own} of {count} answers came from another version.")
        return own

    def _complete(self, release: PendingRelease) -> None:
        self._mark(release)
        self._clean_up(release)

    def _mark(self, release: PendingRelease) -> None:
        """Tag the version with its new stage, after its checks passed."""
        version = self.registry.version(release.version)
        if self.environment == PRODUCTION:
            self.registry.mark_production(version, release.withdraws)
        else:
            self.registry.mark_staging(version)

    def _clean_up(self, release: PendingRelease) -> None:
        """Retire and remove other versions; whatever fails here, the new one keeps serving."""
        try:
            if self.environment == PRODUCTION:
                version = self.registry.version(release.version)
                self.registry.retire_others(version, release.withdraws)
            self._record(release)
            if not self.target.keeps_previous:
                self._remove_others(release)
            self.target.record_pending(None)
        except MlopsError as error:
            raise ReleaseError(
                f"Version {release.version} is in {self.environment}, but cleanup is incomplete: "
                f"{error}",
                error.fix or "Run the same command again to complete it.",
            ) from error

    def _record(self, release: PendingRelease) -> None:
        """Add the change to the history; it is kept once, however often this is completed."""
        version = self.registry.version(release.version)
        event = "rollback" if release.withdraws else "release"
        append(self.registry, self.environment, version, event, self.approved)

    def _remove_others(self, release: PendingRelease) -> None:
        for slot, content in self.target.describe().slots.items():
            if slot != release.slot:
                self.tell(f"Removing version {content.version} from the {slot} slot.")
                self.target.remove(slot)

    def _restore(self, release: PendingRelease, state: EndpointState) -> str:
        """Undo a release that failed; return what the endpoint serves now.

        If undoing fails too, the note stays, and the next command tries again.

        Raises
        ------
        OtherRelease
            The endpoint is now another release's.
        """
        self.tell("Failed: restoring what was served before.")
        name = self.environment.capitalize()
        served = f"version {state.serving.version}" if state.serving else "no version"
        try:
            self._undo(release)
            if state.serving and self.target.describe().serving is None:
                again = f"mlops deploy {self.environment} --version {state.serving.version}"
                return f"{name} served {served} before, but its server has ended: run `{again}`."
        except OtherRelease:
            raise
        except MlopsError as error:
            return (
                f"Restoring {self.environment} failed too: {error}\n"
                f"{name} served {served} before; the next command restores it first."
            )
        return f"{name} still serves {served}."

    def _undo(self, release: PendingRelease) -> None:
        self.target.set_traffic(release.before)
        if release.slot not in release.before:
            self.target.remove(release.slot)
        self.target.record_pending(None)
