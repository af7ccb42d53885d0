"""Starts the double, prints how to reach it, and serves until it is stopped."""

import argparse
import json
import os
import signal
import sys
import threading
from dataclasses import asdict
from pathlib import Path
from types import FrameType

from doubles import SUBSCRIPTION
from doubles.artifacts import Artifacts
from doubles.assets import Assets
from doubles.autoscale import AutoscaleSettings
from doubles.az import AzureCli
from doubles.batch import Batch
from doubles.cloud import Cloud
from doubles.computes import Computes
from doubles.containers import Containers
from doubles.entra import Entra
from doubles.faults import Faults
from doubles.history import History
from doubles.identity import Identity
from doubles.jobs import Jobs
from doubles.mlflow_front import MlflowFront
from doubles.online import Online
from doubles.operations import STATUS, Operations
from doubles.registries import Registries
from doubles.roles import Access
from doubles.schedules import Schedules
from doubles.scoring import Scoring
from doubles.servers import Servers
from doubles.storage import Storage
from doubles.store import Store
from doubles.subscription import Subscription
from doubles.tls import make_certificates
from doubles.web import OPEN, Answer, Names, Request, Route, Service, Website, no_needs
from doubles.workspaces import CLOUD_NAME, Workspaces


def main() -> None:
    """Serve until SIGTERM or SIGINT, or the end of standard input with --until-stdin-ends."""
    arguments = _arguments()
    folder = arguments.folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.iterdir()):
        sys.exit(f"{folder} is not empty. Choose a new folder: a double starts without resources.")
    landing_zone = json.loads(arguments.landing_zone.read_text("utf-8")) if arguments.landing_zone else {}
    cloud = build(folder, Access(landing_zone))
    workspaces = Workspaces(cloud)
    for given in arguments.workspace:
        workspaces.add(*given.split("/", 1))
    for given in arguments.resource:
        workspaces.add_resource(*given.split("/", 1))
    for path, properties in landing_zone.get("workspaces", {}).items():
        cloud.store.change(path, **properties)
        cloud.storage.add_account(properties["storageAccount"])
    for path, resource in landing_zone.get("resources", {}).items():
        cloud.store.put(path, resource)
        if "/storageAccounts/" in path:
            cloud.storage.add_account(path)
    cli = AzureCli(cloud)
    cloud.site.routes += [*control(cloud), *cli.routes(), *services(cloud), *workspaces.routes()]
    Computes(cloud).add_to(cli)
    program = cli.install(folder / "bin")

    def end(_signal: int = 0, _frame: FrameType | None = None) -> None:
        cloud.processes.stop_all()
        os._exit(0)

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, end)
    if arguments.until_stdin_ends:
        threading.Thread(target=_end_with_stdin, daemon=True).start()
    description = {"url": cloud.url, "ca": str(cloud.trusted), "environment": environment(cloud, program.parent)}
    print(json.dumps(description), flush=True)
    cloud.site.serve()


def build(folder: Path, access: Access) -> Cloud:
    """Create the double's parts."""
    trusted, context = make_certificates(folder)
    identity = Identity()
    faults = Faults(identity)
    store = Store(folder / "resources.json")
    operations = Operations(store, faults, folder)
    site = Website(context, faults.answer, identity.check, lambda who, needs: cloud.authorize(who, needs))
    operations.url = site.url
    storage = Storage(folder / "storage", site.url, identity, access)
    cloud = Cloud(folder, trusted, site, identity, faults, store, operations, storage, access)
    return cloud


def services(cloud: Cloud) -> list[Route]:
    """Return the routes of Azure ML, Resource Manager and storage."""
    front = MlflowFront(cloud)
    jobs = Jobs(cloud, front)
    servers = Servers(cloud)
    parts: list[Service] = [
        cloud.storage,
        Entra(cloud),
        front,
        Artifacts(cloud),
        *(Assets(cloud, kind) for kind in ("codes", "data", "environments", "components")),
        Assets(cloud, "models", front),
        Computes(cloud),
        jobs,
        History(cloud, jobs),
        Schedules(cloud, jobs),
        Online(cloud, servers),
        Scoring(cloud, servers),
        Batch(cloud, jobs),
        Registries(cloud),
        Containers(cloud),
        Subscription(cloud),
        AutoscaleSettings(cloud),
    ]
    routes = [route for part in parts for route in part.routes()]
    return [
        *routes,
        Route("GET", STATUS, cloud.operations.status, needs=no_needs),
        Route("GET", f"{STATUS}/result", cloud.operations.result, needs=no_needs),
    ]


