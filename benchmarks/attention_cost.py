"""What attention costs on the CPU, as a graph has it and fused, each case in a process of its own.

    python -m reverie.benchmarks.attention_cost [--tokens 2048 4096 8192] [--heads 8]
        [--head-size 64] [--batch 1] [--keys N] [--threads 2] [--only fused] [--json FILE]

One layer of attention alone, without its projections, on random queries, keys and values.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from ..runtime.memory import peak_memory
from .machine import describe_machine

RUNS = 3
WAYS = ("plain", "fused")


def write_graph(path: Path, fused: bool, heads: int, head_size: int) -> None:
    """Export one layer of attention over (batch, tokens, heads x head_size)."""
    import onnx_ir as ir
    import torch

    from ..export.attention import fuse_attention

    class Attention(torch.nn.Module):
        def forward(
            self, queries: torch.Tensor, keys: torch.Tensor, values: torch.Tensor
        ) -> torch.Tensor:
            q, k, v = (x.unflatten(2, (heads, -1)).transpose(1, 2) for x in (queries, keys, values))
            mixed = torch.nn.functional.scaled_dot_product_attention(q, k, v)
            return mixed.transpose(1, 2).flatten(2)

    batch, tokens, others = (torch.export.Dim(name, min=2) for name in ("batch", "tokens", "keys"))
    program = torch.onnx.export(
        Attention(),
        kwargs={
            name: torch.zeros(3, length, heads * head_size)
            for name, length in (("queries", 5), ("keys", 7), ("values", 7))
        },
        dynamo=True,
        opset_version=21,
        verbose=False,
        dynamic_shapes={
            "queries": {0: batch, 1: tokens},
            "keys": {0: batch, 1: others},
            "values": {0: batch, 1: others},
        },
    )
    assert program is not None
    if fused and fuse_attention(program.model) != 1:
        raise SystemExit("the exporter writes attention in another way than fuse_attention knows")
    ir.save(program.model, path)


def one(path: Path, batch: int, tokens: int, keys: int, width: int, threads: int) -> dict[str, Any]:
    """Run a graph here and now: its best seconds, and the memory it took beside its inputs."""
    from ..engines.device import Device
    from ..engines.ort import OrtEngine

    rng = np.random.default_rng(0)
    lengths = {"queries": tokens, "keys": keys, "values": keys}
    inputs = {
        name: rng.standard_normal((batch, length, width), np.float32)
        for name, length in lengths.items()
    }
    with OrtEngine(path, Device("cpu"), threads) as engine:
        before = peak_memory()
        seconds = []
        for _ in range(RUNS):
            start = time.perf_counter()
            engine.run(inputs)
            seconds.append(time.perf_counter() - start)
    return {"seconds": round(min(seconds), 3), "peak_bytes": peak_memory() - before}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tokens", type=int, nargs="*", default=[2048, 4096, 8192])
    parser.add_argument("--heads", type=int, default=8)
    parser.add_argument("--head-size", type=int, default=64)
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--keys", type=int, help="keys and values, as many as tokens otherwise")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--only", choices=WAYS, help="where the other would not fit")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--here", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    width = asked.heads * asked.head_size
    if asked.here:
        (tokens,) = asked.tokens
        keys = asked.keys or tokens
        print(json.dumps(one(asked.here, asked.batch, tokens, keys, width, asked.threads)))
        return
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        ways = [asked.only] if asked.only else WAYS
        graphs = {way: Path(folder, f"{way}.onnx") for way in ways}
        for way, path in graphs.items():
            write_graph(path, way == "fused", asked.heads, asked.head_size)
        for tokens in asked.tokens:
            keys = asked.keys or tokens
            for way, path in graphs.items():
                command = [sys.executable, "-m", "reverie.benchmarks.attention_cost"]
                settings = {
                    "--here": path, "--tokens": tokens, "--keys": keys, "--heads": asked.heads,
                    "--head-size": asked.head_size, "--batch": asked.batch,
                    "--threads": asked.threads,
                }  # fmt: skip
                command += [str(word) for pair in settings.items() for word in pair]
                done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
                row = {"way": way, "tokens": tokens, "keys": keys, **json.loads(done.stdout)}
                rows.append(row)
                print(
                    f"{asked.batch} x {tokens:5} tokens, {keys:5} keys  {way}"
                    f"  {row['seconds']:7.3f} s {row['peak_bytes'] / 2**20:7.0f} MiB",
                    flush=True,
                )
    if asked.json:
        report = {
            "machine": describe_machine(),
            **{name: getattr(asked, name) for name in ("batch", "heads", "head_size", "threads")},
            "rows": rows,
        }
        asked.json.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
