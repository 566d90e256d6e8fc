"""omsctl in children of one process that has loaded it: what a command says and how it ends, without the start of an interpreter.

A request and an answer are a line of JSON each, on stdin and stdout. Commands run one after the other.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import tempfile
import traceback
from typing import IO, NoReturn

# What the commands load when they run. No channel is opened here: gRPC starts its threads with the first one, in the child.
import omsd.cli.bucket_client
import omsd.cli.client
import omsd.cli.omsctl
import omsd.cli.progress
import omsd.cli.request
import omsd.cli.show
import omsd.cli.sync_client
import omsd.cli.task_client


def main() -> None:
    """Run what is asked for until stdin ends."""
    for line in sys.stdin:
        asked = json.loads(line)
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
            child = os.fork()
            if child == 0:
                _run(asked["arguments"], asked["environ"], out, err)
            code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
            said = [stream.read().decode() for stream in (out, err) if not stream.seek(0)]
        print(json.dumps([code, *said]), flush=True)


def _run(arguments: list[str], environ: dict[str, str], out: IO[bytes], err: IO[bytes]) -> NoReturn:
    code = 1
    try:
        os.environ.clear()
        os.environ.update(environ)
        sys.argv = ["omsctl", *arguments]
        with open(os.devnull, "rb") as nothing:
            for number, stream in enumerate((nothing, out, err)):
                os.dup2(stream.fileno(), number)
        omsd.cli.omsctl.run()
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    except BaseException:
        traceback.print_exc()
    finally:
        with contextlib.suppress(OSError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    main()
