"""Generates omsd/pb/v1 from proto/omsd/v1; with --check compares instead of writing and exits 1 on drift.

Needs grpcio-tools and mypy-protobuf in the environment of this interpreter.
"""

from __future__ import annotations

import argparse
import filecmp
import re
import sys
import tempfile
from pathlib import Path

from grpc_tools import protoc  # type: ignore[import-untyped]

ROOT = Path(__file__).resolve().parent.parent
PROTO = ROOT / "proto"
TARGET = ROOT / "omsd" / "pb" / "v1"
PACKAGE_LINE = '"""Generated from proto/omsd/v1 by scripts/generate_proto.py; never edited."""\n'

# protoc names modules after the proto's path (omsd/v1); ours live in omsd.pb.v1.
_MODULE = re.compile(r"\bomsd\.v1(?= import |\.\w+_pb2)")


def generate(into: Path) -> None:
    """`into` holds exactly the generated package. Raises SystemExit with protoc's status if it fails."""
    protos = sorted(str(path) for path in PROTO.glob("omsd/v1/*.proto"))
    services = [path for path in protos if "\nservice " in Path(path).read_text()]
    with tempfile.TemporaryDirectory() as folder:
        _protoc(f"--python_out={folder}", f"--mypy_out=quiet:{folder}", *protos)
        _protoc(f"--grpc_python_out={folder}", f"--mypy_grpc_out=quiet:{folder}", *services)
        into.mkdir(parents=True, exist_ok=True)
        for old in into.glob("*.py*"):
            old.unlink()
        for made in sorted((Path(folder) / "omsd" / "v1").iterdir()):
            (into / made.name).write_text(_MODULE.sub("omsd.pb.v1", made.read_text()))
        (into / "__init__.py").write_text(PACKAGE_LINE)


def _protoc(*arguments: str) -> None:
    # The plugins are console scripts beside this interpreter, whose folder need not be on PATH.
    scripts = Path(sys.executable).parent
    plugins = [
        f"--plugin=protoc-gen-{name}={scripts / f'protoc-gen-{name}'}" for name in ("mypy", "mypy_grpc")
    ]
    status = protoc.main(["protoc", f"-I{PROTO}", *plugins, *arguments])
    if status != 0:
        raise SystemExit(status)


def drift() -> list[str]:
    """Names of generated files that differ from what the protos would give."""
    with tempfile.TemporaryDirectory() as folder:
        fresh = Path(folder)
        generate(fresh)
        made = {path.name for path in fresh.glob("*.py*")}
        kept = {path.name for path in TARGET.glob("*.py*")}
        _, differing, _ = filecmp.cmpfiles(fresh, TARGET, sorted(made & kept), shallow=False)
        return sorted({*differing, *(made ^ kept)})


def main() -> int:
    """Write, or with --check compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="compare only, exit 1 on drift")
    if not parser.parse_args().check:
        generate(TARGET)
        return 0
    names = drift()
    for name in names:
        sys.stderr.write(f"omsd/pb/v1/{name} is not what proto/ says; run scripts/generate_proto.py\n")
    return 1 if names else 0


if __name__ == "__main__":
    sys.exit(main())
