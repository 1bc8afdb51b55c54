"""The options of a task, and an estimate of its duration."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel, Field

from lipsync.api.auth import Reader
from lipsync.api.option_model import Options
from lipsync.api.problems import error_responses
from lipsync.api.requests import EstimateRequest
from lipsync.engines import ENGINES
from lipsync.enhancers import RESTORERS, UPSCALERS, best_upscaler, parse_upscale
from lipsync.tasks.options import check_options

FRAME_RATE = 25  # frames/s that a video is assumed to have
REFERENCE_PIXELS = 1280 * 720  # of the frames that engines' and upscalers' speeds refer to
FIXED_SHARE = 0.5  # share of the time that does not depend on the size of the frame
START_SECONDS = 2.0  # for each engine

router = APIRouter(tags=["service"])


class OptionsView(BaseModel):
    """Engines, enhancers and options that `POST /v1/tasks` accepts."""

    engines: list[str] = Field(description="Names for `engines`.")
    restorers: dict[str, str] = Field(description="Names for `enhance`, with the license of their weights.")
    upscalers: dict[str, str] = Field(description="Names for `upscale`, with the license of their weights.")
    options: dict[str, Any] = Field(description="JSON Schema of `options`.")
    defaults: dict[str, Any] = Field(description="Defaults of `options`.")


class Estimate(BaseModel):
    """Estimated duration of a task."""

    seconds: float = Field(description="Seconds on two CPU cores, without queueing, downloads and uploads.")
    engines: dict[str, float] = Field(description="Seconds for each engine.")


@router.get(
    "/v1/options",
    summary="List the options of a task",
    description="Returns the engines, the enhancers, and the options with their ranges and defaults.",
    response_description="The options",
    responses=error_responses(),
)
def get_options(caller: Reader) -> OptionsView:
    return OptionsView(
        engines=list(ENGINES),
        restorers={name: entry.license for name, entry in RESTORERS.items()},
        upscalers={name: entry.license for name, entry in UPSCALERS.items()},
        options=Options.model_json_schema(),
        defaults=Options().model_dump(),
    )


@router.post(
    "/v1/estimate",
    summary="Estimate the duration of a task",
    description="Returns a rough estimate. The actual time may be half or twice as long, and far shorter on a GPU.",
    response_description="The estimate",
    responses=error_responses(413),
)
def estimate_task(body: EstimateRequest, caller: Reader) -> Estimate:
    options = body.options.model_dump(mode="json")
    check_options(options, body.engines)
    frames = body.seconds * FRAME_RATE
    size = body.width * body.height / options["resize_factor"] ** 2 / REFERENCE_PIXELS
    scale = FIXED_SHARE + (1 - FIXED_SHARE) * size
    extra = frames * _enhance_seconds(options, size)
    engines: dict[str, float] = {
        name: round(START_SECONDS + frames / ENGINES[name].frames_per_second * scale + extra, 1)
        for name in body.engines
    }
    return Estimate(seconds=round(sum(engines.values()), 1), engines=engines)


def _enhance_seconds(options: Mapping[str, Any], size: float) -> float:
    """Seconds to enhance a frame of ``size`` times the reference's pixels."""
    seconds = 0.0
    if options["enhance"]:
        restorer = RESTORERS[options["enhance"].partition(":")[0]]
        seconds += 1 / restorer.faces_per_second
    if options["upscale"]:
        factor, name = parse_upscale(options["upscale"])
        upscaler = UPSCALERS[name or best_upscaler(factor)[0]]
        seconds += size / upscaler.frames_per_second * (factor / 2) ** 2
    return seconds
