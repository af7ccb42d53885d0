"""Names of Azure resources and Azure's limits on them."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import Final

ENVIRONMENTS: Final = ("staging", "production")
UNKNOWN: Final = "xxxxxx"  # as long as what `unique` returns


@dataclass(frozen=True)
class Rule:
    """The name of one Azure resource, and what Azure allows."""

    resource: str  # in words
    pattern: str  # made from {prefix}, {environment}, {suffix} (both), {unique} and {slot}
    legal: str  # regular expression of the allowed characters
    shortest: int
    longest: int

    def name(
        self, prefix: str, environment: str, slot: str = "green", unique: str = UNKNOWN
    ) -> str:
        """Return the name in one environment; only container groups have slots."""
        parts = {"prefix": prefix, "environment": environment, "unique": unique, "slot": slot}
        return self.pattern.format(suffix=f"{prefix}-{environment}", **parts)

    @property
    def is_global(self) -> bool:
        """Return whether no other subscription may have the same name."""
        return "{unique}" in self.pattern

    def allows(self, name: str) -> bool:
        """Return whether Azure accepts the name."""
        fits = self.shortest <= len(name) <= self.longest
        return fits and re.fullmatch(self.legal, name, re.ASCII) is not None

    @property
    def longest_prefix(self) -> int:
        """Return the length of the longest prefix that fits in every environment."""
        return self.longest - max(len(self.name("", environment)) for environment in ENVIRONMENTS)


LOWER: Final = r"[a-z0-9]+"
WORD: Final = r"[a-zA-Z0-9][a-zA-Z0-9_-]*"
HYPHENS: Final = r"[a-zA-Z0-9]([a-zA-Z0-9-]*[a-zA-Z0-9])?"
ENDPOINT: Final = r"[a-zA-Z][a-zA-Z0-9-]*[a-zA-Z0-9]"
VAULT: Final = r"[a-zA-Z][a-zA-Z0-9]*(-[a-zA-Z0-9]+)*"
CONTAINER: Final = r"[a-z0-9]+(-[a-z0-9]+)*"
AKS: Final = r"[a-zA-Z0-9]([a-zA-Z0-9_-]*[a-zA-Z0-9])?"
NETWORK: Final = r"[a-zA-Z0-9]([\w.-]*\w)?"
GROUP: Final = r"[\w.()-]*[\w()-]"

# By the names' keys in infra/shared/names.tf. Lengths and characters: Microsoft's "Naming rules and
# restrictions for Azure resources"; for endpoints and computes, "Manage and increase quotas and
# limits for resources with Azure Machine Learning".
RULES: Final[dict[str, Rule]] = {
    "resource_group": Rule("resource group", "rg-{suffix}", GROUP, 1, 90),
    "workspace": Rule("Azure ML workspace", "mlw-{suffix}", WORD, 3, 33),
    "storage": Rule("storage account", "st{prefix}{unique}", LOWER, 3, 24),
    "key_vault": Rule("Key Vault", "kv-{prefix}-{unique}", VAULT, 3, 24),
    "registry": Rule("container registry", "cr{prefix}{unique}", r"[a-zA-Z0-9]+", 5, 50),
    "log_analytics": Rule("Log Analytics workspace", "log-{suffix}", HYPHENS, 4, 63),
    "application_insights": Rule("Application Insights", "appi-{suffix}", GROUP, 1, 255),
    "action_group": Rule("action group", "ag-{suffix}", GROUP, 1, 260),
    "budget": Rule("budget", "budget-{suffix}", r"[a-zA-Z0-9_-]+", 1, 63),
    "identity": Rule("identity of jobs and endpoints", "id-{suffix}", WORD, 3, 128),
    "ci_identity": Rule("identity of CI", "id-{suffix}-ci", WORD, 3, 128),
    "cluster_identity": Rule("identity of AKS", "id-{suffix}-aks", WORD, 3, 128),
    "nodes_identity": Rule("identity of AKS nodes", "id-{suffix}-nodes", WORD, 3, 128),
    "terraform_identity": Rule("identity of Terraform", "id-{suffix}-terraform", WORD, 3, 128),
    "plan_identity": Rule("identity of Terraform plans", "id-{suffix}-plan", WORD, 3, 128),
    "state_group": Rule("resource group of the state", "rg-{suffix}-state", GROUP, 1, 90),
    "state_storage": Rule("storage of the state", "tf{prefix}{unique}", LOWER, 3, 24),
    "network": Rule("virtual network", "vnet-{suffix}", NETWORK, 2, 64),
    "network_security": Rule("network security group", "nsg-{suffix}", NETWORK, 1, 80),
    "nat_gateway": Rule("NAT gateway", "ng-{suffix}", NETWORK, 1, 80),
    "public_ip": Rule("public IP address", "pip-{suffix}", NETWORK, 1, 80),
    "network_interface": Rule("network interface", "nic-{suffix}", NETWORK, 1, 80),
    "runner": Rule("virtual machine", "vm-{suffix}", HYPHENS, 1, 64),
    # infra/ appends what the endpoint reaches; this is the longest.
    "private_endpoint": Rule("private endpoint", "pe-{suffix}-staging-workspace", NETWORK, 2, 64),
    "cluster": Rule("AKS cluster", "aks-{suffix}", AKS, 1, 63),
    "node_group": Rule("resource group of AKS nodes", "rg-{suffix}-nodes", GROUP, 1, 80),
    "cluster_logs": Rule("data collection rule", "dcr-{suffix}", WORD, 1, 64),
    "endpoint": Rule("online endpoint", "{suffix}-{unique}", ENDPOINT, 3, 32),
    "batch_endpoint": Rule("batch endpoint", "{prefix}-{unique}-batch", ENDPOINT, 3, 32),
    "container_group": Rule("container group", "ci-{suffix}-{slot}", CONTAINER, 1, 63),
    # Inside another resource, so the same in both environments.
    "compute": Rule("compute cluster", "cpu-cluster", ENDPOINT, 3, 32),
    "attached_cluster": Rule("attached AKS cluster", "aks", ENDPOINT, 2, 16),
    "build_task": Rule("build task of the registry", "build", HYPHENS, 5, 50),
    "container_subnet": Rule("subnet of container groups", "snet-aci", NETWORK, 1, 80),
}

STRICTEST: Final = min(
    (rule for rule in RULES.values() if "{" in rule.pattern), key=lambda rule: rule.longest_prefix
)


def unique(subscription: str, prefix: str, environment: str) -> str:
    """Return six digits that make an environment's names its own, as infra/shared/names.tf does."""
    text = f"{subscription.lower()}/{prefix}/{environment}"
    return hashlib.sha256(text.encode()).hexdigest()[: len(UNKNOWN)]


def prefix_problem(prefix: str) -> str | None:
    """Return which resource's name a prefix makes too long, or None."""
    if len(prefix) <= STRICTEST.longest_prefix:
        return None
    name = max((STRICTEST.name(prefix, environment) for environment in ENVIRONMENTS), key=len)
    return (
        f"the {STRICTEST.resource} {name} would have {len(name)} characters, Azure allows "
        f"{STRICTEST.longest}; use at most {STRICTEST.longest_prefix} for the prefix"
    )
