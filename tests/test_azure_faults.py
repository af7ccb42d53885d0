"""Every fault of Azure at every step of a release: production keeps serving, and a second run completes.

A release survives a fault, is undone, or (once the version is tagged as production's) stays. The last test prints the
outcome of each step and fault.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from azure_project import MODEL, PREFIX, Lab, azure_lab, name_of
from doubles.client import Double
from rendering import Render
from warm_mlops import Said

WORKSPACE = f"mlw-{PREFIX}-production"
ENDPOINT = f"onlineEndpoints/{name_of('endpoint', 'production')}"
VERSION = rf"PUT .*{WORKSPACE}/models/{MODEL}/versions/\d+$"


@dataclass(frozen=True)
class Step:
    """A step of a release to production, identified by its call.

    Attributes
    ----------
    call :
        A regular expression of its method and path.
    skip :
        The number of matching calls before it.
    counts :
        Whether the version is tagged as production's by then.
    """

    name: str
    call: str
    skip: int = 0
    counts: bool = False


WRITES = (
    Step("copy the version", VERSION),
    Step("write the note", f"PUT .*{ENDPOINT}$"),
    Step("deploy the idle slot", f"PUT .*{ENDPOINT}/deployments/"),
    Step("send half of the traffic", f"PUT .*{ENDPOINT}$", skip=1),
    Step("send all of the traffic", f"PUT .*{ENDPOINT}$", skip=2),
    Step("tag the version", VERSION, skip=1),
    Step("retire the version before", VERSION, skip=2, counts=True),
    Step("tag the versions in staging", rf"PUT .*mlw-{PREFIX}-staging/models/", counts=True),
    Step("remove the old slot", f"DELETE .*{ENDPOINT}/deployments/", counts=True),
    Step("remove the note", f"PUT .*{ENDPOINT}$", skip=3, counts=True),
)
READS = (
    Step("find the workspace", f"GET .*{WORKSPACE}$"),
    Step("read the versions", f"GET .*{WORKSPACE}/models/{MODEL}/versions$"),
    Step("read the endpoint", f"GET .*{ENDPOINT}$"),
)
PROVISION = Step("provision it", f"PUT .*{ENDPOINT}/deployments/")
SMOKE = Step("smoke test", "POST /inference/")
STEPS = (*READS, *WRITES[:3], PROVISION, SMOKE, *WRITES[3:])
OPERATIONS = tuple(step for step in WRITES if ENDPOINT in step.call)  # Azure completes them in the background

# A release survives these: the clients wait or retry.
PASSED = {
    "throttled": (*READS, *WRITES),
    "expired-token": (*READS, *WRITES, SMOKE),
    "slow": OPERATIONS,
    "drop": (*READS, *(step for step in WRITES if step not in OPERATIONS)),
    "not-found": WRITES[:3],  # a new resource is not visible at once
    "conflict": WRITES[1:2],  # another release begins, or so it seems
}
# These undo it.
FAILING = [
    *(("conflict", step) for step in WRITES if step not in PASSED["conflict"]),
    *(("drop", step) for step in (*OPERATIONS, SMOKE)),
    ("quota", WRITES[2]),
    ("provisioning-fails", PROVISION),
]
# `make test` runs one of these per fault, and two conflicts: before and after the version counts.
COVERING = {
    ("conflict", "send half of the traffic"),
    ("conflict", "tag the versions in staging"),
    ("drop", "smoke test"),
    ("quota", "deploy the idle slot"),
    ("provisioning-fails", "provision it"),
}
REST = pytest.mark.exhaustive
MESSAGES = {
    "conflict": "another operation on same entity is already running",
    "drop": "connection broke|No answer",
    "quota": "Not enough quota available for Standard_DS3_v2",
    "provisioning-fails": "The container's log says: MemoryError: Unable to allocate 9 GiB",
}
LOGS = "Starting up\nTraceback (most recent call last):\nMemoryError: Unable to allocate 9 GiB\n"


class Ledger:
    """The outcomes of the tests, by step and fault."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.found: dict[tuple[str, str], str] = {}
        self._fresh = 2

    def versions(self, fresh: bool) -> tuple[int, int]:
        """Return production's version and one to release: ``fresh`` in production's workspace, or present there."""
        [live] = self.lab.served("production")
        self._fresh += fresh
        return live, self._fresh if fresh else 1 if live == 2 else 2

    def deploy(self, version: int) -> Said:
        """Release a version to production, however that ends."""
        return self.lab.mlops.attempt("deploy", "production", "--version", str(version), "--on", "azureml", "--yes")


@pytest.fixture(scope="module")
def ledger(render: Render, project_python: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ledger]:
    """A project with version 1 in production, and versions 1 to 9 in staging."""

    def change(content: dict[str, Any]) -> None:
        content["serving"]["production"]["steps"] = [50, 100]

    answers = {"batch_endpoint": "no", "monitoring": "no"}
    with azure_lab(render(answers), project_python, tmp_path_factory.mktemp("faults"), change) as lab:
        lab.seed(*range(1, 10))
        for version in (2, 1):
            lab.mlops("deploy", "production", "--version", str(version), "--on", "azureml", "--yes")
        yield Ledger(lab)


