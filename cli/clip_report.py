"""A rendered clip as plain data, for --json."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..runtime.clip import Clip
    from ..runtime.pipeline import Rendered
    from ..runtime.planner import RenderPlan


def report(clip: Rendered) -> dict[str, Any]:
    """Return a clip as plain data for --json."""
    understanding = clip.understanding
    camera, light, motion = understanding.camera, understanding.light, understanding.motion
    return {
        **clip_facts(clip),
        "steps": clip.steps,
        "guidance": clip.guidance,
        "predicted_memory_bytes": clip.predicted_memory,
        "device_memory_bytes": clip.device_memory,
        "memory": None if clip.memory is None else _memory_plan(clip.memory),
        "prompt": {
            "understood": list(understanding.understood),
            "unused": list(understanding.unused),
            "camera": {"move": camera.move, "pace": camera.pace, "strength": camera.strength},
            "light": {"kind": light.kind, "strength": light.strength, "grain": light.grain},
            "motion": {
                "amount": motion.amount,
                "gains": dict(motion.gains),
                "wind": motion.wind,
                "wind_degrees": motion.wind_degrees,
                "people": motion.people,
            },
            "mood": understanding.mood,
        },
        "codec": clip.codec,
        "encoder": clip.encoder,
        "sound": clip.sound,
        "guards": None if clip.report is None else clip.report.as_dict(),
    }


def clip_facts(clip: Clip) -> dict[str, Any]:
    """Return what is told of every film, of one photo or of several."""
    return {
        "path": str(Path(clip.path).absolute()),
        "seconds": clip.seconds,
        "frames": clip.frames,
        "fps": clip.fps,
        "width": clip.width,
        "height": clip.height,
        "model": clip.model,
        "seed": clip.seed,
        "stages": {name: round(seconds, 3) for name, seconds in clip.stages.items()},
        "peak_memory_bytes": clip.peak_memory,
        "notes": list(clip.notes),
    }


def _memory_plan(plan: RenderPlan) -> dict[str, Any]:
    return {
        "device": plan.device,
        "fits": plan.fits,
        "verdict": plan.verdict,
        "peak_bytes": plan.peak_bytes,
        "phases": {phase.name: phase.peak_bytes for phase in plan.phases},
        "components": {
            row.name: {
                "precision": row.precision,
                "residency": row.residency,
                "backend": row.backend,
            }
            for row in plan.components
        },
    }


def weight(size: int) -> str:
    """Return a film's size on disk for a person: "2.5 MB", "48 kB"."""
    return f"{size / 1e6:.1f} MB" if size >= 1e5 else f"{size / 1e3:.0f} kB"
