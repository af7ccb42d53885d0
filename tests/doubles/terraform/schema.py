"""Reads azurerm's schema from its CDK bindings, which are generated from it.

Each resource has a JavaScript file with one class per block, where every argument has a comment
(`// name - computed: false, optional: true, required: false`) and a getter that shows its type. Reading them all takes
seconds, so the schema is cached beside the package, outside of any repository.
"""

import hashlib
import importlib.util
import json
import re
import sys
import tarfile
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# The format of `terraform providers schema -json`: {"attributes": {...}, "block_types": {...}}, and types such as
# "string" or ["list", "string"].
Block = dict[str, Any]
Type = Any

CLASS = re.compile(r"^class (\w+) extends cdktn\.(\w+) \{\n(.*?)^\}", re.M | re.S)
FIELD = re.compile(
    r"^    // (?P<name>\w+) - computed: (?P<computed>\w+), optional: (?P<optional>\w+), required: (?P<required>\w+)\n"
    r"(?P<member>.*?)^    get \w+\(\) \{\n(?P<getter>.*?)^    \}",
    re.M | re.S,
)
NESTED = re.compile(r"= new (?P<type>[\w.]+)\(this, \"\w+\"(?:, (?P<set>true|false))?\)")
GETTER = re.compile(r"(?P<set>Fn\.tolist\()?this\.(?P<method>\w+)\('")
TYPES: dict[str, Type] = {
    "getStringAttribute": "string",
    "getNumberAttribute": "number",
    "getBooleanAttribute": "bool",
    "getListAttribute": ["list", "string"],
    "getNumberListAttribute": ["list", "number"],
    "getStringMapAttribute": ["map", "string"],
    "interpolationForAttribute": ["list", ["list", "number"]],
}
# The provider's arguments have no getter; their types are in a table.
TABLE = re.compile(r"^function (\w+)ToHclTerraform\(struct\) \{\n(.*?)^\}", re.M | re.S)
OWN_TABLE = re.compile(r"^    synthesizeHclAttributes\(\) \{\n(.*?)^    \}", re.M | re.S)
ENTRY = re.compile(
    r"^ +(?P<name>\w+): \{\n +value: .*\n +isBlock: (?P<block>\w+),\n"
    r" +type: \"\w+\",\n +storageClassType: \"(?P<type>\w+)\"",
    re.M,
)
STORED: dict[str, Type] = {
    "string": "string",
    "number": "number",
    "boolean": "bool",
    "stringList": ["list", "string"],
    "numberList": ["list", "number"],
    "stringMap": ["map", "string"],
}
# The bindings do not mark sensitive attributes; these are, in every resource that exports them.
SENSITIVE = re.compile(r"(^|_)(access_key|connection_string|instrumentation_key|password|secret|kube_config_raw)$")


@dataclass(frozen=True)
class Module:
    """One file of the bindings: the base and the body of each class, by name."""

    classes: Mapping[str, tuple[str, str]]

    def block(self, name: str) -> Block:
        """Return the block of one class."""
        attributes, blocks = {}, {}
        for field in FIELD.finditer(self.classes[name][1]):
            nested = NESTED.search(field["member"])
            if nested and nested["type"] in self.classes and field["computed"] == "false":
                blocks[field["name"]] = self.nested(nested, field["required"] == "true")
            else:
                attributes[field["name"]] = _attribute(field, self.type(field))
        return {"attributes": attributes, "block_types": blocks}

    def nested(self, nested: re.Match[str], required: bool) -> Block:
        """Return a nested block with its nesting mode and limits."""
        name = nested["type"]
        base, body = self.classes[name]
        limits: Block
        if base == "ComplexList":
            limits = {"nesting_mode": "set" if nested["set"] == "true" else "list"}
        elif "super(terraformResource, terraformAttribute, false, 0);" in body:
            limits = {"nesting_mode": "list", "max_items": 1}
        else:  # timeouts
            return {"nesting_mode": "single", "block": self.block(name)}
        return {**limits, "min_items": int(required), "block": self.block(_element(name))}

    def type(self, field: re.Match[str]) -> Type:
        """Return the type of an argument or exported attribute."""
        if nested := NESTED.search(field["member"]):
            if nested["type"] not in self.classes:
                return ["map", "string"]  # cdktn.StringMap
            kind = "set" if nested["set"] == "true" else "list"
            return [kind, self.object(_element(nested["type"]))]
        getter = GETTER.search(field["getter"])
        assert getter, field[0]
        found = TYPES[getter["method"]]
        return ["set", found[1]] if getter["set"] else found

    def object(self, name: str) -> Type:
        """Return a class as an object type; the bindings lack it for two lists of lists of objects."""
        if name not in self.classes:
            return "dynamic"
        return ["object", {field["name"]: self.type(field) for field in FIELD.finditer(self.classes[name][1])}]


