"""The import walls: which room may import which, and which library lives only where. The tables below are the rule."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
LEAVES = frozenset({"aio", "telemetry", "clock"})
EVERYTHING = frozenset({"*"})

# Room -> rooms of ours that it may import, besides itself. A deeper room stands before the one around it.
MAY_IMPORT: dict[str, frozenset[str]] = {
    "domain": frozenset(),
    "ports": frozenset({"domain"}),
    "aio": frozenset({"domain"}),
    "telemetry": frozenset({"domain"}),
    "clock": frozenset({"domain", "ports"}),
    "config": frozenset({"domain"}),
    "accounts": frozenset({"domain"}),
    "wire": LEAVES,
    "engine": frozenset({"ports", "domain"}) | LEAVES,
    "drivers": frozenset({"ports", "domain", "wire"}) | LEAVES,
    "store": frozenset({"ports", "domain"}) | LEAVES,
    "executors": frozenset({"engine", "ports", "domain"}) | LEAVES,
    "scheduler": frozenset({"ports", "domain"}) | LEAVES,
    "service": frozenset({"scheduler", "ports", "domain"}) | LEAVES,
    "pb": frozenset(),
    "api.grpc": frozenset({"service", "domain", "pb"}) | LEAVES,
    "api.connections": LEAVES,
    "api.rest": frozenset({"api.connections", "service", "domain"}) | LEAVES,
    "api.events": frozenset({"api.connections", "service", "domain"}) | LEAVES,
    "api": frozenset(),
    "cli.serve": EVERYTHING,
    "cli": frozenset({"pb", "config", "accounts", "domain", "demo"}),
    "demo": frozenset({"cli", "config", "domain", "pb"}),
    "__main__": frozenset({"cli"}),
    "daemon": EVERYTHING,
    "workerd": frozenset({"workerparts"}),
    "workerparts": EVERYTHING,
}

# Room -> the only rooms that may import it.
ONLY_FROM: dict[str, frozenset[str]] = {
    "daemon": frozenset({"cli.serve"}),
    "workerd": frozenset(),  # started with -m in a worker process
    "workerparts": frozenset({"workerd"}),
    "cli.serve": frozenset({"cli"}),
    "demo": frozenset({"cli"}),
}

# Library -> the only rooms that may import it.
LIVES_IN: dict[str, frozenset[str]] = {
    "httptools": frozenset({"wire"}),
    "aiobotocore": frozenset({"drivers", "demo"}),
    "botocore": frozenset({"drivers", "demo"}),
    "boto3": frozenset(),
    "aiosqlite": frozenset({"store"}),
    "sqlite3": frozenset({"store"}),
    "cryptography": frozenset({"store"}),
    "msgspec": frozenset({"executors", "api.rest", "api.events", "config", "accounts"}),
    "nats": frozenset({"executors"}),
    "grpc": frozenset({"api.grpc", "cli", "pb"}),
    "grpc_health": frozenset({"api.grpc", "cli"}),
    "grpc_reflection": frozenset({"api.grpc"}),
    "grpc_status": frozenset({"api.grpc", "cli"}),
    "google": frozenset({"api.grpc", "cli", "pb"}),
    "aiohttp": frozenset({"api.rest", "api.events"}),
    "prometheus_client": frozenset({"telemetry"}),
    "structlog": frozenset({"telemetry"}),
    "awscrt": frozenset({"engine", "drivers", "demo"}),
    "fastcrc": frozenset({"engine", "drivers", "demo"}),
    "typer": frozenset({"cli"}),
    "click": frozenset({"cli"}),
    "rich": frozenset({"cli", "demo"}),
    "uvloop": frozenset({"daemon", "workerparts"}),
}

# Rooms that import nothing but the standard library and ours.
STDLIB_ONLY = frozenset({"domain", "ports"})

# The domain is pure: no loop, no clock, no chance, no files, no log.
IMPURE = frozenset(
    {
        "asyncio",
        "io",
        "logging",
        "os",
        "pathlib",
        "random",
        "secrets",
        "socket",
        "subprocess",
        "sys",
        "threading",
    }
    | {"time", "uuid", "warnings"}
)

# Every task is born in a TaskGroup; these make one that nobody waits for.
BARE_TASKS = frozenset({"ensure_future", "run_coroutine_threadsafe"})


@dataclass(frozen=True, slots=True)
class Import:
    """One imported module, where."""

    importer: str
    imported: str
    line: int


def modules() -> dict[str, Path]:
    """Dotted name -> file of every module of ours."""
    found = {}
    for path in sorted((ROOT / "omsd").rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


MODULES = modules()


def room_of(module: str) -> str:
    """The room a module of ours is in: the first row of the table that holds it; "" is the package itself."""
    inner = module.removeprefix("omsd").removeprefix(".")
    for room in sorted(MAY_IMPORT, key=len, reverse=True):
        if inner == room or inner.startswith(room + "."):
            return room
    return inner


def imports_of(module: str, source: str) -> Iterator[Import]:
    """Every import of a module, also those inside functions and under TYPE_CHECKING."""
    is_package = module in MODULES and MODULES[module].name == "__init__.py"
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(module, alias.name, node.lineno)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                keep = module.split(".")[: len(module.split(".")) - node.level + is_package]
                base = ".".join([*keep, base] if base else keep)
            for alias in node.names:
                inner = f"{base}.{alias.name}"
                is_module = inner in MODULES or (base == "omsd" and alias.name in MAY_IMPORT)
                yield Import(module, inner if is_module else base, node.lineno)


def breach(found: Import) -> str | None:
    """What is wrong with an import, None if nothing is."""
    here = room_of(found.importer)
    if found.imported.partition(".")[0] != "omsd":
        return _library_breach(here, found.imported)
    there = room_of(found.imported)
    if there in (here, ""):
        return None
    if there in ONLY_FROM and here not in ONLY_FROM[there]:
        return f"{there} may be imported only by {sorted(ONLY_FROM[there]) or 'nobody'}"
    allowed = MAY_IMPORT.get(here, frozenset())
    if there in allowed or allowed == EVERYTHING or there in ONLY_FROM:
        return None
    return f"{here or 'omsd'} may not import {there}"


def _library_breach(here: str, imported: str) -> str | None:
    library = imported.partition(".")[0]
    if here == "domain" and library in IMPURE:
        return f"domain is pure and may not import {library}"
    if here in STDLIB_ONLY and library not in sys.stdlib_module_names:
        return f"{here} imports only the standard library, not {library}"
    homes = LIVES_IN.get(library)
    # Serving is a command, so it may show itself as the other commands do.
    if homes is None or here in homes or (here == "cli.serve" and "cli" in homes):
        return None
    return f"{library} lives only in {sorted(homes) or 'no room'}"


def breaches_in(module: str, source: str, path: str) -> list[str]:
    """file:line and reason of each wrong import."""
    return [
        f"{path}:{found.line}: {reason}"
        for found in imports_of(module, source)
        if (reason := breach(found)) is not None
    ]


def bare_tasks_in(source: str, path: str) -> list[str]:
    """file:line of each task made outside a group."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
            continue
        name, owner = node.func.attr, ast.unparse(node.func.value)
        if name in BARE_TASKS or (name == "create_task" and (owner == "asyncio" or "loop" in owner)):
            found.append(f"{path}:{node.lineno}: a bare task; bare tasks live only in omsd/aio.py")
    return found


