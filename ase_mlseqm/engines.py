"""Engines that calculations with the same settings share."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

from .asking import AskingEngine, asker

if TYPE_CHECKING:  # torch is imported with the first engine, not with this module
    from .engine import Engine
    from .model import Model
    from .scf import SCFSettings


@functools.lru_cache(maxsize=8)
def shared_engine(
    model: Model,
    device: str,
    scf: SCFSettings,
    max_memory: float | None,
    dispersion: str | None,
) -> Engine:
    """One engine for all calculations with the same settings: they share its index maps."""
    from .engine import Engine

    return Engine(model, device, scf, max_memory, dispersion)


def engine_for(keywords: Mapping[str, Any]) -> Engine:
    """The shared engine of a calculator with these keywords; within ``asking`` one that asks."""
    from .models import chosen_model

    engine = shared_engine(
        chosen_model(keywords["method"], keywords["model"]),
        keywords["device"],
        scf_settings(keywords["tolerance"], keywords["max_iterations"]),
        keywords["max_memory"],
        keywords["dispersion"],
    )
    ask = asker()
    return engine if ask is None else cast("Engine", AskingEngine(engine, ask))


def scf_settings(tolerance: float | None, max_iterations: int | None) -> SCFSettings:
    """Settings with those that are not None changed."""
    from .scf import SCFSettings

    given: dict[str, Any] = {"tolerance": tolerance, "max_iterations": max_iterations}
    return SCFSettings(**{name: value for name, value in given.items() if value is not None})
