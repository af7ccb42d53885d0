"""Stands in for the Azure CLI where Terraform makes the identities: it tells those in Terraform's states.

`install` writes the program. Its environment: STATES has the state files, and folders of some; CALLS is the file for
its arguments; AZ_FAILS is an error to end with. Other commands go to the program in AZ_ELSE, or are answered by
AZ_ACCOUNT and AZ_TOKEN.
"""

import sys
from pathlib import Path

PROGRAM = """
import json, os, pathlib, sys
words = sys.argv[1:]
options = dict(zip(words, words[1:]))
with open(os.environ["CALLS"], "a") as file:
    print("az", *words, file=file)
if os.environ.get("AZ_FAILS"):
    sys.exit(os.environ["AZ_FAILS"])
given = [pathlib.Path(path) for path in os.environ["STATES"].split(os.pathsep)]
files = [file for path in given for file in (path.rglob("*.tfstate") if path.is_dir() else [path] * path.is_file())]
resources = [
    (resource["type"], instance["attributes"])
    for file in files if ".terraform" not in file.parts
    for resource in json.loads(file.read_text() or "{}").get("resources", ())
    for instance in resource["instances"]
]
identities = [values for kind, values in resources if kind == "azurerm_user_assigned_identity"]
if words[0] == "rest":  # to remove a credential
    assert options["--method"] == "delete"
    path = options["--url"].removeprefix("https://management.azure.com").partition("?")[0]
    sys.exit(path.split("/")[8] not in [one["name"] for one in identities] and "ERROR: Not Found")
if words[0] == "identity":
    wanted = (options["--resource-group"], options.get("--name") or options.get("--identity-name"))
    found = [one for one in identities if (one["resource_group_name"], one["name"]) == wanted]
    if not found:
        sys.exit("ERROR: (ResourceNotFound) The Resource was not found.")
    if words[1] == "show":
        print(json.dumps({"clientId": found[0]["client_id"], "id": found[0]["id"]}))
    else:
        print(json.dumps([
            {"name": one["name"], "issuer": one["issuer"], "subject": one["subject"], "audiences": one["audience"]}
            for kind, one in resources
            if kind == "azurerm_federated_identity_credential" and one["user_assigned_identity_id"] == found[0]["id"]
        ]))
elif "AZ_ELSE" in os.environ:
    os.execv(os.environ["AZ_ELSE"], [os.environ["AZ_ELSE"], *words])
elif words[:2] == ["account", "get-access-token"]:
    print(os.environ["AZ_TOKEN"])
elif words[:2] == ["account", "show"]:
    print(os.environ["AZ_ACCOUNT"])
else:
    sys.exit(f"The stand-in for az knows no {words}")
"""


def install(folder: Path) -> None:
    """Write the program az into a folder."""
    (folder / "az").write_text(f"#!{sys.executable} -S\n{PROGRAM}", encoding="utf-8")
    (folder / "az").chmod(0o755)
