"""What the cloud holds: resources by their path, kept in resources.json so that a person can look."""

import copy
import datetime
import json
import threading
from pathlib import Path
from typing import Any

from doubles.errors import resource_type

Resource = dict[str, Any]
ML = "Microsoft.MachineLearningServices"


class Store:
    """Resources of Resource Manager. Paths compare without regard to upper and lower case, as Azure's do."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._resources: dict[str, Resource] = {}
        self._lock = threading.RLock()

    def get(self, path: str) -> Resource | None:
        """A copy of a resource, or None."""
        with self._lock:
            return copy.deepcopy(self._resources.get(path.lower()))

    def put(self, path: str, resource: Resource) -> Resource:
        """Keep a resource whole, with the fields that Resource Manager adds; returns a copy."""
        with self._lock:
            before = self._resources.get(path.lower(), {})
            now = datetime.datetime.now(datetime.UTC).isoformat().replace("+00:00", "Z")
            created = before.get("systemData", {}).get("createdAt", now)
            who = {"createdBy": "tester", "createdByType": "User", "lastModifiedBy": "tester"}
            system = {**who, "createdAt": created, "lastModifiedAt": now, "lastModifiedByType": "User"}
            identity = {"id": before.get("id", path), "name": path.rsplit("/", 1)[1], "type": resource_type(path)}
            self._resources[path.lower()] = copy.deepcopy({**resource, **identity, "systemData": system})
            self._save()
            return self.get(path) or {}

    def change(self, path: str, **properties: Any) -> None:
        """Set some properties of a resource, if it is still there."""
        with self._lock:
            resource = self.get(path)
            if resource is not None:
                resource.setdefault("properties", {}).update(properties)
                self.put(path, resource)

    def remove(self, path: str) -> bool:
        """Forget a resource and all below it; False if there was none."""
        with self._lock:
            below = [key for key in self._resources if key == path.lower() or key.startswith(path.lower() + "/")]
            for key in below:
                del self._resources[key]
            self._save()
            return bool(below)

    def children(self, path: str) -> list[Resource]:
        """The resources directly below a path, oldest first."""
        prefix = path.lower() + "/"
        with self._lock:
            found = [
                r for key, r in self._resources.items() if key.startswith(prefix) and "/" not in key[len(prefix) :]
            ]
            return copy.deepcopy(found)

    def find(self, kind: str, name: str) -> Resource | None:
        """A resource by its type and name, in whatever group."""
        with self._lock:
            wanted = (kind.lower(), name.lower())
            found = (r for r in self._resources.values() if (r["type"].lower(), r["name"].lower()) == wanted)
            return copy.deepcopy(next(found, None))

    def names(self, prefix: str) -> list[str]:
        """The distinct next segments of all paths that start so, in the order of their making."""
        with self._lock:
            found = [r["id"][len(prefix) :] for key, r in self._resources.items() if key.startswith(prefix.lower())]
        return list(dict.fromkeys(rest.split("/")[0] for rest in found))

    def _save(self) -> None:
        part = self._file.with_suffix(".part")
        part.write_text(json.dumps(self._resources, indent=1), encoding="utf-8")
        part.replace(self._file)
