"""A training over several processes (FSDP2): each holds a part of every parameter and computes a part of every batch.

What is learned is what one process learns from the same batches, up to rounding, and checkpoints are the same files:
with whatever number of processes a training was begun, any other goes on with it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ...engines.transformers.group import rank, size
from .answer_labels import UNLABELLED

_BY_ROW = ("input_ids", "attention_mask", "labels", "shift_labels")


def sharded_trainer(copies: int) -> Any:
    """transformers' Trainer, for which there is one process, with a model that is shared out before the first step.

    Order, steps, schedule and counts are those of one process, since it sees whole batches.
    """
    import torch
    from torch import distributed as dist
    from transformers import Trainer
    from transformers.trainer import OPTIMIZER_NAME, SCHEDULER_NAME

    class ShardedTrainer(Trainer):  # type: ignore[misc]
        def _move_model_to_device(self, model: Any, device: Any) -> None:
            """Only its part goes there."""

        def create_optimizer(self, model: Any = None) -> Any:
            shard(self.model, self.args.device, copies)  # a checkpoint has been read into the whole model by now
            return super().create_optimizer(model)

        def training_step(self, model: Any, inputs: Any, num_items_in_batch: Any = None) -> Any:
            loss = super().training_step(model, own_rows(inputs), num_items_in_batch)
            dist.all_reduce(loss)  # each is a sum over its rows, divided by the labelled tokens of all
            return loss

        def _clip_grad_norm(self, model: Any) -> Any:
            return whole(super()._clip_grad_norm(model))

        def _save_checkpoint(self, model: Any, trial: Any) -> None:
            learning = ((name, value) for name, value in self.model.named_parameters() if value.requires_grad)
            self._weights = collected(learning)
            self._moments = _whole_optimizer(self.optimizer)
            if rank() == 0:
                super()._save_checkpoint(model, trial)
            del self._weights, self._moments

        def _save(self, output_dir: str | None = None, state_dict: Any = None) -> None:
            super()._save(output_dir, self._weights)

        def _save_optimizer_and_scheduler(self, output_dir: str) -> None:
            torch.save(self._moments, Path(output_dir, OPTIMIZER_NAME))
            torch.save(self.lr_scheduler.state_dict(), Path(output_dir, SCHEDULER_NAME))

        def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
            if checkpoint is None:
                return
            moments = torch.load(Path(checkpoint, OPTIMIZER_NAME), map_location="cpu", mmap=True)
            self.optimizer.load_state_dict(_own_parts(moments, self.optimizer))
            self.lr_scheduler.load_state_dict(torch.load(Path(checkpoint, SCHEDULER_NAME)))

    return ShardedTrainer


def shard(model: Any, device: Any, copies: int = 1) -> None:
    """Leave this process its part of each parameter, on `device`; a layer is whole only while it computes.

    Each layer is gathered by itself, the embeddings too where they are not the head's, and the rest together. With
    several `copies` of the base the parts of each lie on neighbours, and gradients are added up between copies (HSDP).
    """
    import torch
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import FSDPModule, fully_shard

    sizes = (copies, size() // copies) if copies > 1 else (size(),)
    mesh = init_device_mesh(device.type, sizes, mesh_dim_names=("copy", "part")[-len(sizes) :])
    for module in model.modules():
        # The tables of 4-bit weights are no parameters; bitsandbytes looks for them at the layer, too.
        if (tables := getattr(getattr(module, "weight", None), "quant_state", None)) is not None:
            tables.to(device)
            module.quant_state = tables
    for part in (*_layers(model), *_embeddings(model)):
        fully_shard(part, mesh=mesh)
    fully_shard(model, mesh=mesh)
    for module in model.modules():
        if isinstance(module, FSDPModule):
            # The losses are parts of one sum, and so are the gradients; gloo knows no other.
            module.set_gradient_divide_factor(1.0)
            module.set_force_sum_reduction_for_comms(True)
    if getattr(model, "hf_device_map", None):
        # Accelerate trains no 4-bit model that was loaded on another device.
        model.hf_device_map.update({"": torch.device(device)})


def _layers(model: Any) -> list[Any]:
    names = ((name.split("."), module) for name, module in model.named_modules())
    return [module for path, module in names if len(path) > 1 and path[-2] == "layers" and path[-1].isdecimal()]


def _embeddings(model: Any) -> list[Any]:
    ends = [model.get_input_embeddings(), model.get_output_embeddings()]
    return ends if ends[0].weight is not ends[1].weight else []


def own_rows(inputs: Mapping[str, Any]) -> dict[str, Any]:
    """This process's rows of a batch; where there are fewer than processes, one of which nothing is learned."""
    own = slice(rank(), None, size())
    if rank() < len(inputs["input_ids"]):
        return {name: value[own].contiguous() if name in _BY_ROW else value for name, value in inputs.items()}
    first = {name: value[:1] if name in _BY_ROW else value for name, value in inputs.items()}
    for name in ("labels", "shift_labels"):
        if name in first:
            first[name] = first[name].new_full(first[name].shape, UNLABELLED)
    return first


def summed(*values: float) -> list[float]:
    """Each value's sum over the processes."""
    import torch
    from torch import distributed as dist

    sums = torch.tensor(values, dtype=torch.float64)
    dist.all_reduce(sums)
    return [float(value) for value in sums]


def whole(value: Any) -> Any:
    """A tensor with all of its parts; every process has to ask."""
    return value.full_tensor() if hasattr(value, "full_tensor") else value


def collected(values: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """Whole tensors in the first process's main memory, one after another; every process has to ask, and gets none."""
    found = {}
    for name, value in values:
        one = whole(value)
        if rank() == 0:
            found[name] = one.cpu() if hasattr(one, "cpu") else one
    return found


def part_of(value: Any, like: Any) -> Any:
    """Of a whole tensor what this process holds of `like`."""
    from torch.distributed.tensor import DTensor, distribute_tensor

    moved = value.to(like.device)
    return distribute_tensor(moved, like.device_mesh, like.placements) if isinstance(like, DTensor) else moved


def _whole_optimizer(optimizer: Any) -> dict[str, Any]:
    kept = optimizer.state_dict()
    state = {number: collected(one.items()) for number, one in kept["state"].items()}
    return {**kept, "state": state}


def _own_parts(kept: dict[str, Any], optimizer: Any) -> dict[str, Any]:
    """An optimizer's whole state as a checkpoint has it, with this process's part of each mean."""
    learning = [parameter for group in optimizer.param_groups for parameter in group["params"]]

    def part(value: Any, parameter: Any) -> Any:
        return part_of(value, parameter) if getattr(value, "shape", None) == parameter.shape else value

    state = {
        number: {name: part(value, learning[number]) for name, value in one.items()}
        for number, one in kept["state"].items()
    }
    return {**kept, "state": state}
