"""`mlops connect` on Azure DevOps: the real command, git and Terraform, with an organization on this machine."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from connect_site import Site, running_connect_site
from doubles.terraform.client import Terraform
from rendering import Render


@pytest.fixture
def site(render: Render, terraform: Terraform, tmp_path: Path) -> Iterator[Site]:
    with running_connect_site(render({"ci_cd": "azure-pipelines"}), terraform, tmp_path) as site:
        yield site


def test_it(site: Site) -> None:
    done = site.connect()
    print(done.stdout)
    print("\n".join(site.devops.calls))
    print("\n".join(site.calls()))
    assert done.returncode == 0
