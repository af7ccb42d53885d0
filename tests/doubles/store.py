"""The double's resources by path, saved in resources.json for people to read."""

import copy
import datetime
import json
import threading
from pathlib import Path
from typing import Any

from doubles.errors import not_found
from doubles.roles import resource_type

Resource = dict[str, Any]
ML = "Microsoft.MachineLearningServices"


class Store:
    """Resource Manager's resources. Paths are case-insensitive, as on Azure."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._resources: dict[str, Resource] = {}
        self._lock = threading.RLock()

    def get(self, path: str) -> Resource | None:
        """Return a copy of a resource, or None."""
        with self._lock:
            return copy.deepcopy(self._resources.get(path.lower()))

    def existing(self, path: str) -> Resource:
        """Return a copy of a resource; Azure's 404 if it does not exist."""
        found = self.get(path)
        if found is None:
            raise not_found(path)
        return found

    def put(self, path: str, resource: Resource) -> Resource:
        """Store a resource with the fields that Resource Manager adds; return a copy."""
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
        """Set properties of a resource if it still exists."""
        with self._lock:
            resource = self.get(path)
            if resource is not None:
                resource.setdefault("properties", {}).update(properties)
                self.put(path, resource)

    def remove(self, path: str) -> bool:
        """Remove a resource and everything below it; return whether it existed."""
        with self._lock:
            below = [key for key in self._resources if key == path.lower() or key.startswith(path.lower() + "/")]
            for key in below:
                del self._resources[key]
            self._save()
            return bool(below)

    def children(self, path: str) -> list[Resource]:
        """Return the resources directly below a path, oldest first."""
        prefix = path.lower() + "/"
        with self._lock:
            found = [
                r for key, r in self._resources.items() if key.startswith(prefix) and "/" not in key[len(prefix) :]
            ]
            return copy.deepcopy(found)

    def find(self, kind: str, name: str) -> Resource | None:
        """Return a resource by type and name, in any group."""
        with self._lock:
            wanted = (kind.lower(), name.lower())
            found = (r for r in self._resources.values() if (r["type"].lower(), r["name"].lower()) == wanted)
            return copy.deepcopy(next(found, None))

    def names(self, prefix: str) -> list[str]:
        """Return the distinct next segments of all paths with a prefix, oldest first."""
        with self._lock:
            found = [r["id"][len(prefix) :] for key, r in self._resources.items() if key.startswith(prefix.lower())]
        return list(dict.fromkeys(rest.split("/")[0] for rest in found))

    def _save(self) -> None:
        part = self._file.with_suffix(".part")
        part.write_text(json.dumps(self._resources, indent=1), encoding="utf-8")
        part.replace(self._file)
