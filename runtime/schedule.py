"""Schedules as tables of coefficients, and the way from a bundle to one.

A schedule says how far each step goes; see `table` for its form, `euler` and `multistep` for the
samplers, and `denoise` for the loop that runs it.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from ..engines.errors import BundleError, SettingsError
from .euler import euler, euler_karras, flow_euler
from .multistep import dpmpp_2m, unipc_flow
from .table import Row, Schedule, check_steps

__all__ = [
    "BUILDERS",
    "Row",
    "Schedule",
    "dpmpp_2m",
    "euler",
    "euler_karras",
    "flow_euler",
    "mu_for_size",
    "mu_for_tokens",
    "schedule_from_manifest",
    "unipc_flow",
]


def mu_for_tokens(
    tokens: int,
    *,
    base_tokens: int = 1024,
    max_tokens: int = 4096,
    base_shift: float = 0.95,
    max_shift: float = 2.05,
) -> float:
    """The mu of `flow_euler` for a number of latent tokens, on a straight line; LTX's values."""
    slope = (max_shift - base_shift) / (max_tokens - base_tokens)
    return base_shift + slope * (tokens - base_tokens)


def mu_for_size(entry: Mapping[str, Any], tokens: int) -> float | None:
    """The mu of a bundle's schedule at a number of latent tokens; None where its shift is fixed.

    entry: the manifest's "schedule"; its "dynamic_shift" holds base_tokens, max_tokens, base_shift
    and max_shift.
    """
    shift = entry.get("dynamic_shift")
    if shift is None:
        return None
    names = ("base_tokens", "max_tokens", "base_shift", "max_shift")
    try:
        return mu_for_tokens(tokens, **{name: shift[name] for name in names})
    except (KeyError, TypeError, ZeroDivisionError) as error:
        raise BundleError(
            f"the bundle's schedule.dynamic_shift needs {', '.join(names)} ({error!r}): "
            "export the model again"
        ) from error


BUILDERS: dict[str, Callable[..., Schedule]] = {
    "dpmpp_2m": dpmpp_2m,
    "euler": euler,
    "euler_karras": euler_karras,
    "flow_euler": flow_euler,
    "unipc_flow": unipc_flow,
}


def schedule_from_manifest(
    entry: Mapping[str, Any], *, steps: int | None = None, **overrides: Any
) -> Schedule:
    """The schedule a bundle names: {"type": "flow_euler", "steps": 10, "shift": 1.0, ...}.

    steps: what one call asks for instead of the bundle's own number; None keeps the latter.
    overrides: other fields of the type that this call sets, such as sigmas=; None keeps the
        bundle's. Given sigmas or timesteps say how many steps there are. A mu (see `mu_for_size`)
        counts only where the bundle's shift is dynamic, as in the references.

    Raises BundleError for an unknown type or a field that type does not have or cannot use,
    SettingsError when what the call asks for is impossible.
    """
    fields = dict(entry)
    kind = fields.pop("type", None)
    if not isinstance(kind, str) or kind not in BUILDERS:
        raise BundleError(
            f"the bundle asks for a schedule of type {kind!r}, which is not known here;"
            f" use one of: {', '.join(BUILDERS)}"
        )
    builder = BUILDERS[kind]
    known = list(inspect.signature(builder).parameters)
    for name in fields:
        if name not in known:
            raise BundleError(
                f"the bundle's schedule has a field {name!r} that {kind} does not know;"
                f" use some of: {', '.join(known)}"
            )
    asked = {name: value for name, value in overrides.items() if value is not None}
    if fields.get("dynamic_shift") is None:
        asked.pop("mu", None)
    for name in asked:
        if name not in known:
            raise SettingsError(
                f"this model's schedule ({kind}) has no {name}: use {', '.join(known)}"
            )
    if steps is not None:
        check_steps(steps)
        asked["steps"] = steps
    if {"sigmas", "timesteps"} & asked.keys():  # they take the place of the bundle's
        fields = {n: v for n, v in fields.items() if n not in ("sigmas", "timesteps")}
    try:
        schedule = builder(**{**fields, **asked})
    except (TypeError, ValueError, SettingsError) as error:
        if asked and _builds(builder, fields, asked):
            raise SettingsError(f"this schedule cannot be made: {error}") from error
        raise BundleError(
            f"the bundle's schedule cannot be used: {error}; mend 'schedule' in bundle.json"
        ) from error
    if steps is not None and schedule.steps != steps:
        raise SettingsError(
            f"{steps} steps were asked for and there are {schedule.steps} fixed ones;"
            " leave steps out"
        )
    return schedule


def _builds(
    builder: Callable[..., Schedule], fields: Mapping[str, Any], asked: Mapping[str, Any]
) -> bool:
    """Whether the bundle's own fields are in order, so that the fault is the call's."""
    own = {**fields, "mu": asked["mu"]} if "mu" in asked else fields
    try:
        builder(**own)
    except (TypeError, ValueError, SettingsError):
        return False
    return True
