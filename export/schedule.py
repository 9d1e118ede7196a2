"""A checkpoint's scheduler_config.json to the "schedule" of a bundle's manifest.

What the runtime cannot do, and would change the frames, is refused here, with what it can.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ..engines.errors import BundleError

Config = Mapping[str, Any]

_SPREADS = {
    "use_karras_sigmas": "karras",
    "use_exponential_sigmas": "exponential",
    "use_beta_sigmas": "beta",
}
_PREDICTIONS = {
    "epsilon": "epsilon",
    "v_prediction": "v",
    "sample": "sample",
    "flow_prediction": "flow",
}


def schedule_section(
    scheduler_class_name: str, config: Config, *, own_levels: bool = False
) -> dict[str, Any]:
    """Translate a diffusers scheduler into what `runtime.schedule.schedule_from_manifest` reads.

    config: scheduler_config.json; what is missing has the class's own defaults, and what the class
        does not know is left aside, both as in diffusers.
    own_levels: True where the pipeline hands the scheduler its own levels, from 1 to 1 / steps
        (LTXImageToVideoPipeline); else those that `set_timesteps(steps)` chooses are meant.

    A dynamic shift comes as {"dynamic_shift": {base_tokens, max_tokens, base_shift, max_shift,
    type}}: the runtime asks for mu at each render (`runtime.schedule.mu_for_size`).

    Raises:
        BundleError: a class or an option that the runtime cannot do, with what it can.
    """
    translate = _TRANSLATIONS.get(scheduler_class_name)
    if translate is None:
        raise BundleError(
            f"the scheduler {scheduler_class_name!r} is not known here: set the checkpoint's to "
            f"one of {', '.join(_TRANSLATIONS)}"
        )
    section = translate(_Options(scheduler_class_name, config))
    if own_levels:
        section.pop("last", None)
    return section


class _Options:
    """A scheduler's options, with the defaults of its class, and the refusals."""

    def __init__(self, owner: str, config: Config) -> None:
        self.owner = owner
        self._values = {**_DEFAULTS[owner], **{k: v for k, v in config.items() if v is not None}}

    def __getitem__(self, name: str) -> Any:
        return self._values.get(name)

    def refuse(self, name: str, why: str) -> BundleError:
        return BundleError(
            f"{self.owner} with {name} = {self[name]!r} is not supported: {why}; change it in the "
            "checkpoint's scheduler_config.json"
        )

    def only(self, name: str, *known: Any) -> Any:
        """Return an option that must be one of these."""
        if self[name] not in known:
            raise self.refuse(name, f"known: {', '.join(map(repr, known))}")
        return self[name]

    def none_of(self, *names: str) -> None:
        """Refuse options that are set."""
        for name in names:
            if self[name]:
                raise self.refuse(name, "it would change the frames; known: off")

    def spread(self) -> str:
        """Return how the levels are spread, by the one switch that is on."""
        switched = [name for name in _SPREADS if self[name]]
        if len(switched) > 1:
            raise self.refuse(switched[1], f"it excludes {switched[0]}")
        return _SPREADS[switched[0]] if switched else "even"

    def chosen(self, **names: str) -> dict[str, Any]:
        """Return fields that differ from the class's defaults: manifest name -> option."""
        return {
            field: self[name]
            for field, name in names.items()
            if self[name] is not None and self[name] != _DEFAULTS[self.owner].get(name)
        }

    def trained(self) -> dict[str, Any]:
        """Return the beta schedule."""
        section = {
            "beta_start": self["beta_start"],
            "beta_end": self["beta_end"],
            "beta_schedule": self.only(
                "beta_schedule", "linear", "scaled_linear", "squaredcos_cap_v2"
            ),
            "count": self["num_train_timesteps"],
        }
        if self["trained_betas"]:
            section["betas"] = list(self["trained_betas"])
        if self["rescale_betas_zero_snr"]:
            section["zero_snr"] = True
        return section


def _flow_euler(options: _Options) -> dict[str, Any]:
    options.none_of("invert_sigmas")
    kind = options.only("time_shift_type", "exponential", "linear")
    count = options["num_train_timesteps"]
    section: dict[str, Any] = {"type": "flow_euler", "timestep_scale": float(count)}
    lowest = 1.0 / count
    if options["use_dynamic_shifting"]:
        section["dynamic_shift"] = {
            "base_tokens": options["base_image_seq_len"],
            "max_tokens": options["max_image_seq_len"],
            "base_shift": options["base_shift"],
            "max_shift": options["max_shift"],
            "type": kind,
        }
    else:
        shift = section["shift"] = float(options["shift"])
        lowest = shift * lowest / (1.0 + (shift - 1.0) * lowest)
    section["last"] = lowest
    section |= options.chosen(terminal="shift_terminal", stochastic="stochastic_sampling")
    if options.spread() != "even":
        section["levels"] = options.spread()
    return section


