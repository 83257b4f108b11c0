"""Options are frozen dataclasses; help texts and keyword tables are made from their field docs."""

from __future__ import annotations

import ast
import contextlib
import dataclasses
import functools
import inspect
import math
import numbers
import operator
import os
import textwrap
import typing
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from .errors import InputError


@dataclasses.dataclass(frozen=True)
class CalculatorOptions:
    """Keywords of the calculator."""

    method: str | None = None
    """MNDO, AM1 or PM3; default: the learned model."""
    model: str | None = None
    """Name or file of a learned model; default, without a method: hipnn-pm3."""
    charge: int | None = None
    """Total charge, e; default: what the atoms say, otherwise 0."""
    multiplicity: int | None = None
    """2S + 1; default: what the atoms say, otherwise the lowest possible."""
    unrestricted: bool | None = None
    """Separate orbitals for both spins; default: where the multiplicity is above one."""
    field: tuple[float, float, float] | None = None
    """Uniform electric field, V/Angstrom."""
    dispersion: str | None = None
    """Dispersion correction to add, as in wb97x-d3bj: a functional and d3bj, d3zero or d4."""
    uncertainty: bool | None = None
    """Estimate the error of the energy from the model's committee; default: on the command line
    where the model has one, from Python not."""
    device: str = "cpu"
    """cpu or cuda."""
    tolerance: float | None = None
    """SCF: largest element of the commutator of Fock and density matrix, eV; default: that of
    SCFSettings."""
    max_iterations: int | None = None
    """SCF: iterations of every convergence aid; default: that of SCFSettings."""
    max_memory: float | None = None
    """Memory that the batches computed at one time may take, bytes (a molecule alone may take
    more); default: a part of the machine's."""
    reuse_density: bool = True
    """Start the SCF from the density of the last geometry."""

    def __post_init__(self) -> None:
        """Convert numpy and string-like values to plain ones; refuse what has no meaning."""
        convert = {
            "method": lambda name, value: str(value).upper(),
            "model": lambda name, value: str(value),
            "charge": whole,
            "multiplicity": positive_whole,
            "unrestricted": truth,
            "field": vector,
            "dispersion": lambda name, value: str(value).lower(),
            "uncertainty": truth,
            "device": lambda name, value: str(value),
            "tolerance": positive,
            "max_iterations": positive_whole,
            "max_memory": positive,
            "reuse_density": truth,
        }
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if value is not None or field.default is not None:
                object.__setattr__(self, field.name, convert[field.name](field.name, value))


def whole(name: str, value: Any) -> int:
    """A whole number, or :class:`InputError`, which calls it ``name``."""
    try:
        if isinstance(value, bool):  # a truth value is no number, here as in files
            raise TypeError
        fraction = isinstance(value, numbers.Real) and not isinstance(value, numbers.Integral)
        number = int(value) if fraction else operator.index(value)
    except (TypeError, ValueError, OverflowError):
        raise InputError(f"{name} is {value!r}: give a whole number") from None
    if number != value:
        raise InputError(f"{name} is {value!r}: give a whole number")
    return number


def positive_whole(name: str, value: Any) -> int:
    """A whole number of one or more, or :class:`InputError`."""
    number = whole(name, value)
    if number < 1:
        hint = " (2S + 1, so 1 for a singlet)" if name == "multiplicity" else ""
        raise InputError(f"{name} is {number}: give 1 or more{hint}")
    return number