def _element(name: str) -> str:
    """Return the class of a list's elements, or of a single block."""
    return re.sub(r"List$", "OutputReference", name)


def _attribute(field: re.Match[str], type_: Type) -> Block:
    kinds = {kind: True for kind in ("required", "optional", "computed") if field[kind] == "true"}
    return {"type": type_, **kinds, **({"sensitive": True} if SENSITIVE.search(field["name"]) else {})}


def _provider(text: str) -> Block:
    """Return the provider's block: everything is optional, and each nested block is allowed once."""
    tables = {name.lower(): table for name, table in TABLE.findall(text)}

    def block(table: str) -> Block:
        found: Block = {"attributes": {}, "block_types": {}}
        for entry in ENTRY.finditer(table):
            if entry["block"] == "true":
                inner = block(tables[entry["type"].removesuffix("List").lower()])
                found["block_types"][entry["name"]] = {"nesting_mode": "list", "max_items": 1, "block": inner}
            elif entry["name"] != "alias":  # added by Terraform
                found["attributes"][entry["name"]] = {"type": STORED[entry["type"]], "optional": True}
        return found

    own = OWN_TABLE.search(text)
    assert own
    return block(own[1])


def extract(bindings: Path) -> Block:
    """Read the schema from the archive in the folder of the bindings."""
    schema: Block = {"provider": {}, "resources": {}, "data_sources": {}}
    (archive,) = bindings.glob("_jsii/*.jsii.tgz")
    with tarfile.open(archive) as files:
        for member in files:
            if not re.fullmatch(r"package/lib/[^/]+/index\.js", member.name):
                continue
            stream = files.extractfile(member)
            assert stream
            text = stream.read().decode().partition("\n//# source")[0]
            module = Module({name: (base, body) for name, base, body in CLASS.findall(text)})
            for name, (base, body) in module.classes.items():
                if base == "TerraformProvider":
                    schema["provider"] = _provider(text)
                elif base in ("TerraformResource", "TerraformDataSource"):
                    kind = "resources" if base == "TerraformResource" else "data_sources"
                    found = re.search(r'static tfResourceType = "(\w+)"', body)
                    assert found
                    schema[kind][found[1]] = module.block(name)
    return schema


def load() -> Block:
    """Return the schema of the installed bindings, cached in the environment."""
    spec = importlib.util.find_spec("cdktn_provider_azurerm")
    if spec is None or spec.origin is None:
        sys.exit("cdktn-provider-azurerm is not installed: run `make install`.")
    bindings = Path(spec.origin).parent
    (archive,) = bindings.glob("_jsii/*.jsii.tgz")
    reader = hashlib.sha256(Path(__file__).read_bytes()).hexdigest()[:8]
    kept = Path(sys.prefix) / f"{archive.name.removesuffix('.jsii.tgz')}-{reader}.json"
    if not kept.is_file():
        with tempfile.NamedTemporaryFile("w", dir=kept.parent, delete=False) as file:
            json.dump(extract(bindings), file)
        Path(file.name).replace(kept)  # atomic: another process may be reading it
    schema: Block = json.loads(kept.read_text(encoding="utf-8"))
    return schema
