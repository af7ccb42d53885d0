"""Lets jobs of both platforms install the tests' Terraform instead of HashiCorp's: only the pinned checksum differs."""

import hashlib
import re
import zipfile
from pathlib import Path

from doubles.terraform.client import Terraform

PINNED = (".github/actions/terraform/action.yml", "azure-pipelines/templates/steps-terraform.yml")


def pin_terraform(project: Path, terraform: Terraform, folder: Path) -> dict[str, str]:
    """Make the jobs of a project expect the tests' Terraform; return the variables that this needs."""
    variables = terraform.install(folder / "bin")
    archive = folder / "terraform.zip"
    with zipfile.ZipFile(archive, "w") as packed:
        packed.write(folder / "bin" / "terraform", "terraform")
    [file] = [project / name for name in PINNED if (project / name).is_file()]
    checksum = hashlib.sha256(archive.read_bytes()).hexdigest()
    text, count = re.subn(r"SHA256: [0-9a-f]{64}", f"SHA256: {checksum}", file.read_text(encoding="utf-8"))
    assert count == 1
    file.write_text(text, encoding="utf-8")
    return {**variables, "TERRAFORM_ZIP": str(archive)}
