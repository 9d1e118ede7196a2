"""Rounds of all ways, in turns, and what was compared in each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .jobs import Way, Work, run_way
from .layouts import as_film_latents, compared
from .proof import Proof, both, prove_frames, prove_latents, prove_runs, prove_tiled
from .ratios import Rounds, compare
from .ways import command

Outputs = dict[str, np.ndarray]


class Session:
    """Lets every way do the work, round after round, and keeps what was found."""

    def __init__(
        self, work: Work, folder: Path, *, threads: int, decoding: bool, cold: bool = False
    ) -> None:
        self.work, self.folder = work, folder.resolve()
        self.threads, self.decoding, self.cold = threads, decoding, cold
        self.rounds: dict[str, Rounds] = {}
        self._captured: tuple[str, Outputs] = ("", {})
        self._proofs: dict[tuple[str, str], dict[str, Proof]] = {}

    def round(self, mine: Sequence[Way], others: Sequence[Way]) -> None:
        """Let every way do the work once, Reverie's first, and compare what came out."""
        ways = [*mine, *others]
        if any(way.peer == "openvino" and not way.reason for way in others):
            self._capture(mine)
        films: dict[str, Outputs] = {}
        for way in ways:
            found = self._film(way)
            if found is not None:
                films[way.name] = found
        decoded = self._decode(ways, films) if self.decoding else {}
        for one in mine:
            for other in others:
                if one.name in films and other.name in films:
                    found = self._compare(one, other, films, decoded)
                    kept = self._proofs.setdefault((one.name, other.name), {})
                    for name, proof in found.items():  # one round that differs is enough
                        if name not in kept or kept[name].same:
                            kept[name] = proof

    def comparisons(self) -> list[dict[str, Any]]:
        """Every pair that was compared, with its ratios."""
        return [
            compare(self.rounds[ours], self.rounds[theirs], proofs)
            for (ours, theirs), proofs in self._proofs.items()
            if not self.rounds[ours].skipped and not self.rounds[theirs].skipped
        ]

    def _capture(self, mine: Sequence[Way]) -> None:
        """Learn, once, what goes through Reverie's engines, in a run that is not measured."""
        for way in mine:
            if self._captured[1]:
                return
            folder = self._folder(way, "captured")
            asked: dict[str, Any] = {"threads": self.threads, "capture": True}
            outputs = run_way(way, command(way), self.work, folder, **asked).get("outputs", {})
            graphs = {n: v for n, v in outputs.items() if n.startswith("graph_")}
            if graphs:
                self._captured = (way.name, graphs)

    def _film(self, way: Way) -> Outputs | None:
        name = way.name.strip()
        rounds = self.rounds.setdefault(name, Rounds(name, way.peer, way.precision))
        rounds.skipped = rounds.skipped or way.reason
        if rounds.skipped:
            return None
        extra: Outputs = {}
        if way.peer == "openvino":  # what goes into the networks is Reverie's
            extra = {name: value for name, value in self._captured[1].items() if "_in_" in name}
        asked: dict[str, Any] = {"threads": self.threads, "extra": extra, "cold": self.cold}
        result = run_way(way, command(way), self.work, self._folder(way), **asked)
        if result.get("again"):
            seconds = result["seconds"]["convert"]
            print(f"  {name}: converted the checkpoint in {seconds:.1f} s", flush=True)
            result = run_way(way, command(way), self.work, self._folder(way), **asked)
        outputs: Outputs = result.pop("outputs", {})
        if result.get("skipped"):
            rounds.skipped = result["skipped"]
            return None
        rounds.precision = result["precisions"].get("denoiser", way.precision)
        rounds.results.append(result)
        print(f"  {name}: {result['marks'].get('done', sum(result['steps'])):.1f} s", flush=True)
        return outputs

    def _folder(self, way: Way, *more: str) -> Path:
        return self.folder / "-".join([*way.name.split(), *more])

    def _decode(self, ways: Sequence[Way], films: Mapping[str, Outputs]) -> dict[str, Outputs]:
        """Decode the same latents in processes that do nothing else."""
        latents: Outputs = {}
        for outputs in films.values():
            latents = latents or {n: v for n, v in outputs.items() if n.startswith("decoder_")}
        found: dict[str, Outputs] = {}
        if not latents:
            return found
        for way in ways:
            if way.name not in films or way.peer not in ("reverie", "diffusers"):
                continue
            if way.mode == "compile":  # it is the denoiser that is compiled
                continue
            for part in ("decode", "decode tiled")[: 1 + (way.peer != "reverie")]:
                result = run_way(
                    way,
                    command(way),
                    self.work,
                    self._folder(way, *part.split()),
                    threads=self.threads,
                    part="decode",
                    tiling=part == "decode tiled",
                    extra=latents,
                    cold=self.cold,
                )
                outputs = result.pop("outputs", {})
                self.rounds[way.name].results[-1][part] = result
                if not result.get("skipped"):
                    found[f"{part} {way.name}"] = outputs
        return found

    def _compare(
        self,
        one: Way,
        other: Way,
        films: Mapping[str, Outputs],
        decoded: Mapping[str, Outputs],
    ) -> dict[str, Proof]:
        precisions = (self._precision(one), self._precision(other))
        ours, theirs = films[one.name], films[other.name]
        if other.peer == "openvino":
            captured, runs = self._captured
            if captured not in (
                "",
                one.name,
            ):  # other weights make other inputs of all but the first run
                return {"film": Proof(False, f"its inputs are those of {captured}")}
            return {"film": prove_runs(runs, theirs, precisions)}
        start = self.work.arrays["noise_latents"]
        steps, family = int(self.work.settings["steps"]), self.work.family
        ends = [as_film_latents(one, steps, start, family) for one in (ours, theirs)]
        latents = prove_latents(
            compared(ends[0], family),
            compared(ends[1], family),
            start[:, :, 1:] if family == "wan" else start,
            precisions,
        )
        frames = prove_frames(ours.get("frames"), theirs.get("frames"), precisions)
        proofs = {"film": both(latents, frames)}
        mine = decoded.get(f"decode {one.name}")
        plain = decoded.get(f"decode {other.name}")
        tiled = decoded.get(f"decode tiled {other.name}")
        if mine is not None and plain is not None:
            exact = prove_frames(mine.get("frames"), plain.get("frames"), precisions)
            proofs["decode"] = exact
            if tiled is not None:
                proofs["tiled"] = prove_tiled(exact, tiled.get("frames"), plain.get("frames"))
        return proofs

    def _precision(self, way: Way) -> str:
        """The precision that a way calculated in, or stored its denoiser's weights in."""
        return self.rounds[way.name].precision
