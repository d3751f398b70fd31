"""Programs that a bench runs beside itself, so that what measures does not slow down what is measured."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

_GRACE_SECONDS = 20.0


@dataclass(frozen=True)
class Program:
    """A running one."""

    process: asyncio.subprocess.Process
    log: Path

    @property
    def pid(self) -> int:
        """Its number."""
        return self.process.pid

    def alive(self) -> bool:
        """Tell whether it still runs."""
        return self.process.returncode is None


@asynccontextmanager
async def program(command: Sequence[str], env: Mapping[str, str], log: Path) -> AsyncIterator[Program]:
    """Run a program within the block; what it says goes to `log`."""
    with log.open("ab") as output:
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=output,
            stderr=asyncio.subprocess.STDOUT,
            env={**os.environ, **env},
        )
    try:
        yield Program(process, log)
    except BaseException as error:
        error.add_note(f"the last words of {command[0]}:\n{_last_words(log)}")
        raise
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
            try:
                async with asyncio.timeout(_GRACE_SECONDS):
                    await process.wait()
            except TimeoutError:
                process.kill()
                await process.wait()


def _last_words(log: Path) -> str:
    return log.read_text()[-2_000:]
