"""What may be asked for, and how long it would take."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel, Field

from lipsync.api.auth import Reader
from lipsync.api.errors import problems
from lipsync.api.option_model import Options
from lipsync.api.requests import EstimateRequest
from lipsync.engines import ENGINES
from lipsync.enhancers import RESTORERS, UPSCALERS, best_upscaler, parse_upscale
from lipsync.tasks.options import check_options

RATE = 25  # frames/s that footage is taken to have
PIXELS = 1280 * 720  # of the frames that SPEED is about
SHARE = 0.5  # of the time that does not depend on the size of the picture
START = 2.0  # seconds, for each engine
# frames/s on two CPU cores; where there is a GPU, or there are more cores, it is faster
SPEED = {"passthrough": 120.0, "rewrite": 50.0, "wav2lip": 20.0, "wav2lip-gan": 20.0, "hybrid": 20.0}
RESTORED = 0.5  # faces/s, whatever the size of the frame
LANCZOS, NETWORK = 20.0, 0.5  # frames of 720p a second, made twice as large

router = APIRouter(tags=["service"])


class OptionsView(BaseModel):
    """What `POST /v1/tasks` takes."""

    engines: list[str]
    restorers: dict[str, str] = Field(description="what `enhance` may name, and the licence of its weights")
    upscalers: dict[str, str] = Field(description="what `upscale` may name, and the licence of its weights")
    options: dict[str, Any] = Field(description="JSON Schema of a new task's options")
    defaults: dict[str, Any]


class Estimate(BaseModel):
    """How long it might take."""

    seconds: float = Field(description="rough: on two CPU cores, without waiting, fetching and publishing")
    engines: dict[str, float] = Field(description="the same, for each engine")


@router.get("/v1/options", summary="What can be asked for", responses=problems())
def options(caller: Reader) -> OptionsView:
    """The engines, the enhancers, and the options with their defaults."""
    return OptionsView(
        engines=list(ENGINES),
        restorers={name: entry.licence for name, entry in RESTORERS.items()},
        upscalers={name: entry.licence for name, entry in UPSCALERS.items()},
        options=Options.model_json_schema(),
        defaults=Options().model_dump(),
    )


@router.post("/v1/estimate", summary="How long it might take", responses=problems(413))
def estimate(guess: EstimateRequest, caller: Reader) -> Estimate:
    """A rough guess: the real time may be half or twice that, and far less where there is a GPU."""
    options = guess.options.model_dump(mode="json")
    check_options(options, guess.engines)
    frames = guess.seconds * RATE
    pixels = guess.width * guess.height / options["resize_factor"] ** 2 / PIXELS
    size = SHARE + (1 - SHARE) * pixels
    more = frames * _enhanced(options, pixels)
    each: dict[str, float] = {
        engine: round(START + frames / SPEED[engine] * size + more, 1) for engine in guess.engines
    }
    return Estimate(seconds=round(sum(each.values()), 1), engines=each)


def _enhanced(options: Mapping[str, Any], pixels: float) -> float:
    """Seconds that a frame takes after its engine; ``pixels``: of 720p."""
    seconds = 1 / RESTORED if options["enhance"] else 0.0
    if options["upscale"]:
        factor, name = parse_upscale(options["upscale"])
        speed = LANCZOS if (name or best_upscaler(factor)[0]) == "lanczos" else NETWORK
        seconds += pixels / speed * (factor / 2) ** 2
    return seconds
