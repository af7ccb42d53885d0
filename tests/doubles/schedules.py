"""Schedules: kept, and run when a client triggers them; the double has no clock of its own."""

import uuid
from collections.abc import Mapping

from doubles import errors
from doubles.cloud import WORKSPACE, Cloud
from doubles.jobs import Jobs
from doubles.store import Resource
from doubles.web import Answer, AzureError, Request, Route

SCHEDULE = WORKSPACE + "/schedules/{schedule}"


class Schedules:
    """Schedules of jobs and monitors."""

    def __init__(self, cloud: Cloud, jobs: Jobs) -> None:
        self._cloud = cloud
        self._jobs = jobs

    def routes(self) -> list[Route]:
        return [
            Route("GET", WORKSPACE + "/schedules", self._list),
            Route("GET", SCHEDULE, self._get),
            Route("PUT", SCHEDULE, self._put),
            Route("DELETE", SCHEDULE, self._delete),
            Route("POST", SCHEDULE + "/trigger", self._trigger),
        ]

    def _list(self, request: Request, names: Mapping[str, str]) -> Answer:
        self._cloud.authorize(request)
        self._cloud.workspace(names)
        return Answer(200, {"value": self._cloud.store.children(request.path)})

    def _find(self, request: Request, names: Mapping[str, str]) -> Resource:
        self._cloud.authorize(request)
        path = f"{self._cloud.workspace(names)}/schedules/{names['schedule']}"
        found = self._cloud.store.get(path)
        if found is None:
            raise errors.not_found(path)
        return found

    def _get(self, request: Request, names: Mapping[str, str]) -> Answer:
        return Answer(200, self._find(request, names))

    def _put(self, request: Request, names: Mapping[str, str]) -> Answer:
        self._cloud.authorize(request)
        self._cloud.workspace(names)
        if self._cloud.operations.busy(request.path):
            raise errors.conflict(request.path)
        properties = {"isEnabled": True, "tags": {}, "properties": {}, **request.json()["properties"]}
        return self._cloud.operations.put(request, {"properties": properties}, lambda: None)

    def _delete(self, request: Request, names: Mapping[str, str]) -> Answer:
        self._cloud.authorize(request)
        self._cloud.workspace(names)
        return self._cloud.operations.delete(request, lambda: None)

    def _trigger(self, request: Request, names: Mapping[str, str]) -> Answer:
        action = self._find(request, names)["properties"]["action"]
        name = str(uuid.uuid4())
        if action["actionType"] != "CreateJob":
            raise AzureError(400, "UserError", "The double runs schedules of jobs only.")
        self._jobs.submit(self._cloud.workspace(names), name, action["jobDefinition"])
        return Answer(200, {"submissionId": name, "scheduleActionType": action["actionType"]})
