"""A record as `reverie bench` writes it, of a machine that there is not."""

from __future__ import annotations

from typing import Any

import pytest
from reverie.benchmarks.bench.record import phase, record, summary


def row(**changes: Any) -> dict[str, Any]:
    """A row of three films of ten seconds."""
    return {
        "id": "ember 1280x720 240f cpu",
        "model": "ember",
        "family": "ember",
        "version": "1",
        "width": 1280,
        "height": 720,
        "frames": 240,
        "fps": 24,
        "steps": 10,
        "precision": {"maps": "fp32", "denoiser": "fp32"},
        "backend": "onnxruntime",
        "device": "cpu",
        "threads": 2,
        "photo": "grass-cliff.jpg",
        "asked": {"prompt": None, "repeat": 3},
        "phases": {
            "denoise": phase([0.01, 0.012, 0.011], per="step", totals=[0.1, 0.12, 0.11]),
            "encode": phase([2.0, 2.1, 2.2]),
        },
        "cold_start": {"import": summary([0.3, 0.31, 0.32]), "total": summary([1.0, 1.1, 1.2])},
        "end_to_end": summary([7.9, 8.0, 8.2]),
        "real_time_factor": 1.25,
        "host_peak_bytes": summary([400_000_000, 401_000_000, 402_000_000]),
        "device_peak_bytes": None,
        "timeline": [[0.0, 100_000_000, None], [1.0, 400_000_000, None]],
        "energy": {"source": None, "joules": None, "reason": "no rail"},
        "temperature": None,
        "throttled": None,
        "notes": [],
        **changes,
    }


MACHINE = {
    "processor": "A chip of 2026",
    "cores": 2,
    "memory_bytes": 8_000_000_000,
    "system": "Linux-6.18.44-annas-build-aarch64-with-glibc2.36",
    "python": "3.11.7",
    "packages": {"reverie": "0.1.0", "onnxruntime": "1.31.1"},
}


@pytest.fixture
def sent() -> dict[str, Any]:
    """A record that can be handed in; a test may change it."""
    photo = "/home/anna/secret place/me.jpg"
    command = ["reverie", "bench", "--photo", photo, "--json=out/a.json", "anna/ltx"]
    return record([row()], machine=dict(MACHINE), command=command)
