"""Check the Terraform double type by type: Terraform must refuse what it would refuse with azurerm.

`fixtures/minimal.tf` was written by hand from azurerm's documentation, so it also tests how the schema was read: each
resource must be refused without any one of its lines.
"""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from doubles.terraform.client import running_terraform, types_in
from rendering import ROOT

INFRA = ROOT / "{{cookiecutter.project_slug}}" / "infra"
MINIMAL = (ROOT / "tests" / "fixtures" / "minimal.tf").read_text(encoding="utf-8")
# type -> its minimal configuration.
RESOURCES = {found[1]: found[0] for found in re.finditer(r'^resource "(\w+)" "one" \{\n.*?^\}\n', MINIMAL, re.M | re.S)}

# Read-only attributes, and arguments that are not strings, with a value of the wrong type.
READ_ONLY = {
    "azurerm_application_insights": "connection_string",
    "azurerm_container_registry": "login_server",
    "azurerm_key_vault": "vault_uri",
    "azurerm_kubernetes_cluster": "oidc_issuer_url",
    "azurerm_kubernetes_cluster_extension": "current_version",
    "azurerm_linux_virtual_machine": "virtual_machine_id",
    "azurerm_log_analytics_workspace": "primary_shared_key",
    "azurerm_machine_learning_workspace": "discovery_url",
    "azurerm_nat_gateway": "resource_guid",
    "azurerm_network_interface": "mac_address",
    "azurerm_private_dns_zone": "number_of_record_sets",
    "azurerm_private_endpoint": "network_interface",
    "azurerm_public_ip": "ip_address",
    "azurerm_storage_account": "primary_access_key",
    "azurerm_user_assigned_identity": "principal_id",
    "azurerm_virtual_network": "guid",
}
WRONG_TYPES = {
    "azurerm_application_insights": 'local_authentication_enabled = "perhaps"',
    "azurerm_container_registry": 'admin_enabled = "perhaps"',
    "azurerm_key_vault": 'soft_delete_retention_days = "a month"',
    "azurerm_kubernetes_cluster": 'local_account_disabled = "perhaps"',
    "azurerm_kubernetes_cluster_extension": 'configuration_settings = "one"',
    "azurerm_kubernetes_cluster_node_pool": 'max_count = "many"',
    "azurerm_linux_virtual_machine": "secure_boot_enabled = []",
    "azurerm_log_analytics_workspace": 'retention_in_days = "a month"',
    "azurerm_machine_learning_compute_cluster": 'node_public_ip_enabled = "perhaps"',
    "azurerm_machine_learning_workspace": 'public_network_access_enabled = "perhaps"',
    "azurerm_monitor_metric_alert": 'severity = "high"',
    "azurerm_nat_gateway": 'idle_timeout_in_minutes = "long"',
    "azurerm_private_endpoint": "tags = []",
    "azurerm_storage_account": 'shared_access_key_enabled = "perhaps"',
    "azurerm_subnet": 'address_prefixes = "10.0.0.0/24"',
    "azurerm_virtual_network": 'address_space = "10.0.0.0/16"',
}
# Arguments that azurerm 5 removed, or that only other types have.
GONE = {
    "azurerm_federated_identity_credential": ('parent_id = "/subscriptions/s/id-one"', 'resource_group_name = "rg"'),
    "azurerm_key_vault": ("enable_rbac_authorization = true",),
    "azurerm_kubernetes_cluster": ("enable_auto_scaling = true", "role_based_access_control {}"),
    "azurerm_monitor_diagnostic_setting": ('log { category = "AuditEvent" }', 'metric { category = "AllMetrics" }'),
    "azurerm_storage_account": ("enable_https_traffic_only = true", "allow_blob_public_access = false"),
    "azurerm_storage_container": ('storage_account_name = "stone"',),
    "azurerm_subnet": ('address_prefix = "10.0.0.0/24"',),
}


def lines_of(resource: str) -> list[str]:
    """Return the text of a resource's arguments; a block counts as one."""
    return re.findall(r"^  (?:\w+ *=.*\n|\w+ \{\n(?:   .*\n)*  \}\n)", resource, re.M)


def with_line(line: str) -> Callable[[str], str]:
    return lambda resource: resource.replace('"one" {\n', f'"one" {{\n  {line}\n', 1)


