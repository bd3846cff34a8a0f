"""Contracts as plain functions: dispatch by name, JSON arguments, and metadata that says which functions there are.

Names, arguments, results and metadata follow the contract API of the Go, Java and Node shims, so that their clients
can call a contract without knowing its language (fabric-chaincode-node contract-spi; contract-schema.json).
"""

import inspect
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar, get_origin, get_type_hints

from fabric_shim.errors import Rejected
from fabric_shim.response import Response
from fabric_shim.stub import Stub

_SYSTEM_CONTRACT = "org.hyperledger.fabric"
_SCHEMA = "https://hyperledger.github.io/fabric-chaincode-node/main/api/contract-schema.json"
# What a parameter's annotation means on the wire: text and bytes as they are, all else as JSON.
_TYPES: Mapping[object, str] = {
    str: "string",
    bytes: "string",
    bool: "boolean",
    int: "integer",
    float: "number",
    list: "array",
    dict: "object",
}
_AnyFunction = TypeVar("_AnyFunction", bound=Callable[..., Any])


@dataclass(frozen=True, kw_only=True)
class _Function:
    run: Callable[..., Any]
    parameters: Mapping[str, type]
    returns: object
    tag: str

    def describe(self, name: str) -> dict[str, Any]:
        description: dict[str, Any] = {"name": name, "tag": [self.tag]}
        if self.parameters:
            description["parameters"] = [
                {"name": parameter, "schema": {"type": _TYPES[kind]}} for parameter, kind in self.parameters.items()
            ]
        if self.returns in _TYPES:
            description["returns"] = {"type": _TYPES[self.returns]}
        return description


@dataclass
class Contract:
    """A named set of functions, each given the stub and the decoded arguments of a call.

    Register functions with the decorators `submit`, for those that write, and `evaluate`, for those that only read; the
    difference is told to clients, not enforced. Parameters are annotated as str, bytes, bool, int, float, list or
    dict. Text and bytes travel as they are, other values as JSON.
    """

    name: str
    title: str = ""
    version: str = ""
    functions: dict[str, _Function] = field(default_factory=dict, init=False, repr=False)

    def submit(self, function: _AnyFunction) -> _AnyFunction:
        """Register a function that writes, under its own name."""
        self.functions[function.__name__] = _read_signature(function, "submit")
        return function

    def evaluate(self, function: _AnyFunction) -> _AnyFunction:
        """Register a function that only reads, under its own name."""
        self.functions[function.__name__] = _read_signature(function, "evaluate")
        return function


class ContractChaincode:
    """A chaincode of contracts: "name:function" calls one, "function" alone calls the first contract's.

    Args:
        contracts: in the order of their precedence; at least one.
        title: of the chaincode, for its metadata.
        version: of the chaincode, for its metadata.
    """

    def __init__(self, contracts: Sequence[Contract], *, title: str = "", version: str = "") -> None:
        self._default = contracts[0].name
        system = Contract(_SYSTEM_CONTRACT)
        system.functions["GetMetadata"] = _Function(
            run=lambda _stub: self._metadata, parameters={}, returns=str, tag="evaluate"
        )
        self._contracts = {contract.name: contract for contract in (*contracts, system)}
        self._metadata = json.dumps(
            {
                "$schema": _SCHEMA,
                "info": {"title": title, "version": version},
                "contracts": {name: _describe(contract) for name, contract in self._contracts.items()},
                "components": {"schemas": {}},
            }
        )

    def invoke(self, stub: Stub) -> Response:
        """Run the function that the first argument names on the other arguments.

        Raises:
            Rejected: there is no such function, or the arguments do not fit it.
        """
        contract_name, colon, name = stub.function.rpartition(":")
        contract = self._contracts.get(contract_name if colon else self._default)
        function = contract.functions.get(name) if contract else None
        if function is None:
            raise Rejected(f"this chaincode has no function {stub.function!r}")
        if len(stub.parameters) != len(function.parameters):
            wanted = ", ".join(function.parameters) or "none"
            raise Rejected(f"{name} takes {len(function.parameters)} arguments ({wanted}), not {len(stub.parameters)}")
        arguments = [
            _decode(parameter, kind, data)
            for (parameter, kind), data in zip(function.parameters.items(), stub.parameters, strict=True)
        ]
        return Response(payload=_encode(function.run(stub, *arguments)))


def _read_signature(function: Callable[..., Any], tag: str) -> _Function:
    hints = get_type_hints(function)
    names = list(inspect.signature(function).parameters)[1:]
    kinds: dict[str, Any] = {name: get_origin(hints.get(name)) or hints.get(name) for name in names}
    for name, kind in kinds.items():
        if kind not in _TYPES:
            raise TypeError(f"{function.__name__}: parameter {name} is not annotated with a type that JSON has")
    returns = hints.get("return")
    return _Function(run=function, parameters=kinds, returns=get_origin(returns) or returns, tag=tag)


def _describe(contract: Contract) -> dict[str, Any]:
    return {
        "name": contract.name,
        "info": {"title": contract.title, "version": contract.version},
        "transactions": [function.describe(name) for name, function in contract.functions.items()],
    }


def _decode(parameter: str, kind: type, data: bytes) -> Any:
    try:
        if kind is bytes:
            return data
        text = data.decode()
        value = text if kind is str else json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise Rejected(f"argument {parameter} is no {_TYPES[kind]}") from error
    # True is an int to Python, and 1 is a number to JSON.
    fits = type(value) is kind or (kind is float and type(value) is int)
    if not fits:
        raise Rejected(f"argument {parameter} is no {_TYPES[kind]}")
    return value


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is no JSON")


def _encode(result: Any) -> bytes:
    match result:
        case None:
            return b""
        case bytes():
            return result
        case str():
            return result.encode()
        case _:
            # One form alone, since all endorsers must answer with the same bytes.
            text = json.dumps(result, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
            return text.encode()
