"""Formulas as MathML when the pages are built: browsers show them without any script."""

from __future__ import annotations

import html
import re
from typing import Any

from latex2mathml.converter import convert

FORMULA = re.compile(
    r'<(span|div) class="arithmatex">\\[(\[](.*?)\\[)\]]</\1>', re.DOTALL
)  # what pymdownx.arithmatex makes with generic: true


def on_page_content(page_html: str, **_: Any) -> str:
    """Called by mkdocs for the body of every page."""

    def replace(match: re.Match[str]) -> str:
        tag, source = match.groups()
        return convert(html.unescape(source), display="block" if tag == "div" else "inline")

    return FORMULA.sub(replace, page_html)
