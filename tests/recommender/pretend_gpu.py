"""A GPU that is only pretended: tensors on it are computed by the CPU, and refuse to meet others.

with PretendGpu():
    weight = torch.ones(3).to(GPU)
    weight + torch.ones(3)  # raises, as it would on a GPU
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode
from torch.utils import _pytree as pytree

GPU = torch.device("cuda")


class OnGpu(torch.Tensor):
    """A tensor on the pretended GPU."""

    __torch_function__ = torch._C._disabled_torch_function_impl


class PretendGpu(TorchFunctionMode):
    """While it is active, `.to(GPU)` and `device=GPU` work, and no operation may mix devices."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> object:
        """Run an operation of torch, and say where its result is."""
        options = dict(kwargs or {})
        tensors = [part for part in pytree.tree_leaves((args, options)) if torch.is_tensor(part)]
        on_gpu = [isinstance(tensor, OnGpu) for tensor in tensors]
        target = next((arg for arg in args[1:2] if isinstance(arg, torch.device)), None)
        if func == torch.Tensor.device.__get__:
            return GPU if on_gpu[0] else torch.device("cpu")
        if func == torch.Tensor.to and target is not None:
            return _placed(args[0], target == GPU)
        if any(on_gpu) and not all(
            here or tensor.ndim == 0 for here, tensor in zip(on_gpu, tensors, strict=True)
        ):
            raise RuntimeError(f"{func.__name__}: expected all tensors on one device, got two")
        created = options.get("device") == GPU
        if created:
            options["device"] = torch.device("cpu")
        result = func(*args, **options)
        return pytree.tree_map_only(
            torch.Tensor, lambda part: _placed(part, created or any(on_gpu)), result
        )


def to_pretended_gpu(module: nn.Module) -> None:
    """Move the weights of a module, which then have no gradients."""
    for part in module.modules():
        for name, weight in part._parameters.items():
            part._parameters[name] = _placed(weight.detach(), True)


def _placed(tensor: torch.Tensor, on_gpu: bool) -> torch.Tensor:
    return tensor.as_subclass(OnGpu if on_gpu else torch.Tensor)
