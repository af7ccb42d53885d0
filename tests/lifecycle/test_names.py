"""The names of what is on Azure."""

from __future__ import annotations

import pytest
from mlops.azure.names import Names

LIMITS = {  # name: shortest and longest that Azure takes, and what besides letters and digits
    "resource_group": (1, 90, "-"),
    "workspace": (3, 33, "-"),
    "registry": (5, 50, ""),
    "storage": (3, 24, ""),
    "key_vault": (3, 24, "-"),
    "identity": (3, 128, "-"),
    "network": (2, 64, "-"),
    "container_subnet": (1, 80, "-"),
    "cluster": (1, 63, "-"),
    "attached_cluster": (2, 16, "-"),
    "compute": (3, 32, "-"),
    "endpoint": (3, 32, "-"),
    "batch_endpoint": (3, 32, "-"),
}


@pytest.mark.parametrize("prefix", ["a", "abcdefghij"])
@pytest.mark.parametrize("environment", ["staging", "production"])
def test_azure_takes_every_name(prefix: str, environment: str) -> None:
    own = Names(environment, prefix)
    found = {name: getattr(own, name) for name in LIMITS}
    found |= {f"container_group {slot}": own.container_group(slot) for slot in ("blue", "green")}
    for kind, name in found.items():
        shortest, longest, also = LIMITS.get(kind, (1, 63, "-"))
        assert shortest <= len(name) <= longest, kind
        assert name[0].isalpha(), kind
        assert all(letter.isalnum() or letter in also for letter in name), kind
        assert name == name.lower(), kind


def test_every_name_is_checked() -> None:
    assert {name for name, kind in vars(Names).items() if isinstance(kind, property)} == set(LIMITS)


def test_staging_and_production_share_nothing_but_what_lies_within_them() -> None:
    staging, production = Names("staging", "toy"), Names("production", "toy")
    same = {name for name in LIMITS if getattr(staging, name) == getattr(production, name)}
    assert same == {"container_subnet", "attached_cluster", "compute"}