def test_no_room_imports_through_a_wall() -> None:
    found = [
        line
        for module, path in MODULES.items()
        for line in breaches_in(module, path.read_text(), str(path.relative_to(ROOT)))
    ]
    assert not found, "\n" + "\n".join(found)


def test_every_module_stands_in_a_room_of_the_table() -> None:
    homeless = [m for m in MODULES if m != "omsd" and room_of(m) not in MAY_IMPORT]
    assert not homeless, f"no row in MAY_IMPORT for {homeless}"


def test_bare_tasks_are_made_in_aio_alone() -> None:
    found = [
        line
        for module, path in MODULES.items()
        if module != "omsd.aio"
        for line in bare_tasks_in(path.read_text(), str(path.relative_to(ROOT)))
    ]
    assert not found, "\n" + "\n".join(found)


@pytest.mark.parametrize(
    ("module", "source", "reason"),
    [
        ("omsd.domain.plan", "import random", "pure"),
        ("omsd.domain.plan", "import xxhash", "standard library"),
        ("omsd.domain.plan", "from omsd.ports import clock", "domain may not import ports"),
        ("omsd.engine.copy", "from omsd.drivers.s3 import store", "engine may not import drivers"),
        ("omsd.engine.copy", "from ..store import sqlite", "engine may not import store"),
        ("omsd.store.sqlite", "def f():\n    import omsd.engine.copy", "store may not import engine"),
        ("omsd.scheduler.queue", "import omsd.executors.local", "scheduler may not import executors"),
        ("omsd.api.grpc.server", "from omsd.api.rest import app", "api.grpc may not import api.rest"),
        ("omsd.api.rest.app", "from omsd.pb.v1 import task_pb2", "api.rest may not import pb"),
        ("omsd.cli.main", "from omsd import daemon", "daemon may be imported only by"),
        ("omsd.cli.main", "from omsd.service import views", "cli may not import service"),
        ("omsd.executors.local", "from omsd import workerd", "workerd may be imported only by nobody"),
        ("omsd.engine.copy", "from omsd import config", "engine may not import config"),
        ("omsd.engine.copy", "import uvloop", "uvloop lives only in"),
        ("omsd.service.tasks", "import aiosqlite", "aiosqlite lives only in"),
        ("omsd.wire.pool", "from botocore import auth", "botocore lives only in"),
        ("omsd.engine.copy", "import httptools", "httptools lives only in"),
    ],
)
def test_a_breach_is_found(module: str, source: str, reason: str) -> None:
    found = breaches_in(module, source, "file.py")
    assert len(found) == 1
    assert reason in found[0]


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("omsd.domain.plan", "from omsd.domain import model"),
        (
            "omsd.engine.copy",
            "from omsd import aio\nfrom omsd.ports.objectstore import ObjectStore\nimport xxhash",
        ),
        ("omsd.cli.main", "from omsd.cli import serve\nfrom omsd.demo.run import run_demo"),
        ("omsd.cli.serve", "from omsd import daemon\nfrom omsd.config import load"),
        ("omsd.daemon", "import uvloop\nfrom omsd.store import sqlite\nfrom omsd.engine import copy"),
        ("omsd.api.grpc.server", "import grpc\nfrom . import mapping\nfrom omsd.pb.v1 import task_pb2"),
    ],
)
def test_what_the_table_allows_is_no_breach(module: str, source: str) -> None:
    assert breaches_in(module, source, "file.py") == []


