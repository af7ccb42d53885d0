"""Test that docs/infrastructure.md lists exactly the roles that Terraform assigns."""

import re
from collections.abc import Iterator

from rendering import ROOT

PROJECT = ROOT / "{{cookiecutter.project_slug}}"
PAGE = PROJECT / "docs" / "infrastructure.md"
# A principal's name in *.tf, and on the page.
IDENTITIES = {
    "jobs": "jobs",
    "ci": "CI",
    "cluster": "AKS cluster",
    "nodes": "AKS nodes",
    "terraform": "Terraform",
    "plan": "plan",
    "operators": "operators",
}
# The role maps of a single identity.
OF_ONE = {
    "container_roles": "ci",
    "common_roles": "terraform",
    "network_roles": "terraform",
    "production_roles": "terraform",
    "plan_roles": "plan",
    "operator_roles": "operators",
}


def assigned() -> Iterator[tuple[str, str]]:
    """Yield the identity and role of every entry in a role map."""
    for file in sorted((PROJECT / "infra").rglob("*.tf")):
        table = ""
        for line in file.read_text(encoding="utf-8").splitlines():
            if found := re.match(r"  (\w+_roles)\s+= ", line):
                table = found[1]
            if alone := re.search(r'\brole_definition_name = "([^"]+)"', line):
                yield "task that builds images", alone[1]
            if not (role := re.search(r'\brole\s+= "([^"]+)"', line)):
                continue
            if named := re.search(r"principal = (?:local\.(\w+)|one\(azurerm_user_assigned_identity\.(\w+))", line):
                yield IDENTITIES[named[1] or named[2]], role[1]
            else:
                yield IDENTITIES[OF_ONE[table]], role[1]


def documented() -> Iterator[tuple[str, str]]:
    """Yield the identity and role of every row in the page's table."""
    table = PAGE.read_text(encoding="utf-8").partition("## Who may do what")[2].partition("\n## ")[0]
    for line in table.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) == 4 and cells[0] != "identity" and not cells[0].startswith("-"):
            identity = re.split(r" \(|,| of (?:production|staging)", cells[0])[0]
            yield identity, cells[1].removesuffix(", constrained")


def test_the_page_lists_every_assigned_role() -> None:
    missing, invented = set(assigned()) - set(documented()), set(documented()) - set(assigned())
    assert not missing, "add these to the table of docs/infrastructure.md"
    assert not invented, "Terraform does not assign these roles"


def test_only_assigned_roles_may_be_assigned() -> None:
    roles = (PROJECT / "infra" / "shared" / "roles.tf").read_text(encoding="utf-8")
    by_infra = {role for identity, role in assigned() if identity not in ("Terraform", "plan", "operators")}
    assert set(re.findall(r'"([^"]+)"\s+= "[0-9a-f-]{36}"', roles)) == by_infra