def positive(name: str, value: Any) -> float:
    """A positive finite number, or :class:`InputError`."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise InputError(f"{name} is {value!r}: give a positive number") from None
    if not 0.0 < number < float("inf"):
        raise InputError(f"{name} is {value!r}: give a positive number")
    return number


def number(name: str, value: Any) -> float:
    """A number, which may be infinite, or :class:`InputError`."""
    if isinstance(value, str | bytes | bool):
        raise InputError(f"{name} is {value!r}: give a number")
    try:
        found = float(value)
    except (TypeError, ValueError, OverflowError):
        found = math.nan
    if math.isnan(found):
        raise InputError(f"{name} is {value!r}: give a number")
    return found


def text(name: str, value: Any) -> str:
    """Text, or the text of a path, or :class:`InputError`."""
    try:
        return str(os.fspath(value))
    except TypeError:
        raise InputError(f"{name} is {value!r}: give text") from None


def check_types(settings: Any) -> None:
    """Replace the fields of frozen settings by what their annotations say they are.

    Counts may come from arithmetic (1e4, those of numpy), lists stand for tuples.  Anything else is
    an :class:`InputError`.
    """
    cls: Any = type(settings)
    for name, hint in _hints(cls).items():
        object.__setattr__(settings, name, _typed(name, hint, getattr(settings, name)))


@functools.cache
def _hints(cls: Any) -> dict[str, Any]:
    hints = typing.get_type_hints(cls)
    return {field.name: hints[field.name] for field in dataclasses.fields(cls)}


def optional(hint: Any) -> bool:
    """Whether an annotation allows None."""
    return type(None) in typing.get_args(hint)


def without_none(hint: Any) -> Any:
    """The annotation of a value that is there."""
    if optional(hint):
        (hint,) = (one for one in typing.get_args(hint) if one is not type(None))
    return hint


def _typed(name: str, hint: Any, value: Any) -> Any:
    if value is None and optional(hint):
        return None
    hint = without_none(hint)
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is tuple:
        items = None
        if not isinstance(value, str | bytes | Mapping):
            with contextlib.suppress(TypeError):
                items = list(value)
        if items is None:
            raise InputError(f"{name} is {value!r}: give a list")
        return tuple(_typed(f"an item of {name}", arguments[0], item) for item in items)
    if getattr(value, "ndim", None) == 0:  # of numpy or torch
        value = value.item()
    if hint in CHECKS:
        return CHECKS[hint](name, value)
    kind = origin or hint
    if not isinstance(value, kind):
        raise InputError(f"{name} is {value!r}: give a {kind.__name__}")
    if origin is dict:
        return {key: _typed(f"{name}[{key!r}]", arguments[1], one) for key, one in value.items()}
    return value


def require_positive(settings: Any, *names: str) -> None:
    """Raise :class:`InputError` for the first of these numbers that is not positive and finite.

    None, where a field may be that, passes.
    """
    for name in names:
        value = getattr(settings, name)
        if value is not None and not 0.0 < value < math.inf:
            raise InputError(f"{name} is {value!r}: give a positive number")


def require_not_negative(settings: Any, *names: str) -> None:
    """Raise :class:`InputError` for the first of these numbers that is below zero or infinite."""
    for name in names:
        value = getattr(settings, name)
        if not value >= 0:
            raise InputError(f"{name} is {value!r}: give zero or more")
        if value == math.inf:
            raise InputError(f"{name} is {value!r}: give a finite number")


def choose(settings: Any, name: str, known: Sequence[str]) -> None:
    """Replace a field of frozen settings by the one of ``known`` it is, whatever its case."""
    value = str(getattr(settings, name))
    names = {one.lower(): one for one in known}
    if value.lower() not in names:
        raise InputError(f"unknown {name} {value!r}: choose one of {', '.join(known)}")
    object.__setattr__(settings, name, names[value.lower()])


def base_settings(settings: Any, cls: Any) -> Any:
    """What ``settings`` have of a class that theirs is made from."""
    return cls(**{field.name: getattr(settings, field.name) for field in dataclasses.fields(cls)})


def truth(name: str, value: Any) -> bool:
    """A truth value, or :class:`InputError`."""
    try:
        known = value in (True, False)
    except ValueError:  # an array
        known = False
    if not known:
        raise InputError(f"{name} is {value!r}: give True or False")
    return bool(value)


CHECKS: dict[Any, Callable[[str, Any], Any]] = {int: whole, float: number, bool: truth, str: text}
"""For the types of :func:`check_types`; the other ones are classes."""


def vector(name: str, value: Any) -> tuple[float, ...]:
    """Three finite numbers, or :class:`InputError`."""
    try:
        found = tuple(float(number) for number in value)
    except (TypeError, ValueError):
        found = ()
    if len(found) != 3 or not all(abs(number) < float("inf") for number in found):
        raise InputError(f"{name} is {value!r}: give three finite numbers in V/Angstrom")
    return found


def field_docs(cls: type) -> dict[str, str]:
    """The docstrings below the fields of a class, by field (empty without the source)."""
    docs: dict[str, str] = {}
    for base in reversed(cls.__mro__[:-1]):  # inherited fields have theirs there
        docs |= _own_docs(base)
    return docs


def _own_docs(cls: type) -> dict[str, str]:
    try:
        (body,) = ast.parse(textwrap.dedent(inspect.getsource(cls))).body
    except (OSError, TypeError):
        return {}
    assert isinstance(body, ast.ClassDef)
    docs = {}
    for item, after in zip(body.body, body.body[1:], strict=False):
        if (
            isinstance(item, ast.AnnAssign)
            and isinstance(item.target, ast.Name)
            and isinstance(after, ast.Expr)
            and isinstance(after.value, ast.Constant)
        ):
            docs[item.target.id] = " ".join(str(after.value.value).split())
    return docs


def keyword_table(cls: Any) -> str:
    """The fields of an options class as the entries of a numpy docstring."""
    docs, lines = field_docs(cls), []
    for field in dataclasses.fields(cls):
        lines.append(f"{field.name} : {field.type}, default {field.default!r}")
        lines += textwrap.wrap(
            docs.get(field.name, ""), 92, initial_indent="    ", subsequent_indent="    "
        )
    return "\n".join(lines)


def check_names(names: Iterable[str], cls: Any, owner: str, also: Sequence[str] = ()) -> None:
    """Raise :class:`InputError` for the first name that is no field of ``cls``, nor in ``also``."""
    known = [field.name for field in dataclasses.fields(cls)]
    known += [name for name in also if name not in known]
    for name in names:
        if name not in known:
            import difflib

            close = difflib.get_close_matches(str(name), known, n=1)
            hint = f"did you mean {close[0]!r}? " if close else ""
            raise InputError(f"unknown keyword {name!r}: {hint}{owner} knows {', '.join(known)}")