@pytest.fixture(autouse=True)
def no_faults(ledger: Ledger) -> Iterator[None]:
    """Remove the faults that a test did not use."""
    yield
    ledger.lab.azure.clear_faults()


@pytest.mark.parametrize(
    "fault", [pytest.param(fault, marks=REST if fault in ("slow", "drop", "conflict") else ()) for fault in PASSED]
)
def test_a_release_survives_a_transient_fault(ledger: Ledger, fault: str) -> None:
    azure = ledger.lab.azure
    _, version = ledger.versions(fresh=True)
    plant(azure, fault, PASSED[fault])
    said = ledger.deploy(version)
    assert said.code == 0, said.text
    assert azure.faults_left() == []
    assert ledger.lab.served("production") == {version}
    assert ledger.lab.stages(version) == ("production", "production")
    ledger.found |= {(step.name, fault): "survives" for step in PASSED[fault]}


def plant(azure: Double, fault: str, steps: tuple[Step, ...]) -> None:
    """Plant a fault once at each of some steps."""
    last: dict[str, int] = {}
    for step in steps:
        if fault == "not-found":
            azure.plant(fault, step.call.replace("PUT", "GET"), after=step.call, count=2)
            continue
        # Among equal faults, the first counts the calls; a refused call is repeated.
        between = step.skip - last.get(step.call, -1) - 1
        again = step.call in last and fault != "slow"
        azure.plant(fault, step.call, skip=between + again, seconds=1)
        last[step.call] = step.skip


@pytest.mark.parametrize(
    ("fault", "step"),
    [
        pytest.param(fault, step, id=f"{fault}: {step.name}", marks=() if (fault, step.name) in COVERING else REST)
        for fault, step in FAILING
    ],
)
def test_production_keeps_serving_and_a_second_run_completes(ledger: Ledger, fault: str, step: Step) -> None:
    lab = ledger.lab
    old, new = ledger.versions(fresh=step.name == "copy the version")
    lab.azure.plant(fault, step.call, skip=step.skip, logs=LOGS)
    said = ledger.deploy(new)
    assert lab.azure.faults_left() == []
    assert said.code == 1, said.text
    assert "Traceback" not in said.text
    assert re.search(MESSAGES[fault], said.text)
    assert re.search("run the same command again", said.text, re.IGNORECASE)
    if step.counts:
        assert f"Version {new} is in production, but cleanup is incomplete" in said.text
        assert lab.served("production") == {new}
    else:
        assert lab.served("production") == {old}
        assert lab.stages(old) == ("production", "production")
        if step.name not in ("copy the version", "write the note"):  # nothing was changed by then
            assert f"Version {new} was not released to production" in said.text
            assert f"Production still serves version {old}." in said.text

    again = ledger.deploy(new)
    assert again.code == 0, again.text
    assert lab.served("production") == {new}
    assert lab.stages(new) == ("production", "production")
    assert lab.stages(old) == ("retired", "retired")
    ledger.found[step.name, fault] = "stays" if step.counts else "undone"


@pytest.mark.parametrize(
    "moment",
    [
        pytest.param("Smoke test", marks=REST),
        "50 % of the traffic",
        pytest.param("100 % of the traffic", marks=REST),
    ],
)
def test_the_next_release_completes_a_killed_release(ledger: Ledger, moment: str) -> None:
    lab = ledger.lab
    _, new = ledger.versions(fresh=False)
    lab.kill_when(moment, "deploy", "production", "--version", str(new), "--on", "azureml", "--yes")
    assert lab.served("production")
    said = ledger.deploy(new)
    assert said.code == 0, said.text
    assert "the interrupted release" in said.text
    assert lab.served("production") == {new}
    assert lab.stages(new) == ("production", "production")


@REST
def test_every_step_met_its_faults(ledger: Ledger, capsys: pytest.CaptureFixture[str]) -> None:
    faults = [*PASSED, *(name for name in MESSAGES if name not in PASSED)]
    width = max(len(step.name) for step in STEPS)
    lines = [" " * width + "".join(f"  {fault:<18}" for fault in faults)]
    for step in STEPS:
        cells = [ledger.found.get((step.name, fault), "-") for fault in faults]
        lines.append(f"{step.name:<{width}}" + "".join(f"  {cell:<18}" for cell in cells))
    with capsys.disabled():
        print("\n\n" + "\n".join(lines))
    assert all(any((step.name, fault) in ledger.found for fault in faults) for step in STEPS)
    planned = {(step.name, fault) for fault, steps in PASSED.items() for step in steps}
    planned |= {(step.name, fault) for fault, step in FAILING}
    assert ledger.found.keys() == planned
