"""A device that is not there: CPU tensors that say they live on ``pretend:0``.

Every operation is done on the CPU, after the rule of a real device has been checked: tensors of
both devices meet only where torch allows it (copies, CPU scalars, CPU indices).  What this cannot
show are the kernels of a GPU; the tests marked ``gpu`` compare those.
"""

from __future__ import annotations

import contextlib
import types
from collections.abc import Iterator
from unittest import mock

import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map
from torch.utils.backend_registration import _setup_privateuseone_for_python_backend


class OnDevice(torch.Tensor):
    """A tensor that claims to be on the device; ``inner`` has its numbers."""

    inner: torch.Tensor

    @staticmethod
    def __new__(cls, inner: torch.Tensor) -> OnDevice:
        tensor = torch.Tensor._make_wrapper_subclass(
            cls,
            inner.size(),
            strides=inner.stride(),
            storage_offset=inner.storage_offset(),
            dtype=inner.dtype,
            device=torch.device("pretend", 0),
        )
        tensor.inner = inner
        return tensor

    def tolist(self) -> list:
        """Torch has none for subclasses."""
        return self.inner.tolist()

    def __repr__(self) -> str:
        return f"OnDevice({self.inner!r})"

    @classmethod
    def __torch_dispatch__(cls, function, types, args=(), kwargs=None):
        return _call(function, args, kwargs or {})


class _Factories(TorchDispatchMode):
    """Sends what names the device, and so everything that makes tensors there, to :func:`_call`."""

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        return _call(function, args, kwargs or {})


class _FromNumbers(TorchFunctionMode):
    """Python numbers become tensors on the CPU first: torch would ask for the real device."""

    def __torch_function__(self, function, types, args=(), kwargs=None):
        kwargs = dict(kwargs or {})
        if function is torch.Tensor.__setitem__ and isinstance(args[1], list):
            args = (args[0], torch.tensor(args[1]), *args[2:])
        if function not in (torch.tensor, torch.as_tensor, torch.Tensor.new_tensor):
            return function(*args, **kwargs)
        like = args[0] if function is torch.Tensor.new_tensor else None
        if like is not None:
            args, kwargs = args[1:], {"dtype": like.dtype, "device": like.device} | kwargs
        device = torch.device(kwargs.pop("device", None) or "cpu")
        return torch.tensor(*args, **kwargs).to(device)


COPIES = {"copy_", "_to_copy", "to"}
INDEXES = {"index", "index_put", "index_put_", "_index_put_impl_"}
"""The device's tensors may be indexed by the CPU's, not the other way round."""
JOINS = {"cat", "stack"}
"""Not even numbers may be on the CPU."""


def _strangers(name: str, args: tuple, tensors: list[torch.Tensor]) -> list[torch.Tensor]:
    """Tensors of the CPU where the device wants its own."""
    there = [isinstance(x, OnDevice) for x in tensors]
    if not any(there) or name in COPIES:
        return []
    if name in INDEXES and there[0]:
        tensors = [args[0], *tree_leaves(args[2:])]  # what is written, not where
        tensors = [x for x in tensors if isinstance(x, torch.Tensor)]
    return [x for x in tensors if not isinstance(x, OnDevice) and (x.dim() or name in JOINS)]


def _call(function, args, kwargs):
    leaves = tree_leaves((args, kwargs))
    tensors = [x for x in leaves if isinstance(x, torch.Tensor)]
    devices = [x for x in leaves if isinstance(x, torch.device)]
    name = function.__name__.split(".")[0]
    there = [isinstance(x, OnDevice) for x in tensors]
    if strangers := _strangers(name, args, tensors):
        shapes = [tuple(x.shape) for x in strangers]
        raise RuntimeError(f"{function}: tensors on the device meet CPU tensors {shapes}")
    known = {id(x.inner): x for x in tensors if isinstance(x, OnDevice)}

    def inside(x):
        if isinstance(x, torch.device):
            return torch.device("cpu")
        return x.inner if isinstance(x, OnDevice) else x

    result = function(*tree_map(inside, args), **tree_map(inside, kwargs))
    there_now = devices[-1].type == "pretend" if devices else any(there)
    if name == "copy_":
        there_now = there[0]

    def outside(x):
        if not isinstance(x, torch.Tensor) or isinstance(x, OnDevice):
            return x
        if id(x) in known:  # done in place
            return known[id(x)]
        return OnDevice(x) if there_now else x

    return tree_map(outside, result)


def _nothing(*_) -> None:
    """What a device does that is not there."""


# what torch asks a device's module for
_MODULE = types.SimpleNamespace(
    is_available=lambda: True,
    is_initialized=lambda: True,
    device_count=lambda: 1,
    current_device=lambda: 0,
    _is_in_bad_fork=lambda: False,
    get_rng_state=_nothing,
    set_rng_state=_nothing,
    manual_seed_all=_nothing,
)


@contextlib.contextmanager
def pretend_device() -> Iterator[None]:
    """There is a device ``pretend``, and the engine takes it."""
    _setup_privateuseone_for_python_backend("pretend", _MODULE)
    with (
        mock.patch("ase_mlseqm.devices.find_device", torch.device),
        # its tensors cannot be wrapped
        mock.patch("torch.inference_mode", lambda on=True: torch.set_grad_enabled(not on)),
        mock.patch("ase_mlseqm.engine.find_device", torch.device),
        _Factories(),
        _FromNumbers(),
    ):
        yield
