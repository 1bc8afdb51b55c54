"""HTML fragments. Functions take plain text and return escaped HTML."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from html import escape

CODE = re.compile(r"`([^`]+)`")
ITEM = re.compile(r"(?:\d+\.|-) (.+)")


def code(text: object) -> str:
    """Format text as code."""
    return f"<code>{escape(str(text))}</code>"


def link(href: str, content: str) -> str:
    """Link to ``href``; ``content`` is HTML."""
    return f'<a href="{escape(href)}">{content}</a>'


def inline(text: str) -> str:
    """Escape text and format spans in backticks as code."""
    return CODE.sub(r"<code>\1</code>", escape(text, quote=False))


def prose(text: str) -> str:
    """Format paragraphs and lists, which blank lines separate."""
    return "\n".join(_block(block) for block in re.split(r"\n\s*\n", text.strip()) if block)


def _block(block: str) -> str:
    lines = block.splitlines()
    items = [match[1] for line in lines if (match := ITEM.fullmatch(line.strip()))]
    if len(items) == len(lines):
        name = "ol" if lines[0].lstrip()[0].isdigit() else "ul"
        return f"<{name}>{''.join(f'<li>{inline(item)}</li>' for item in items)}</{name}>"
    return f"<p>{inline(' '.join(line.strip() for line in lines))}</p>"


def table(caption: str, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Build a table with a caption for screen readers. Cells are HTML; the first of a row is its header.

    The wrapper scrolls sideways on narrow screens and takes the keyboard focus, so that keys can scroll it.
    """
    head = "".join(f'<th scope="col">{escape(column)}</th>' for column in columns)
    body = "\n".join(f"<tr>{_cells(row)}</tr>" for row in rows)
    return (
        f'<div class="table" role="region" tabindex="0" aria-label="{escape(caption)}">\n<table>\n'
        f'<caption class="hidden">{escape(caption)}</caption>\n'
        f"<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody>\n</table>\n</div>"
    )


def _cells(row: Sequence[str]) -> str:
    first, *others = row
    return f'<th scope="row">{first}</th>' + "".join(f"<td>{cell}</td>" for cell in others)


def listing(label: str, text: str) -> str:
    """Build a block of preformatted code."""
    return (
        f'<pre role="region" tabindex="0" aria-label="{escape(label)}"><code>{escape(text, quote=False)}</code></pre>'
    )
