"""The houses keep to the imports that the design allows, and the rules to what every endorser computes alike."""

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = {
    "fabric_gateway": ROOT / "orchestrator" / "fabric_gateway",
    "fabric_shim": ROOT / "chaincode" / "fabric_shim",
    "wattpool": ROOT / "orchestrator" / "wattpool",
    "wattpool_chaincode": ROOT / "chaincode" / "wattpool_chaincode",
    "wattpool_meter": ROOT / "meter-agent" / "wattpool_meter",
    "wattpool_network": ROOT / "network" / "wattpool_network",
}
# What a package may import of the others.
ALLOWED = {
    "fabric_gateway": (),
    "fabric_shim": (),
    "wattpool": ("fabric_gateway", "wattpool_chaincode", "wattpool_meter", "wattpool_network"),
    "wattpool_chaincode": (),
    "wattpool_meter": ("wattpool_chaincode.records", "wattpool_chaincode.market"),
    "wattpool_network": (
        "fabric_gateway",
        "wattpool_chaincode.context",
        "wattpool_chaincode.organisations",
        "wattpool_chaincode.records",
    ),
}
# The rules' one door to Fabric: it may import the shim, and is no rule itself.
ENTRY_POINT = "wattpool_chaincode.fabric"
# Distributions that are named otherwise than what they are imported as.
DISTRIBUTIONS = {
    "fabric_protos": "hyperledger_fabric_protos",
    "google": "protobuf",
    "grpc": "grpcio",
    "yaml": "pyyaml",
}
# Verification shares with the ledgers what a block is and how a peer is asked, and nothing of what writes a block.
VERIFY_MAY_IMPORT = {
    "wattpool.ledgers",
    "wattpool.ledgers.block",
    "wattpool.ledgers.certificates",
    "wattpool.ledgers.fabric_blocks",
    "wattpool.ledgers.fabric_client",
    "wattpool.ledgers.policies",
    "wattpool.ledgers.port",
}
# Clock, chance, environment and the outside world: what two endorsers may see differently.
IMPURE_MODULES = set(
    """
    asyncio atexit calendar concurrent ctypes getpass glob http importlib io locale logging mmap multiprocessing os
    pathlib pickle platform queue random sched secrets select selectors shelve shutil signal socket sqlite3 ssl
    subprocess sys tempfile threading time timeit urllib uuid warnings weakref zoneinfo
    """.split()  # noqa: SIM905 -- forty lines of one word each say no more
)
IMPURE_BUILTINS = {"__import__", "breakpoint", "eval", "exec", "float", "hash", "id", "input", "open", "print"}
IMPURE_METHODS = {"generate_private_key", "now", "today", "utcfromtimestamp", "utcnow"}


def modules(package: str) -> dict[str, ast.Module]:
    """Return the parsed modules of a package by dotted name."""
    folder = PACKAGES[package]
    found = {}
    for path in sorted(folder.rglob("*.py")):
        parts = (package, *path.relative_to(folder).with_suffix("").parts)
        found[".".join(parts).removesuffix(".__init__")] = ast.parse(path.read_text(), filename=str(path))
    return found


def imports(module: ast.Module) -> Iterator[str]:
    """Yield what a module imports, wherever it does; `from a import b` may mean a module, so it yields both."""
    for node in ast.walk(module):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            assert node.module is not None
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def stands_under(name: str, *roots: str) -> bool:
    return any(name == root or name.startswith(f"{root}.") for root in roots)


def impurities(module: ast.Module) -> Iterator[str]:
    """Yield what makes a module's answers depend on more than its arguments, or inexact."""
    for name in imports(module):
        if name.partition(".")[0] in IMPURE_MODULES:
            yield f"import of {name}"
    for node in ast.walk(module):
        match node:
            case ast.Call(func=ast.Name(id=name)) if name in IMPURE_BUILTINS:
                yield f"line {node.lineno}: call of {name}"
            case ast.Call(func=ast.Attribute(attr=name)) if name in IMPURE_METHODS:
                yield f"line {node.lineno}: call of {name}"
            case ast.Call(func=ast.Attribute(attr="fromtimestamp"), args=[_], keywords=[]):
                yield f"line {node.lineno}: local time"
            case ast.Constant(value=float()) | ast.BinOp(op=ast.Div()) | ast.AugAssign(op=ast.Div()):
                yield f"line {node.lineno}: a float"
            case ast.For(iter=over) | ast.comprehension(iter=over) if is_set(over):
                yield f"line {over.lineno}: iteration over a set"


