"""Tables of video models: exporting, rendering, quantising them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .reading import Results
from .wording import NONE, Table, decibels, percent, seconds, size, small

PRECISIONS = ("fp16", "bf16", "int8", "fp8", "int4", "nvfp4")
_MODELS = {"svd": "SVD", "ltx": "LTX 2B", "wan": "Wan 2.2 TI2V-5B"}
_FAMILIES = {"svd": "SVD", "ltx": "LTX", "wan": "Wan"}
_COMPONENTS = {
    "denoiser": "denoiser",
    "image_encoder": "image encoder",
    "text_encoder": "text encoder",
    "vae_encoder": "VAE encoder",
    "vae_decoder": "VAE decoder",
}


def export_cost(results: Results) -> Table:
    """Exporting full-size components: export_cost_fp16.json, export_cost_bf16.json."""
    made = [*results["export_cost_fp16"]["rows"], *results["export_cost_bf16"]["rows"]]
    order = list(_MODELS)
    made.sort(key=lambda row: order.index(row["component"].split("/")[0]))
    rows = [
        (
            _component(row["component"]),
            row["precision"],
            seconds(row["seconds"]),
            size(row["peak_bytes"]),
            size(row["written_bytes"]),
        )
        for row in made
    ]
    heads = ("component", "precision", "wall", "peak memory", "written")
    return Table(heads, (*rows,), ("Random weights, each component in a process of its own",))


def export_plain(results: Results) -> Table:
    """The way without Reverie beside it: export_cost_plain.json."""
    made: dict[str, dict[str, Mapping[str, Any]]] = {}
    for row in results["export_cost_plain"]["rows"]:
        way = "streamed" if row["way"] == "streamed" else "plain"
        made.setdefault(row["component"], {})[way] = row
    rows = [
        (
            _component(name),
            ways["plain"]["precision"],
            f"{seconds(ways['plain']['seconds'])}, {size(ways['plain']['peak_bytes'])}",
            f"{seconds(ways['streamed']['seconds'])}, {size(ways['streamed']['peak_bytes'])}",
        )
        for name, ways in made.items()
    ]
    plain = "load it, then `torch.onnx.export`: wall, peak memory"
    note = "With other work on the machine"
    return Table(("component", "precision", plain, "streamed"), (*rows,), (note,))


def parity(results: Results) -> Table:
    """Exported components against their twins in PyTorch: parity_full_size.json."""
    rows = [
        (
            _component(row["component"]),
            row["precision"],
            small(row["relative_l2"]),
            small(row["max_abs"]),
        )
        for row in results["parity_full_size"]["rows"]
    ]
    note = (
        "Against PyTorch in float32 with the same stored weights, at small latent sizes, on the CPU"
    )
    return Table(("component", "precision", "relative L2", "largest difference"), (*rows,), (note,))


def render_cost(results: Results) -> Table:
    """Renders of full-size bundles: render_cost_ltx.json, render_cost_svd.json."""
    rows = []
    for name in ("render_cost_ltx", "render_cost_svd"):
        told = results[name]
        peaks = told["stage_peak_bytes"]
        weights = told["weights_bytes"]["denoiser"]
        share = told["host_seconds_per_step"] / told["step_seconds"]
        rows.append(
            (
                f"{_MODELS[told['family']]}, {told['precision']}, {told['size']},"
                f" {told['frames']} frames",
                f"{seconds(told['step_seconds'])}, {percent(share, digits=2)} outside engines",
                f"{size(peaks['denoise'])}, {size(weights)} of it weights",
                f"{size(peaks['encode image'])} / {size(peaks['decode'])}",
            )
        )
    heads = ("model", "a denoising step", "peak memory, denoising", "encoding / decoding")
    return Table(heads, (*rows,), ("Random weights",))


def ember_precisions(results: Results) -> Table:
    """ember's frames beside its float32 networks: quantise_quality.json."""
    told = results["quantise_quality"]["ember"]
    shipped = told["shipped"]
    rows = [
        _variant("as shipped", shipped["frames"], shipped["latents"][-1], shipped["bytes"], None)
    ]
    for precision in PRECISIONS:
        one = told[precision]
        total, mark = sum(one["bytes"].values()), one.get("mark_db")
        rows.append(_variant(precision, one["frames"], one["latents"][-1], total, mark))
    note = (
        f"The same seed, {len(shipped['frames']['photos'])} photos at"
        f" {told['fp16']['settings']['height']}p, {told['fp16']['settings']['seconds']:g} s of each"
    )
    heads = (
        "variant",
        "PSNR of frames, mean / worst photo",
        "SSIM",
        "latents into the last step, relative L2",
        "size",
    )
    return Table(heads, (*rows,), (note,))


def _variant(
    name: str, frames: Mapping[str, Any], latents: float, count: float, mark: float | None
) -> tuple[str, ...]:
    quality = f"{frames['psnr']:.1f} / {decibels(frames['least_psnr'])}"
    if mark is not None:
        quality += f" (wanted: {mark:g})"
    return name, quality, f"{frames['ssim']:.4f}", f"{latents:.0e}", size(count)


def tiny_precisions(results: Results) -> Table:
    """Tiny models of the video families, worst photo: quantise_quality.json."""
    told = results["quantise_quality"]
    rows = []
    for family in ("ltx", "wan", "svd"):
        found = (told[family].get(precision) for precision in PRECISIONS)
        cells = [f"{one['frames']['least_psnr']:.1f}" if one else NONE for one in found]
        rows.append((_FAMILIES[family], *cells))
    note = "Worst photo, PSNR of frames against the bundle's own precision, dB"
    return Table(("", *PRECISIONS), (*rows,), (note,))


def quantise_cost(results: Results) -> Table:
    """Quantising full-size denoisers: quantise_cost.json."""
    rows = [
        (
            f"{row['family']} {_COMPONENTS[row['component']]}, {row['from']},"
            f" {size(row['read_bytes'])}",
            row["precision"],
            row["activations"],
            f"{row['seconds']:.0f} ({row['processor_seconds']:.0f})",
            size(row["peak_bytes"]),
            size(row["written_bytes"]),
            decibels(row["weights_median_db"]),
        )
        for row in sorted(
            results["quantise_cost"]["rows"],
            key=lambda r: (r["family"], r["component"], r["precision"], r["activations"]),
        )
    ]
    heads = (
        "network",
        "precision",
        "activations",
        "seconds (of a processor)",
        "peak memory",
        "written",
        "median SNR of weights",
    )
    return Table(heads, (*rows,), ("Random weights; each in a process of its own",))


def _component(name: str) -> str:
    family, _, component = name.partition("/")
    return f"{_MODELS[family]}: {_COMPONENTS[component]}"
