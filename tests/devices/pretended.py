"""A second device that is only pretended: a GPU whose numbers lie in CPU memory.

Within `pretended_gpu`, code that is given ``device=pretended`` runs on a machine without a GPU, and fails
where it would on one: when tensors of both devices meet in an operation, when NumPy reads a tensor of the
GPU, when a generator is the other device's. As in PyTorch's own ``FakeTensor``, a wrapper names the device
and a dispatch mode sees every operation; unlike there, it is computed. PyTorch knows the device as its place
for a back end in Python.

What it cannot show: kernels that CUDA lacks or that give other numbers, half precision and other ways that
are taken for ``device.type == "cuda"``, memory, streams, several GPUs, tensors made in other processes.
"""

from __future__ import annotations

import contextlib
import functools
import threading
from collections.abc import Iterable, Iterator
from typing import Any, ClassVar, NoReturn
from unittest import mock

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

try:
    from torch.utils.backend_registration import _DummyBackendModule, _setup_privateuseone_for_python_backend
except ImportError:
    pytest.skip("this PyTorch has no place for a back end in Python", allow_module_level=True)

GPU_TYPE = "pretended"

_GENERATOR = torch.Generator
_aten = torch.ops.aten
#: Operations whose very purpose is to bring tensors of both devices together.
_MOVES = {_aten.copy_, _aten._foreach_copy_}
#: Operations whose ``indices`` may lie on the CPU whatever they index.
_INDEXED = {_aten.index, _aten.index_put, _aten.index_put_, _aten._index_put_impl_, _aten._unsafe_index}
#: Operations beside the pointwise ones that take a number as a CPU tensor without dimensions.
_TAKE_NUMBERS = {*_INDEXED, _aten.masked_fill, _aten.masked_fill_, _aten.fill, _aten.fill_, _aten.index_fill_}
#: What is computed in place of operations whose result PyTorch tells by a mark, which the wrapper lacks.
_PLAIN = {
    _aten._efficientzerotensor.default: _aten.zeros.default,
    _aten._conj.default: _aten._conj_physical.default,
    _aten._neg_view.default: _aten.neg.default,
}


