"""Tables become lines that can be read and found one by one: every cell stands behind the name of its column."""

from collections.abc import Iterable, Sequence


def lines(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A line a row, "column: cell; column: cell"; empty cells are left out. Without a header "cell | cell".

    A table that is only a header gives the header as its one row.
    """
    names = [_flat(name) for name in header]
    found = [line for row in rows if (line := _line(names, [_flat(cell) for cell in row]))]
    return "\n".join(found) if found or not any(names) else " | ".join(name for name in names if name)


def table(cells: Sequence[Sequence[str]]) -> str:
    """A table of a document as lines; its first row names the columns when it fills all of them and there are several.
    "" when no cell has text."""
    filled = [row for row in cells if any(cell.strip() for cell in row)]
    if not filled:
        return ""
    width = max(len(row) for row in filled)
    headed = len(filled) > 1 and width > 1 and len(filled[0]) == width and all(filled[0])
    return lines(filled[0], filled[1:]) if headed else lines((), filled)


def _line(names: Sequence[str], cells: Sequence[str]) -> str:
    if not any(names):
        return " | ".join(cells) if any(cells) else ""
    named = zip(cells, [*names, *[""] * len(cells)], strict=False)
    return "; ".join(f"{name}: {cell}" if name else cell for cell, name in named if cell)


def _flat(cell: str) -> str:
    return " ".join(cell.split())
