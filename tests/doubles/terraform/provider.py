"""azurerm without Azure: a provider that serves the real schema over Terraform's plugin protocol, version 6.

    cd tests; python -m doubles.terraform.provider SOCKET [azurerm_storage_account ...]

Prints TF_REATTACH_PROVIDERS, with which Terraform uses it instead of the registry's provider, and serves until it is
stopped. Given resource types, it serves only these: Terraform requests the whole schema with every command.
"""

import json
import os
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import msgpack
from tf.gen import tfplugin_pb2 as pb

from doubles.terraform.schema import Block, load
from doubles.terraform.values import attributes, filled, read_data, unpack, with_unknowns

ADDRESS = "registry.terraform.io/hashicorp/azurerm"
NESTING = {"single": 1, "list": 2, "set": 3, "map": 4}
# For nearly every type, Azure cannot change these: another value means a replacement.
FIXED = ("name", "location", "resource_group_name")
Message = Any  # protobuf creates its classes at import


def pack(value: Any) -> Message:
    return pb.DynamicValue(msgpack=msgpack.packb(value))


def block_message(block: Block) -> Message:
    return pb.Schema.Block(
        attributes=[
            pb.Schema.Attribute(name=name, **{**attribute, "type": json.dumps(attribute["type"]).encode()})
            for name, attribute in sorted(block["attributes"].items())
        ],
        block_types=[
            pb.Schema.NestedBlock(
                type_name=name,
                block=block_message(nested["block"]),
                nesting=NESTING[nested["nesting_mode"]],
                min_items=nested.get("min_items", 0),
                max_items=nested.get("max_items", 0),
            )
            for name, nested in sorted(block["block_types"].items())
        ],
    )


def path_message(path: tuple[str | int, ...]) -> Message:
    steps = [
        pb.AttributePath.Step(attribute_name=step)
        if isinstance(step, str)
        else pb.AttributePath.Step(element_key_int=step)
        for step in path
    ]
    return pb.AttributePath(steps=steps)


def refusals(block: Block, config: Any) -> list[Message]:
    """Return the plugin SDK's error for each read-only argument: Terraform leaves this check to providers."""
    found = []
    for path, attribute, _ in attributes(block, config):
        if path == ("id",):
            summary, detail = "Invalid or unknown key", ""
        elif attribute.get("computed") and not attribute.get("optional"):
            summary = "Value for unconfigurable attribute"
            detail = (
                f"Can't configure a value for {json.dumps(path[-1])}: its value will be decided automatically based on "
                "the result of applying this configuration."
            )
        else:
            continue
        found.append(pb.Diagnostic(severity=1, summary=summary, detail=detail, attribute=path_message(path)))
    return found