def environment(cloud: Cloud, programs: Path) -> dict[str, str]:
    """Return the environment variables that point clients to the double instead of Azure."""
    trusted = str(cloud.trusted)
    return {
        "ARM_CLOUD_METADATA_URL": f"{cloud.url}/metadata/endpoints?api-version=2019-05-01",
        "AZUREML_CURRENT_CLOUD": CLOUD_NAME,
        "REGISTRY_DISCOVERY_ENDPOINT_URL": f"{cloud.url}/",
        "AZURE_SUBSCRIPTION_ID": SUBSCRIPTION,
        "AZURE_TOKEN_CREDENTIALS": "AzureCliCredential",
        "REQUESTS_CA_BUNDLE": trusted,
        "SSL_CERT_FILE": trusted,
        "CURL_CA_BUNDLE": trusted,
        "AZUREML_RUN_POLLING_INTERVAL_MIN": "1",
        "PATH": os.pathsep.join([str(programs), os.environ.get("PATH", os.defpath)]),
    }


def control(cloud: Cloud) -> list[Route]:
    """Return the routes by which a test controls the double."""

    def plant(request: Request, _: Names) -> Answer:
        content = request.json()
        for fault in content if isinstance(content, list) else [content]:
            cloud.faults.plant(fault)
        return Answer(201, {})

    def clear(_: Request, __: Names) -> Answer:
        cloud.faults.clear()
        return Answer(200, {})

    def left(_: Request, __: Names) -> Answer:
        return Answer(200, [asdict(fault) for fault in cloud.faults.left()])

    def calls(_: Request, __: Names) -> Answer:
        return Answer(200, cloud.site.calls())

    def needs(_: Request, __: Names) -> Answer:
        names = {one.object: one.name for one in cloud.access.principals}
        return Answer(
            200, [[names.get(who, who), asdict(need), allowed] for who, need, allowed in list(cloud.access.log)]
        )

    def shorten(request: Request, _: Names) -> Answer:
        cloud.identity.lifetime, cloud.identity.assertion = request.json()
        return Answer(200, {})

    def assign(request: Request, _: Names) -> Answer:
        cloud.access.change(request.json())
        return Answer(200, {})

    def trust(request: Request, _: Names) -> Answer:
        cloud.access.trust(**request.json())
        return Answer(200, {})

    def put(request: Request, _: Names) -> Answer:
        for path, properties in request.json().items():
            if properties is None:
                cloud.store.remove(path)
            else:
                cloud.store.put(path, {**(cloud.store.get(path) or {}), "properties": properties})
        return Answer(200, {})

    def routes(_: Request, __: Names) -> Answer:
        return Answer(
            200, [[method, r.pattern, r.audiences != OPEN] for r in cloud.site.routes for method in r.methods.split()]
        )

    return [
        Route("POST", "/_double/faults", plant, OPEN),
        Route("DELETE", "/_double/faults", clear, OPEN),
        Route("GET", "/_double/faults", left, OPEN),
        Route("GET", "/_double/calls", calls, OPEN),
        Route("GET", "/_double/routes", routes, OPEN),
        Route("GET", "/_double/needs", needs, OPEN),
        Route("POST", "/_double/assignments", assign, OPEN),
        Route("POST", "/_double/federations", trust, OPEN),
        Route("POST", "/_double/lifetimes", shorten, OPEN),
        Route("POST", "/_double/resources", put, OPEN),
    ]


def _end_with_stdin() -> None:
    sys.stdin.read()
    os.kill(os.getpid(), signal.SIGTERM)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="arm.py", description="A loopback Azure for tests; see tests/doubles/README.md."
    )
    parser.add_argument("--folder", type=Path, required=True, help="an empty folder for the double's data")
    parser.add_argument("--workspace", action="append", default=[], metavar="GROUP/NAME", help="a workspace to create")
    parser.add_argument(
        "--resource",
        action="append",
        default=[],
        metavar="GROUP/PROVIDER/TYPE/NAME",
        help="another resource to create",
    )
    parser.add_argument(
        "--landing-zone",
        type=Path,
        help="a JSON file of identities, their roles, and resources; otherwise, all is allowed",
    )
    parser.add_argument("--until-stdin-ends", action="store_true", help="stop when standard input ends")
    return parser.parse_args()
