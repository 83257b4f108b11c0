"""Where to compute."""

from __future__ import annotations

import torch

from .errors import InputError


def find_device(device: str | torch.device) -> torch.device:
    """A torch device that exists."""
    try:
        found = torch.device(device)
    except RuntimeError:
        found = None
    if found is None or found.type not in ("cpu", "cuda"):
        raise InputError(f"unknown device {str(device)!r}: give 'cpu', 'cuda' or 'cuda:0'")
    if found.type == "cuda":
        count = torch.cuda.device_count()
        if not count:
            raise InputError(
                "device='cuda' was asked for, but torch sees no CUDA device; use 'cpu'"
            )
        if (found.index or 0) >= count:
            raise InputError(f"device {str(device)!r} does not exist: the last is cuda:{count - 1}")
        if found.index is None:  # tensors there have one, and "cuda" is not equal to "cuda:0"
            known = torch.cuda.is_initialized()
            found = torch.device("cuda", torch.cuda.current_device() if known else 0)
    return found