def is_set(node: ast.expr) -> bool:
    match node:
        case ast.Set() | ast.SetComp() | ast.Call(func=ast.Name(id="set" | "frozenset")):
            return True
        case _:
            return False


@pytest.mark.parametrize("package", PACKAGES)
def test_a_package_imports_only_the_houses_it_may(package: str) -> None:
    wrong = [
        f"{module} imports {name}"
        for module, tree in modules(package).items()
        for name in imports(tree)
        if name.startswith(tuple(PACKAGES)) and not stands_under(name, package, *ALLOWED[package])
        if not (module == ENTRY_POINT and stands_under(name, "fabric_shim"))
    ]
    assert wrong == []


@pytest.mark.parametrize("package", PACKAGES)
def test_a_package_declares_what_it_imports(package: str) -> None:
    project = tomllib.loads((PACKAGES[package] / "pyproject.toml").read_text())["project"]
    extras = [extra for group in project.get("optional-dependencies", {}).values() for extra in group]
    declared = {
        re.split(r"[>=<\[]", dependency)[0].replace("-", "_") for dependency in project["dependencies"] + extras
    }
    imported = {name.partition(".")[0] for tree in modules(package).values() for name in imports(tree)}
    needed = {DISTRIBUTIONS.get(name, name) for name in imported - set(sys.stdlib_module_names) - {package}}
    assert needed <= declared


def test_the_rules_need_cryptography_alone() -> None:
    project = tomllib.loads((PACKAGES["wattpool_chaincode"] / "pyproject.toml").read_text())["project"]
    assert [dependency.partition(">")[0] for dependency in project["dependencies"]] == ["cryptography"]


def test_the_rules_use_no_clock_chance_environment_or_float() -> None:
    rules = {module: tree for module, tree in modules("wattpool_chaincode").items() if module != ENTRY_POINT}
    found = {module: list(impurities(tree)) for module, tree in rules.items()}
    assert {module: what for module, what in found.items() if what} == {}


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("import time", ["import of time"]),
        ("from os import urandom", ["import of os", "import of os.urandom"]),
        ("def f():\n import random", ["import of random"]),
        ("datetime.now(UTC)", ["line 1: call of now"]),
        ("datetime.fromtimestamp(0)", ["line 1: local time"]),
        ("datetime.fromtimestamp(0, UTC)", []),
        ("open('x')", ["line 1: call of open"]),
        ("period.open(context)", []),
        ("hash('x')", ["line 1: call of hash"]),
        ("a = 1.5", ["line 1: a float"]),
        ("a = b / c", ["line 1: a float"]),
        ("a = b // c", []),
        ("for a in set(b):\n pass", ["line 1: iteration over a set"]),
        ("[a for a in {1, 2}]", ["line 1: iteration over a set"]),
        ("for a in sorted(set(b)):\n pass", []),
    ],
)
def test_an_impurity_is_found(source: str, expected: list[str]) -> None:
    assert list(impurities(ast.parse(source))) == expected


def test_verification_reaches_nothing_of_the_writer() -> None:
    ours = modules("wattpool")
    reached = {module for module in ours if stands_under(module, "wattpool.verify")}
    assert reached
    ahead = sorted(reached)
    while ahead:
        module = ahead.pop()
        # Importing a module runs the packages above it, too.
        found = {module.rpartition(".")[0], *imports(ours[module])} & set(ours) - reached
        reached |= found
        ahead += found
    of_ledgers = {module for module in reached if stands_under(module, "wattpool.ledgers")}
    assert of_ledgers <= VERIFY_MAY_IMPORT
