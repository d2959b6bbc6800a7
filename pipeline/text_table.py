"""Tables and lists as plain text."""

from collections.abc import Collection, Sequence


def table(
    rows: Sequence[Sequence[str]], *, left: Collection[int] = (0,), rule: bool = False
) -> list[str]:
    """Columns of equal width: those of `left` start at the left, the others end at the right.

    Args:
      rows: The head, and the body; without a body there is no table.
      left: Numbers of the columns.
      rule: Whether a line of hyphens follows the head.
    """
    if len(rows) < 2:
        return []
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    ruled = [["-" * width for width in widths]] if rule else []
    return [
        "  ".join(
            cell.ljust(width) if i in left else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in [rows[0], *ruled, *rows[1:]]
    ]


def some_lines(items: Sequence[object], *, most: int, number: bool = False) -> list[str]:
    """The first items, one a line, and how many there are besides."""
    shown = items[:most]
    lines = [f"  {i}. {item}" if number else f"  {item}" for i, item in enumerate(shown, 1)]
    if len(items) > most:
        lines.append(f"  and {len(items) - most} more: --json writes all of them")
    return lines
