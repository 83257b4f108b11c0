"""Sphinx's roles in docstrings, as in :class:`~ase_mlseqm.MLSEQM`, which mkdocstrings prints."""

from __future__ import annotations

import re
from typing import Any

ROLE = re.compile(r":(?:attr|class|data|exc|func|meth|mod):<code>(~?)([\w.]+)</code>")


def on_page_content(page_html: str, **_: Any) -> str:
    """Called by mkdocs for the body of every page; of a name with a tilde the end is left."""
    return ROLE.sub(lambda found: f"<code>{_name(*found.groups())}</code>", page_html)


def _name(tilde: str, target: str) -> str:
    return target.rpartition(".")[2] if tilde else target