class Provider:
    """The provider's methods, named as in the protocol.

    Parameters
    ----------
    drift :
        A file with what has changed in Azure since, if it exists: resource id -> attribute -> value.
    """

    def __init__(self, schema: Block, drift: Path) -> None:
        self.schema = schema
        self.drift = drift
        self.resources: dict[str, Block] = schema["resources"]
        self.data_sources: dict[str, Block] = schema["data_sources"]

        def messages(blocks: dict[str, Block]) -> dict[str, Message]:
            return {name: pb.Schema(block=block_message(block)) for name, block in blocks.items()}

        self.described = pb.GetProviderSchema.Response(
            provider=pb.Schema(block=block_message(schema["provider"])),
            resource_schemas=messages(self.resources),
            data_source_schemas=messages(self.data_sources),
        )

    def GetProviderSchema(self, _request: Message, _context: object) -> Message:  # noqa: N802
        return self.described

    def ValidateProviderConfig(self, _request: Message, _context: object) -> Message:  # noqa: N802
        return pb.ValidateProviderConfig.Response()

    def ConfigureProvider(self, _request: Message, _context: object) -> Message:  # noqa: N802
        return pb.ConfigureProvider.Response()

    def ValidateResourceConfig(self, request: Message, _context: object) -> Message:  # noqa: N802
        found = refusals(self.resources[request.type_name], unpack(request.config))
        return pb.ValidateResourceConfig.Response(diagnostics=found)

    def ValidateDataResourceConfig(self, request: Message, _context: object) -> Message:  # noqa: N802
        found = refusals(self.data_sources[request.type_name], unpack(request.config))
        return pb.ValidateDataResourceConfig.Response(diagnostics=found)

    def UpgradeResourceState(self, request: Message, _context: object) -> Message:  # noqa: N802
        return pb.UpgradeResourceState.Response(upgraded_state=pb.DynamicValue(json=request.raw_state.json))

    def ReadResource(self, request: Message, _context: object) -> Message:  # noqa: N802
        state = unpack(request.current_state)
        changed = json.loads(self.drift.read_text("utf-8")) if self.drift.is_file() else {}
        if state and state["id"] in changed:
            return pb.ReadResource.Response(new_state=pack({**state, **changed[state["id"]]}))
        return pb.ReadResource.Response(new_state=request.current_state)

    def ReadDataSource(self, request: Message, _context: object) -> Message:  # noqa: N802
        block = self.data_sources[request.type_name]
        return pb.ReadDataSource.Response(state=pack(read_data(request.type_name, block, unpack(request.config))))

    def PlanResourceChange(self, request: Message, _context: object) -> Message:  # noqa: N802
        prior, proposed = unpack(request.prior_state), unpack(request.proposed_new_state)
        if proposed is None:
            return pb.PlanResourceChange.Response(planned_state=request.proposed_new_state)
        if prior is None:
            planned = with_unknowns(self.resources[request.type_name], proposed)
            return pb.PlanResourceChange.Response(planned_state=pack(planned))
        changed = [path_message((name,)) for name in FIXED if prior.get(name) != proposed.get(name)]
        return pb.PlanResourceChange.Response(planned_state=request.proposed_new_state, requires_replace=changed)

    def ApplyResourceChange(self, request: Message, _context: object) -> Message:  # noqa: N802
        planned = unpack(request.planned_state)
        if planned is not None:
            planned = filled(request.type_name, self.resources[request.type_name], planned)
        return pb.ApplyResourceChange.Response(new_state=pack(planned))

    def StopProvider(self, _request: Message, _context: object) -> Message:  # noqa: N802
        return pb.StopProvider.Response()


def handlers(provider: Provider) -> grpc.GenericRpcHandler:
    """Return the protocol's service, bound to the provider's methods."""
    service = pb.DESCRIPTOR.services_by_name["Provider"]
    methods = {
        method.name: grpc.unary_unary_rpc_method_handler(
            getattr(provider, method.name),
            request_deserializer=_class(method.input_type).FromString,
            response_serializer=_class(method.output_type).SerializeToString,
        )
        for method in service.methods
        if hasattr(provider, method.name)
    }
    return grpc.method_handlers_generic_handler(service.full_name, methods)


def _class(descriptor: Any) -> Any:
    """Return the class of a nested message, such as ReadResource.Request."""
    return getattr(getattr(pb, descriptor.containing_type.name), descriptor.name)


def main(socket: str, types: list[str]) -> None:
    schema = load()
    for kind in ("resources", "data_sources"):
        schema[kind] = {name: block for name, block in schema[kind].items() if not types or name in types}
    unlimited = [("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1)]
    server = grpc.server(ThreadPoolExecutor(16), options=unlimited)
    server.add_generic_rpc_handlers((handlers(Provider(schema, Path(f"{socket}.drift.json"))),))
    server.add_insecure_port(f"unix:{socket}")
    server.start()
    address = {"Network": "unix", "String": socket}
    attached = {"Protocol": "grpc", "ProtocolVersion": 6, "Pid": os.getpid(), "Test": True, "Addr": address}
    print(json.dumps({ADDRESS: attached}), flush=True)
    # Standard input closes when the parent ends, even if it is killed.
    threading.Thread(target=lambda: (sys.stdin.read(), server.stop(0))).start()
    server.wait_for_termination()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
