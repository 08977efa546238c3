"""How the story looks: acts, lines, blocks and messages, on a terminal or in a file."""

import sys
import time
from collections.abc import Iterable
from contextlib import AbstractContextManager
from typing import Final

from rich import box
from rich.console import Console
from rich.padding import Padding
from rich.panel import Panel
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

COLUMNS_MAX: Final = 100
LABEL_COLUMNS: Final = 10
STYLES: Final = {
    "accepted": "green",
    "approved": "green",
    "warned": "yellow",
    "declined": "yellow",
    "cancelled": "magenta",
    "pending-approval": "cyan",
    "dead letter": "red",
    "low": "red",
    "resolved": "green",
}


def console() -> Console:
    """Standard output, at most 100 columns wide, whatever it is connected to."""
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(encoding="utf-8", errors="replace")
    found = Console(highlight=False)
    found.width = min(found.width, COLUMNS_MAX) if found.is_terminal else COLUMNS_MAX
    return found


class Teller:
    """Writes the story; every text is taken as it is, without markup."""

    def __init__(self, out: Console) -> None:
        self.out = out
        self.began = time.monotonic()
        self._acts = 0

    def title(self, text: str) -> None:
        self.out.print(Text(text, style="bold"))

    def act(self, text: str) -> None:
        """A new part of the story, with the time since it began."""
        self._acts += 1
        seconds = f"{time.monotonic() - self.began:.0f} s"
        heading = Text(f"\n{self._acts}  {text}", style="bold")
        heading.append(f"   {seconds}", style="dim")
        self.out.print(heading)

    def line(self, text: str, style: str = "") -> None:
        self._indented(Text(text, style=style), 3)

    def blank(self) -> None:
        self.out.print()

    def heading(self, clock: str, text: str) -> None:
        """The first line of a block: when, and what."""
        self.out.print()
        grid = Table.grid(padding=(0, 2, 0, 0))
        grid.add_row(Text(clock, style="dim"), Text(text))
        self.out.print(Padding(grid, (0, 0, 0, 3), expand=False))

    def said(self, who: str, outcome: str, text: str) -> None:
        """A line of a block: who decided, what, and why."""
        line = Text(f"{who:<{LABEL_COLUMNS}} ", style="dim")
        line.append(outcome, style=STYLES.get(outcome, "bold"))
        line.append(f": {text}" if text else "", style="default")
        self._hanging(line)

    def message(self, title: str, text: str) -> None:
        """A message as a person gets it."""
        panel = Panel(Text(text), title=Text(title), title_align="left", box=box.ROUNDED, padding=(0, 1))
        self.out.print(Padding(panel, (0, 4, 0, 10), expand=False))

    def table(self, columns: Iterable[str], rows: Iterable[Iterable[str | Text]]) -> None:
        """A table without lines."""
        table = Table(*columns, box=None, pad_edge=False, header_style="dim")
        for row in rows:
            table.add_row(*row)
        self.out.print(Padding(table, (0, 0, 0, 3), expand=False))

    def waiting(self, text: str) -> AbstractContextManager[object]:
        """A spinner where somebody watches, nothing elsewhere."""
        return self.out.status(text)

    def progress(self) -> Progress:
        """A line with counts below the story, where somebody watches."""
        columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
        return Progress(*columns, console=self.out, transient=True, disable=not self.out.is_terminal)

    def _indented(self, text: Text, columns: int) -> None:
        self.out.print(Padding(text, (0, 0, 0, columns), expand=False))

    def _hanging(self, text: Text) -> None:
        """Long lines go on under their own text, not under the label."""
        grid = Table.grid(padding=0)
        grid.add_column(width=LABEL_COLUMNS + 1)
        grid.add_column()
        grid.add_row(text[: LABEL_COLUMNS + 1], text[LABEL_COLUMNS + 1 :])
        self.out.print(Padding(grid, (0, 0, 0, 10), expand=False))
