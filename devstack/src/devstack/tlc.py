"""TLC, the model checker of TLA+: one jar from Maven Central, on the Java that is installed."""

import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from devstack import jars, tool
from devstack.java import java

_LIST = Path(__file__).with_name("tlc-jars.sha256")
_VIOLATED = re.compile(r"Error: Invariant (\w+) is violated|Error: (Temporal properties) were violated")
_STATES = re.compile(r"(\d+) distinct states found")
_STEP = re.compile(r"^State \d+: <(\w+)", re.MULTILINE)


@dataclass(frozen=True)
class Verdict:
    """What TLC found: the name of what does not hold, or None; the actions that lead there; how many states it saw."""

    violated: str | None
    steps: Sequence[str]
    states: int
    output: str


@dataclass(frozen=True)
class Question:
    """What to check of a specification, as a configuration of TLC says it."""

    constants: Mapping[str, str]
    invariants: Sequence[str]
    specification: str = "Spec"
    properties: Sequence[str] = ()
    symmetry: str | None = None

    def text(self) -> str:
        """Return it in TLC's words. That nothing more can happen is no error: what may happen is bounded."""
        lines = [f"SPECIFICATION {self.specification}", "CHECK_DEADLOCK FALSE"]
        lines += [f"INVARIANT {name}" for name in self.invariants]
        lines += [f"PROPERTY {name}" for name in self.properties]
        lines += [f"SYMMETRY {self.symmetry}"] if self.symmetry else []
        return "\n".join([*lines, "CONSTANTS", *(f"  {name} = {value}" for name, value in self.constants.items())])


async def check(specification: Path, question: Question, work: Path, *, cache: Path) -> Verdict:
    """Check a specification in the empty folder `work`. Raises `ToolFailed` if it cannot be read."""
    folder = await jars.fetch("tlc", _LIST, cache)
    shutil.copy(specification, work)
    (work / "question.cfg").write_text(question.text())
    memory = ("-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xmx1g", f"-Djava.io.tmpdir={work}")
    options = ("-workers", "1", "-nowarning", "-config", "question.cfg", specification.name)
    try:
        output = await tool.run((java(), *memory, "-cp", str(folder / "*"), "tlc2.TLC", *options), cwd=work)
    except tool.ToolFailed as failed:
        found = _VIOLATED.search(failed.output)
        if found is None:
            raise
        return _verdict(found.group(1) or found.group(2), failed.output)
    return _verdict(None, output)


def _verdict(violated: str | None, output: str) -> Verdict:
    return Verdict(violated, _STEP.findall(output)[1:], int(_STATES.findall(output)[-1]), output)