def _euler(options: _Options) -> dict[str, Any]:
    prediction = options.only("prediction_type", "epsilon", "v_prediction", "sample")
    return {
        "type": "euler",
        "prediction": _PREDICTIONS[prediction],
        "levels": options.spread(),
        "spacing": options.only("timestep_spacing", "leading", "linspace", "trailing"),
        "steps_offset": options["steps_offset"],
        "told": options.only("timestep_type", "discrete", "continuous"),
        "interpolation": options.only("interpolation_type", "linear", "log_linear"),
        "final": options.only("final_sigmas_type", "zero", "sigma_min"),
        "trained": options.trained(),
        **options.chosen(sigma_min="sigma_min", sigma_max="sigma_max"),
    }


def _unipc(options: _Options) -> dict[str, Any]:
    options.only("prediction_type", "flow_prediction")
    options.only("use_flow_sigmas", True)
    options.only("predict_x0", True)
    options.none_of(
        "thresholding",
        "solver_p",
        "use_exponential_sigmas",
        "use_beta_sigmas",
        "use_dynamic_shifting",
    )
    solver = options.only("solver_type", "bh2", "bh1", "midpoint", "heun", "logrho")
    section = {
        "type": "unipc_flow",
        "shift": float(options["flow_shift"]),
        "order": options.only("solver_order", 1, 2, 3),
        "solver": "bh1" if solver == "bh1" else "bh2",
        "count": options["num_train_timesteps"],
        **options.chosen(
            lower_order_final="lower_order_final",
            disable_corrector="disable_corrector",
            final="final_sigmas_type",
            terminal="shift_terminal",
        ),
    }
    if options.spread() == "karras":
        section |= {"levels": "karras", "trained": options.trained()}
        section |= options.chosen(sigma_min="sigma_min", sigma_max="sigma_max")
    ends_low = section.get("final", "zero") == "zero"
    if not options["lower_order_final"] and section["order"] > (1 if ends_low else 2):
        raise options.refuse("lower_order_final", "with this order it gives NaN at the last step")
    return section


def _dpm(options: _Options) -> dict[str, Any]:
    options.only("algorithm_type", "dpmsolver++", "deis")
    options.none_of(
        "thresholding",
        "variance_type",
        "use_karras_sigmas",
        "use_exponential_sigmas",
        "use_beta_sigmas",
        "use_lu_lambdas",
        "rescale_betas_zero_snr",
        "trained_betas",
        "use_dynamic_shifting",
    )
    if options["lambda_min_clipped"] != float("-inf"):
        raise options.refuse("lambda_min_clipped", "it would change the frames; known: -Infinity")
    prediction = options.only("prediction_type", "flow_prediction", "epsilon", "v_prediction")
    flow = prediction == "flow_prediction"
    options.only("use_flow_sigmas", flow)
    if not flow:
        options.only("timestep_spacing", "linspace")
    solver = options.only("solver_type", "midpoint", "heun", "logrho", "bh1", "bh2")
    return {
        "type": "dpmpp_2m",
        "prediction": _PREDICTIONS[prediction],
        "shift": float(options["flow_shift"]),
        "order": options.only("solver_order", 1, 2),
        "solver": "heun" if solver == "heun" else "midpoint",
        "count": options["num_train_timesteps"],
        "beta_start": options["beta_start"],
        "beta_end": options["beta_end"],
        "beta_schedule": options.trained()["beta_schedule"],
        **options.chosen(
            lower_order_final="lower_order_final",
            euler_at_final="euler_at_final",
            final="final_sigmas_type",
        ),
    }


_BETAS = {
    "num_train_timesteps": 1000,
    "beta_start": 0.0001,
    "beta_end": 0.02,
    "beta_schedule": "linear",
    "prediction_type": "epsilon",
    "timestep_spacing": "linspace",
    "steps_offset": 0,
    "final_sigmas_type": "zero",
}
_MULTISTEP = {
    **_BETAS,
    "solver_order": 2,
    "lower_order_final": True,
    "use_flow_sigmas": False,
    "flow_shift": 1.0,
}
_DEFAULTS: dict[str, dict[str, Any]] = {
    "FlowMatchEulerDiscreteScheduler": {
        "num_train_timesteps": 1000,
        "shift": 1.0,
        "base_shift": 0.5,
        "max_shift": 1.15,
        "base_image_seq_len": 256,
        "max_image_seq_len": 4096,
        "time_shift_type": "exponential",
        "stochastic_sampling": False,
    },
    "EulerDiscreteScheduler": {
        **_BETAS,
        "interpolation_type": "linear",
        "timestep_type": "discrete",
    },
    "UniPCMultistepScheduler": {
        **_MULTISTEP,
        "predict_x0": True,
        "solver_type": "bh2",
        "disable_corrector": [],
    },
    "DPMSolverMultistepScheduler": {
        **_MULTISTEP,
        "algorithm_type": "dpmsolver++",
        "solver_type": "midpoint",
        "euler_at_final": False,
        "lambda_min_clipped": float("-inf"),
    },
}
_TRANSLATIONS: dict[str, Callable[[_Options], dict[str, Any]]] = {
    "FlowMatchEulerDiscreteScheduler": _flow_euler,
    "EulerDiscreteScheduler": _euler,
    "UniPCMultistepScheduler": _unipc,
    "DPMSolverMultistepScheduler": _dpm,
}