class GpuTensor(Tensor):
    """A tensor that says it is on the GPU; `held` has its numbers."""

    held: Tensor
    #: Whether there are numbers of 64 bits.
    doubles: ClassVar[bool] = True

    @staticmethod
    def __new__(cls, held: Tensor) -> GpuTensor:
        if not cls.doubles and held.dtype in (torch.float64, torch.complex128):
            raise TypeError(f"{GPU_TYPE} has no {held.dtype}")
        made: GpuTensor = Tensor._make_wrapper_subclass(  # type: ignore[attr-defined]
            cls,
            held.size(),
            strides=held.stride(),
            storage_offset=held.storage_offset(),
            dtype=held.dtype,
            layout=held.layout,
            device=torch.device(GPU_TYPE, 0),
        )
        made.held = held
        return made

    __torch_function__ = torch._C._disabled_torch_function_impl

    @classmethod
    def __torch_dispatch__(
        cls, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Compute an operation of another thread's, which no mode watches."""
        return _compute(func, args, kwargs or {})

    def tolist(self) -> Any:
        """Copy to lists, which PyTorch refuses for classes of others."""
        return self.cpu().tolist()

    def __repr__(self, **_: Any) -> str:  # type: ignore[override]
        return f"GpuTensor({self.held})"


class _Gpu(TorchDispatchMode):
    """Sees every operation of a thread, those that make tensors as well."""

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        return _compute(func, args, kwargs or {})


class Generator(torch.Generator):
    """Stands in for `torch.Generator`: draws on the CPU and says what device it was made for."""

    #: Those made for the GPU, by what PyTorch hands on of them.
    on_gpu: ClassVar[dict[int, Generator]] = {}

    def __new__(cls, device: Any = "cpu") -> Generator:
        made = super().__new__(cls)
        if torch.device(device).type == GPU_TYPE:
            cls.on_gpu[made._cdata] = made
        return made

    @property
    def device(self) -> torch.device:  # type: ignore[override]
        return torch.device(GPU_TYPE, 0) if self._cdata in self.on_gpu else torch.device("cpu")


def _compute(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Check the devices of an operation and compute it with the numbers held."""
    leaves = list(_leaves((*args, *kwargs.values())))
    ours = [value for value in leaves if isinstance(value, GpuTensor)]
    asked = kwargs.get("device")
    on_gpu = bool(ours) if asked is None else asked.type == GPU_TYPE
    given = [value for value in leaves if isinstance(value, (Tensor, _GENERATOR))]
    if len(given) > len(ours):
        _check_generator(given, on_gpu)
        if ours:
            _check(func, args, kwargs)
    if not ours and not on_gpu:
        return func(*args, **kwargs)
    if asked is not None and on_gpu:
        kwargs = {**kwargs, "device": torch.device("cpu")}
        kwargs.pop("pin_memory", None)
    held_args = [_held(value) for value in args]
    out = _PLAIN.get(func, func)(*held_args, **{name: _held(value) for name, value in kwargs.items()})
    if not func._schema.is_mutable:
        return _wrapped(out, {}) if on_gpu else out
    for value in ours:
        if value.shape != value.held.shape or value.stride() != value.held.stride():
            raise NotImplementedError(f"{func} changes the shape of a tensor of the pretended GPU in place")
    # Operations in place return what they were given.
    return _wrapped(out, {id(_held(value)): value for value in given}) if on_gpu else out


def _leaves(values: Iterable[Any]) -> Iterator[Any]:
    for value in values:
        if isinstance(value, (list, tuple)):
            yield from _leaves(value)
        else:
            yield value


def _held(value: Any) -> Any:
    """Return an argument with the numbers in place of the wrappers."""
    if isinstance(value, GpuTensor):
        return value.held
    return type(value)(map(_held, value)) if isinstance(value, (list, tuple)) else value


def _wrapped(value: Any, given: dict[int, Tensor]) -> Any:
    """Return a result with wrappers round the numbers; those that were given stay the same tensors."""
    if isinstance(value, Tensor):
        return given[id(value)] if id(value) in given else GpuTensor(value)
    if isinstance(value, (list, tuple)):
        return type(value)(_wrapped(part, given) for part in value)
    return value


def _check(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """Raise what CUDA raises when an operation is given tensors of both devices."""
    packet = func.overloadpacket
    if packet in _MOVES:
        return
    takes_numbers = torch.Tag.pointwise in func.tags or packet in _TAKE_NUMBERS
    named = [
        (argument, value)
        for argument, value in _named(func, args, kwargs)
        if not (takes_numbers and _is_number(value) and not _is_written(argument))
    ]
    if packet in _INDEXED:
        indexed = named[0][1]
        indices = [value for argument, value in named if argument.name == "indices"]
        if not isinstance(indexed, GpuTensor) and any(isinstance(index, GpuTensor) for index in indices):
            raise RuntimeError(
                "indices should be either on cpu or on the same device as the indexed tensor (cpu)"
            )
        named = [(argument, value) for argument, value in named if argument.name != "indices"]
    for argument, value in named:
        if not isinstance(value, GpuTensor) and any(isinstance(other, GpuTensor) for _, other in named):
            _fail(func, argument.name)


def _fail(func: Any, name: str) -> NoReturn:
    raise RuntimeError(
        f"Expected all tensors to be on the same device, but got {name} is on cpu, different from other"
        f" tensors on {GPU_TYPE}:0 (when checking argument in {func})"
    )


def _named(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Iterator[tuple[Any, Tensor]]:
    """Tensors of a call, each with the argument that it is part of."""
    arguments = func._schema.arguments
    by_name = {argument.name: argument for argument in arguments}
    pairs = [*zip(arguments, args, strict=False), *((by_name[name], value) for name, value in kwargs.items())]
    for argument, value in pairs:
        for leaf in _leaves([value]):
            if isinstance(leaf, Tensor):
                yield argument, leaf


def _is_number(value: Tensor) -> bool:
    return value.dim() == 0 and not isinstance(value, GpuTensor)


def _is_written(argument: Any) -> bool:
    return argument.alias_info is not None and argument.alias_info.is_write


def _check_generator(flat: list[Any], on_gpu: bool) -> None:
    for value in flat:
        if isinstance(value, _GENERATOR) and (value._cdata in Generator.on_gpu) != on_gpu:
            wanted, found = (GPU_TYPE, "cpu") if on_gpu else ("cpu", GPU_TYPE)
            raise RuntimeError(f"Expected a '{wanted}' device type for generator but found '{found}'")


class _Module(_DummyBackendModule):
    """What PyTorch asks the module of a device type."""

    def get_amp_supported_dtype(self) -> list[torch.dtype]:
        return [torch.bfloat16, torch.float16]

    def get_rng_state(self, _: Any = None) -> Tensor:
        return torch.get_rng_state()

    def set_rng_state(self, state: Tensor, _: Any = None) -> None:
        torch.set_rng_state(state)


@functools.cache
def _register() -> None:
    """Make the device's name known to PyTorch; it stays so for the life of the process."""
    _setup_privateuseone_for_python_backend(GPU_TYPE, backend_module=_Module())


def _enter_no_grad(mode: torch.inference_mode) -> None:
    """Take the place of ``inference_mode.__enter__``: its tensors pass the modes by."""
    mode.without = torch.no_grad()  # type: ignore[attr-defined]
    mode.without.__enter__()  # type: ignore[attr-defined]


def _leave_no_grad(mode: torch.inference_mode, *error: Any) -> None:
    mode.without.__exit__(*error)  # type: ignore[attr-defined]


@contextlib.contextmanager
def pretended_gpu(*, doubles: bool = True) -> Iterator[None]:
    """Pretend a GPU within the block, in this thread and in those that it starts.

    Parameters
    ----------
    doubles
        Whether it has numbers of 64 bits: Apple's have none.
    """
    _register()
    run = threading.Thread.run

    def run_watched(thread: threading.Thread) -> None:
        with _Gpu():
            run(thread)

    lifts = torch._C._only_lift_cpu_tensors()
    swaps = torch.__future__.get_swap_module_params_on_conversion()
    with contextlib.ExitStack() as stack:
        stack.enter_context(mock.patch.object(GpuTensor, "doubles", doubles))
        stack.enter_context(mock.patch.object(torch, "Generator", Generator))
        stack.enter_context(mock.patch.object(threading.Thread, "run", run_watched))
        plain = {"__enter__": _enter_no_grad, "__exit__": _leave_no_grad}
        stack.enter_context(mock.patch.multiple(torch.inference_mode, **plain))
        stack.callback(Generator.on_gpu.clear)
        stack.callback(torch._C._set_only_lift_cpu_tensors, lifts)
        stack.callback(torch.__future__.set_swap_module_params_on_conversion, swaps)
        torch._C._set_only_lift_cpu_tensors(True)
        torch.__future__.set_swap_module_params_on_conversion(True)
        # The engine's thread of a GPU would have been started before there was one.
        stack.enter_context(torch.autograd.set_multithreading_enabled(False))
        stack.enter_context(_Gpu())
        yield