def wrong_configurations() -> dict[str, tuple[str, str]]:
    """Return the wrong configurations by name, each with a pattern for Terraform's error."""
    wrong = {}

    def add(kind: str, what: str, change: Callable[[str], str], error: str) -> None:
        wrong[f"{kind}-{what}"] = (change(RESOURCES[kind]), error)

    for kind, resource in RESOURCES.items():
        for line in lines_of(resource):
            (name,) = re.findall(r"^  (\w+)", line)
            missing = rf"Insufficient {name} blocks" if "{" in line else rf'The argument "{name}" is required'
            add(kind, f"missing-{name}", lambda text, line=line: text.replace(line, "", 1), missing)  # type: ignore[misc]
        first = re.findall(r"^  (\w+) *= \"", resource, re.M)[0]
        list_ = re.compile(rf"^  {first} *=.*$", re.M)
        add(kind, "unknown-argument", with_line("nonsense = 1"), 'An argument named "nonsense" is not expected here')
        add(kind, "unknown-block", with_line("nonsense {}"), 'Blocks of type "nonsense" are not expected here')
        add(kind, "list-for-text", lambda t, r=list_, n=first: r.sub(f"  {n} = []", t, count=1), "string required")  # type: ignore[misc]
        add(kind, "misplaced", with_line('timeouts {\n    name = "x"\n  }'), 'An argument named "name" is not expected')
        add(kind, "block-as-argument", with_line('timeouts = "1h"'), "not expected here|attribute value type")
        add(kind, "own-id", with_line('id = "/subscriptions/s/one"'), "Invalid or unknown key")
        if kind in READ_ONLY:
            line = f"{READ_ONLY[kind]} = " + ("[]" if READ_ONLY[kind] == "network_interface" else '"1"')
            add(kind, "read-only", with_line(line), "Value for unconfigurable attribute")
        if kind in WRONG_TYPES:
            add(kind, "wrong-type", with_line(WRONG_TYPES[kind]), "required|a number is|a bool is")
        for position, line in enumerate(GONE.get(kind, ())):
            add(kind, f"gone-{position}", with_line(line), "not expected here")
    return wrong


WRONG = wrong_configurations()


@pytest.fixture(scope="module")
def errors(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """Return Terraform's errors for every configuration, by the name of its file."""
    folder = tmp_path_factory.mktemp("wrong")
    right = {f"{kind}-right": text for kind, text in RESOURCES.items()}
    for number, (name, text) in enumerate((right | {name: text for name, (text, _) in WRONG.items()}).items()):
        (folder / f"{name}.tf").write_text(text.replace('"one" {', f'"n{number}" {{', 1), encoding="utf-8")
    (folder / "data.tf").write_text('data "azurerm_nothing" "one" {}\n', encoding="utf-8")
    with running_terraform(RESOURCES) as terraform:
        assert terraform.init(folder).returncode == 0
        found: dict[str, list[str]] = {}
        for issue in terraform.diagnostics(folder):
            file = Path(issue["range"]["filename"]).stem
            found.setdefault(file, []).append(f"{issue['summary']}: {issue['detail']}")
    return found


def test_every_type_in_infra_is_covered() -> None:
    assert {name for name in types_in([INFRA]) if f'resource "{name}"' in _all_of(INFRA)} == set(RESOURCES)


def _all_of(folder: Path) -> str:
    return "".join(path.read_text(encoding="utf-8") for path in folder.rglob("*.tf"))


@pytest.mark.parametrize("kind", RESOURCES)
def test_a_minimal_configuration_passes(kind: str, errors: dict[str, list[str]]) -> None:
    assert errors.get(f"{kind}-right", []) == []


@pytest.mark.parametrize("kind", RESOURCES)
def test_wrong_configurations_are_refused(kind: str, errors: dict[str, list[str]]) -> None:
    of_kind = {name: error for name, (_, error) in WRONG.items() if name.split("-")[0] == kind}
    assert len(of_kind) >= len(lines_of(RESOURCES[kind])) + 6
    passed = {
        name: errors.get(name)
        for name, error in of_kind.items()
        if not re.search(error, " ".join(errors.get(name, [])))
    }
    assert passed == {}


def test_a_type_that_azurerm_does_not_have_is_refused(errors: dict[str, list[str]]) -> None:
    assert "does not support data source" in errors["data"][0]
