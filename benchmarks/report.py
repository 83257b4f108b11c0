"""Tables that are printed and, at the end, written to a file."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path


class Report:
    """Markdown text, printed as it grows."""

    def __init__(self) -> None:
        self.parts: list[str] = []

    def text(self, text: str) -> None:
        """Add a paragraph."""
        print(f"\n{text}", flush=True)
        self.parts.append(text)

    def table(self, title: str, header: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
        """Add a titled table; the first column is aligned left, all others right."""
        self.text(f"**{title}**\n\n{markdown(header, rows)}")

    def write(self, path: Path | None) -> None:
        """Write everything to a file."""
        if path is not None:
            path.write_text("\n\n".join(self.parts) + "\n")


def markdown(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A markdown table whose columns are padded to equal width."""
    lines = [[str(cell) for cell in row] for row in (header, *rows)]
    widths = [max(len(line[k]) for line in lines) for k in range(len(header))]

    def joined(cells: Sequence[str]) -> str:
        first, *others = (
            cell.ljust(width) if k == 0 else cell.rjust(width)
            for k, (cell, width) in enumerate(zip(cells, widths, strict=True))
        )
        return "| " + " | ".join([first, *others]) + " |"

    rule = "|".join("-" * (width + 1) + ("-" if k == 0 else ":") for k, width in enumerate(widths))
    return "\n".join([joined(lines[0]), f"|{rule}|", *(joined(line) for line in lines[1:])])


def processor() -> str:
    """Model of the processor and number of usable cores."""
    name = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        names = [line for line in cpuinfo.read_text().splitlines() if line.startswith("model name")]
        name = names[0].split(":", 1)[1].strip() if names else name
    return f"{name}, {len(os.sched_getaffinity(0))} cores"


def machine(device: str) -> str:
    """The processor, behind the name of the GPU where one is meant; ends the program without it."""
    if device == "cpu":
        return processor()
    import torch

    if not torch.cuda.is_available():
        raise SystemExit(f"--device {device}: torch sees no CUDA device")
    return f"{torch.cuda.get_device_name(device)}; {processor()}"


def versions(*packages: str) -> str:
    """Python and packages with their versions."""
    found = [f"Python {platform.python_version()}"]
    return ", ".join(found + [f"{package} {package_version(package)}" for package in packages])


def package_version(package: str) -> str:
    """Version of an installed package."""
    try:
        return version(package)
    except PackageNotFoundError:  # run from a source tree that was not installed
        return "not installed"
