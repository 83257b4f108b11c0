"""Settings from YAML files: nested frozen dataclasses from nested mappings, checked by name."""

from __future__ import annotations

import contextlib
import dataclasses
import typing
from pathlib import Path
from typing import Any, TypeVar

from .errors import InputError
from .options import check_names, optional, without_none

T = TypeVar("T")


def load(path: Path | str, cls: type[T], base: Any = None) -> T:
    """Read a YAML file into ``cls``; what the file leaves out is that of ``base``, an instance of
    it, or keeps its default."""
    values = read_mapping(path)
    if base is not None:
        values = merged(dataclasses.asdict(base), values)
    return from_dict(cls, values, str(path))


def merged(defaults: dict[str, Any], values: dict[str, Any]) -> dict[str, Any]:
    """``values`` with the defaults of what they leave out, in nested mappings, too."""
    out = defaults | values
    for name, default in defaults.items():
        if isinstance(default, dict) and isinstance(out[name], dict):
            out[name] = merged(default, out[name])
    return out


def read_mapping(path: Path | str) -> dict[str, Any]:
    """The settings in a YAML file."""
    import yaml

    path = Path(path)
    try:
        values = yaml.load(path.read_text("utf-8"), _loader())
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not a text file"
        raise InputError(f"{path}: {reason}") from None
    except yaml.YAMLError as error:
        raise InputError(f"{path} is not valid YAML: {error}") from None
    if values is None:
        values = {}
    if not isinstance(values, dict):
        raise InputError(f"{path} holds no settings: write lines such as 'epochs: 10'")
    return values


def _loader() -> Any:
    """YAML's safe loader; of two settings with one name it would take the last."""
    import yaml

    class Loader(yaml.SafeLoader):
        def construct_mapping(self, node: Any, deep: bool = False) -> Any:
            names = [self.construct_object(key, deep=True) for key, _ in node.value]
            twice = [name for k, name in enumerate(names) if name in names[:k]]
            if twice:
                raise yaml.YAMLError(f"{twice[0]!r} stands in it twice: keep one")
            return super().construct_mapping(node, deep)

    return Loader


def from_dict(cls: type[T], values: dict[str, Any], owner: str) -> T:
    """An instance of the dataclass ``cls`` from a mapping of its fields.

    Raises
    ------
    InputError
        For an unknown name or a value of the wrong type; the message starts with ``owner``.
    """
    try:
        check_names(values, cls, owner)
    except InputError as error:
        raise InputError(f"{owner}: {error}") from None
    hints = typing.get_type_hints(cls)
    return cls(
        **{name: _convert(hints[name], value, f"{owner}: {name}") for name, value in values.items()}
    )


def _convert(hint: Any, value: Any, owner: str) -> Any:
    if value is None and optional(hint):
        return None
    hint = without_none(hint)
    if dataclasses.is_dataclass(hint):
        if not isinstance(value, dict):
            raise InputError(f"{owner} is {value!r}: give its settings indented below it")
        return from_dict(typing.cast(type, hint), value, owner)
    if typing.get_origin(hint) is tuple:
        if not isinstance(value, list | tuple):
            raise InputError(f"{owner} is {value!r}: give a list")
        return tuple(_convert(typing.get_args(hint)[0], item, owner) for item in value)
    if hint in (float, int) and type(value) in (int, float, str):
        with contextlib.suppress(ValueError, OverflowError):
            number = float(value)  # YAML reads 1e-3 as a string
            if hint is float:
                return number
            if number.is_integer():
                return value if isinstance(value, int) else int(number)
    elif isinstance(value, hint) and (hint is bool or not isinstance(value, bool)):
        return value
    names = {float: "a number", int: "a whole number", str: "text", bool: "true or false"}
    raise InputError(f"{owner} is {value!r}: give {names.get(hint, 'something else')}")
