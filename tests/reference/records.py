"""The JSON files of references: what they were made with, and one line a record."""

from __future__ import annotations

import json
from pathlib import Path


def write_records(path: Path, about: dict, name: str, records: list[dict]) -> None:
    """Write ``about``, and the records in a list called ``name``."""
    lines = [json.dumps(record, separators=(",", ":")) for record in records]
    head = f'{{"about": {json.dumps(about, indent=1)},\n"{name}": [\n'
    path.write_text(head + ",\n".join(lines) + "\n]}\n")
    print(f"wrote {len(records)} {name} to {path}")
