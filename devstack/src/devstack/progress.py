"""What starts, shown while it starts: a line per part that is ready, and the rest on a moving last line."""

from types import TracebackType

from rich.console import Console
from rich.markup import escape
from rich.status import Status


class Progress:
    """A context manager; `tell` may be called at any time."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._doing: dict[str, str] = {}
        self._status: Status | None = None

    def __enter__(self) -> None:
        self._doing.clear()
        if self._console.is_terminal:
            self._status = self._console.status("Starting ...")
            self._status.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._status is not None:
            self._status.stop()
            self._status = None

    def warn(self, part: str, what: str) -> None:
        """Show what went wrong without ending the work."""
        self._console.print(f"  [yellow]![/] {part:<10} {escape(what)}", highlight=False)

    def tell(self, part: str, doing: str) -> None:
        """Show what a part is doing."""
        if doing.startswith("ready"):
            self._doing.pop(part, None)
            self._console.print(f"  [green]✓[/] {part:<10} {escape(doing)}", highlight=False)
        else:
            self._doing[part] = doing
        if self._status is not None:
            listed = ", ".join(f"{name} ({what})" for name, what in self._doing.items())
            self._status.update(escape(listed or "Starting ..."))