def test_a_bare_task_is_found() -> None:
    assert bare_tasks_in("asyncio.create_task(f())", "x.py")
    assert bare_tasks_in("asyncio.ensure_future(f())", "x.py")
    assert bare_tasks_in("asyncio.get_running_loop().create_task(f())", "x.py")
    assert not bare_tasks_in("group.create_task(f())", "x.py")


def needs_at_import(module: str, source: str) -> set[str]:
    """The modules of ours that must be there before this one is: not what functions import, nor what only the type checker sees."""
    tree = ast.parse(source)
    found = [
        node
        for top in tree.body
        if not isinstance(top, ast.FunctionDef | ast.AsyncFunctionDef)
        and not (isinstance(top, ast.If) and "TYPE_CHECKING" in ast.unparse(top.test))
        for node in ast.walk(top)
        if isinstance(node, ast.Import | ast.ImportFrom)
    ]
    wanted = {each.imported for node in found for each in imports_of(module, ast.unparse(node))}
    # A package is there before what is in it.
    wanted |= {name[:dot] for name in wanted for dot, sign in enumerate(name) if sign == "."}
    return {name for name in wanted if name in MODULES and not f"{module}.".startswith(f"{name}.")}


def test_no_modules_need_each_other() -> None:
    """So each of them can be imported first, if it can be imported at all."""
    graph = {module: needs_at_import(module, path.read_text()) for module, path in MODULES.items()}
    assert sum(map(len, graph.values())) > 2 * len(graph)
    list(TopologicalSorter(graph).static_order())  # raises CycleError, which names them


def test_a_circle_of_imports_is_found() -> None:
    assert needs_at_import("omsd.domain.plan", "import omsd.domain.ids\nfrom omsd import aio") == {
        "omsd.domain.ids",
        "omsd.aio",
    }
    assert needs_at_import("omsd.engine.copy", "from omsd.wire import pool") == {
        "omsd.wire",
        "omsd.wire.pool",
    }
    later = "if TYPE_CHECKING:\n    from omsd import aio\ndef f():\n    from omsd import clock"
    assert needs_at_import("omsd.domain.plan", later) == set()
    with pytest.raises(CycleError):
        list(TopologicalSorter({"a": {"b"}, "b": {"a"}}).static_order())


def test_every_module_can_be_imported() -> None:
    code = "import importlib, sys; [importlib.import_module(name) for name in sys.argv[1:]]"
    ran = subprocess.run(
        [sys.executable, "-c", code, *MODULES], cwd=ROOT, capture_output=True, text=True, timeout=110
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_no_file_does_too_much(capsys: pytest.CaptureFixture[str]) -> None:
    sizes = {
        p.relative_to(ROOT): len(p.read_text().splitlines()) for m, p in MODULES.items() if ".pb" not in m
    }
    with capsys.disabled():
        for path, lines in sizes.items():
            if lines > 450:
                print(f"\n{path}: {lines} lines; which second thing does it do?")
    assert not {str(path): lines for path, lines in sizes.items() if lines > 700}
