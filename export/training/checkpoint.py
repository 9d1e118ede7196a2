"""Checkpoints of ember: a safetensors file with both networks, or a torch file to resume from."""

from __future__ import annotations

from pathlib import Path

from torch import Tensor

from .denoiser import EmberDenoiser
from .maps import EmberMaps


def save_checkpoint(path: str | Path, maps: EmberMaps, denoiser: EmberDenoiser) -> None:
    """Writes both networks' weights (float32) to one safetensors file, beside and then renamed."""
    from safetensors.torch import save_file

    state: dict[str, Tensor] = {}
    for name, network in (("maps", maps), ("denoiser", denoiser)):
        for key, value in network.state_dict().items():
            state[f"{name}.{key}"] = value.detach().float().contiguous().clone()
    target = Path(path)
    beside = target.with_name(target.name + ".part")
    save_file(state, str(beside))
    beside.replace(target)


def load_checkpoint(path: str | Path) -> tuple[EmberMaps, EmberDenoiser]:
    """Both networks from a file written by `save_checkpoint`, ready to run (eval mode).

    Raises FileNotFoundError when it is not there, RuntimeError when a weight is missing or odd.
    """
    from safetensors.torch import load_file

    state = load_file(str(path))
    maps, denoiser = EmberMaps(), EmberDenoiser()
    for name, network in (("maps", maps), ("denoiser", denoiser)):
        part = {
            key.removeprefix(f"{name}."): value
            for key, value in state.items()
            if key.startswith(f"{name}.")
        }
        for key, value in network.state_dict().items():
            if key.endswith("num_batches_tracked") and key in part:
                part[key] = part[key].to(value.dtype)
        network.load_state_dict(part)
        network.eval()
    return maps, denoiser
