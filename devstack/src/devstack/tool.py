"""Programs that run to their end: initdb, uv, Maven. Their output is kept for the case that they fail."""

import asyncio
import os
import signal
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from devstack.errors import DevstackError


class ToolFailed(DevstackError):
    """Raised when a program ends with a code other than 0; `output` is all it said."""

    def __init__(self, command: Sequence[str], code: int, output: str) -> None:
        shown = "\n".join(f"  | {line}" for line in output.splitlines()[-20:])
        self.output = output
        super().__init__(f"{Path(command[0]).name} ended with code {code}:\n{shown}")


async def run(
    command: Sequence[str],
    *,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    user: int | None = None,
) -> str:
    """Run a program and return what it said; cancelled, it is killed with all it started."""
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        cwd=cwd,
        env={**os.environ, **(env or {})},
        start_new_session=True,
        user=user,
        group=user,
        extra_groups=None if user is None else (),
    )
    try:
        output, _ = await process.communicate()
    except asyncio.CancelledError:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
        raise
    text = output.decode(errors="replace")
    if process.returncode:
        raise ToolFailed(command, process.returncode, text)
    return text
