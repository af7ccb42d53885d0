"""The page on infrastructure tells of every role that Terraform assigns, and of no other."""

import re
from collections.abc import Iterator

from rendering import ROOT

PROJECT = ROOT / "{{cookiecutter.project_slug}}"
PAGE = PROJECT / "docs" / "infrastructure.md"
# What the maps in *.tf call the principal, and what the page does.
IDENTITIES = {
    "jobs": "jobs",
    "ci": "CI",
    "cluster": "AKS cluster",
    "nodes": "AKS nodes",
    "terraform": "Terraform",
    "operators": "operators",
    "workspace": "workspace",
}
# The maps of a single identity, by their name.
OF_ONE = {
    "workspace_roles": "workspace",
    "network_roles": "workspace",
    "container_roles": "ci",
    "common_roles": "terraform",
    "production_roles": "terraform",
    "operator_roles": "operators",
}


def assigned() -> Iterator[tuple[str, str]]:
    """Yield the identity and the role of every entry in a map of roles."""
    for file in sorted((PROJECT / "infra").rglob("*.tf")):
        table = ""
        for line in file.read_text(encoding="utf-8").splitlines():
            if found := re.match(r"  (\w+_roles)\s+= ", line):
                table = found[1]
            if not (role := re.search(r'\brole\s+= "([^"]+)"', line)):
                continue
            if named := re.search(r"principal = (?:local\.(\w+)|one\(azurerm_user_assigned_identity\.(\w+))", line):
                yield IDENTITIES[named[1] or named[2]], role[1]
            else:
                owner = "terraform" if file.parent.name == "bootstrap" and table == "network_roles" else OF_ONE[table]
                yield IDENTITIES[owner], role[1]


def told() -> Iterator[tuple[str, str]]:
    """Yield the identity and the role of every row of the page's table of roles."""
    table = PAGE.read_text(encoding="utf-8").partition("## Who may do what")[2].partition("\n## ")[0]
    for line in table.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) == 4 and cells[0] != "identity" and not cells[0].startswith("-"):
            identity = re.split(r" \(|,| of production", cells[0])[0]
            yield identity, cells[1].removesuffix(", constrained")


def test_the_page_tells_every_role_that_is_assigned() -> None:
    missing, invented = set(assigned()) - set(told()), set(told()) - set(assigned())
    assert not missing, "add these to the table of docs/infrastructure.md"
    assert not invented, "Terraform assigns no such roles"


def test_the_roles_that_may_be_assigned_are_those_that_are() -> None:
    roles = (PROJECT / "infra" / "shared" / "roles.tf").read_text(encoding="utf-8")
    by_infra = {role for identity, role in assigned() if identity not in ("Terraform", "operators")}
    assert set(re.findall(r'"([^"]+)"\s+= "[0-9a-f-]{36}"', roles)) == by_infra
