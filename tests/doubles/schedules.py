"""Schedules: stored, and run only when a client triggers them; the double has no clock."""

import uuid

from doubles.cloud import WORKSPACE, Cloud, Resources
from doubles.jobs import Jobs
from doubles.web import Answer, AzureError, Names, Request, Route

SCHEDULE = WORKSPACE + "/schedules/{schedule}"


class Schedules(Resources):
    """Schedules of jobs and monitors."""

    def __init__(self, cloud: Cloud, jobs: Jobs) -> None:
        super().__init__(cloud)
        self._jobs = jobs

    def routes(self) -> list[Route]:
        return [
            Route("GET", WORKSPACE + "/schedules", self._list),
            Route("GET", SCHEDULE, self._get),
            Route("PUT", SCHEDULE, self._put),
            Route("DELETE", SCHEDULE, self._delete),
            Route("POST", SCHEDULE + "/trigger", self._trigger),
        ]

    def _put(self, request: Request, names: Names) -> Answer:
        self._check_idle(request, names)
        properties = {"isEnabled": True, "tags": {}, "properties": {}, **request.json()["properties"]}
        return self._cloud.operations.put(request, {"properties": properties}, lambda: None)

    def _delete(self, request: Request, names: Names) -> Answer:
        self._cloud.workspace(names)
        return self._cloud.operations.delete(request, lambda: None)

    def _trigger(self, _: Request, names: Names) -> Answer:
        workspace = self._cloud.workspace(names)
        schedule = self._cloud.store.existing(f"{workspace}/schedules/{names['schedule']}")
        action = schedule["properties"]["action"]
        name = str(uuid.uuid4())
        if action["actionType"] != "CreateJob":
            raise AzureError(400, "UserError", "The double runs schedules of jobs only.")
        self._jobs.submit(workspace, name, action["jobDefinition"])
        return Answer(200, {"submissionId": name, "scheduleActionType": action["actionType"]})
