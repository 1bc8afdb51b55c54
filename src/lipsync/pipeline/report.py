"""Report the outcome of a finished job."""

from __future__ import annotations

import sys
from collections.abc import Iterator

from lipsync.monitor import Monitor
from lipsync.pipeline.context import JobOutcome, RenderContext
from lipsync.pipeline.job import Enhanced, EnhanceStatus, Inputs, Job, Result

NOTABLE_CLIPPING = 0.01  # share of the samples at full scale
SURE_FACE = 0.995  # score of a face, below which it is covered, drawn or an animal's


def report(job: Job, inputs: Inputs, outcome: JobOutcome, monitor: Monitor, seconds: float) -> Result:
    """Return the result of a job that took ``seconds`` in total."""
    context, final = outcome.context, outcome.outputs[0]
    return Result(
        outputs=outcome.outputs,
        frames=context.plan.frame_count,
        faces=context.face_count,
        width=final.width,
        height=final.height,
        rate=context.rate,
        duration=context.speech.stats.duration,
        padding=final.padding,
        resize_factor=context.job.resize_factor,
        seconds=monitor.seconds | {"total": seconds},
        peak_memory=_peak_memory(),
        inputs=inputs,
        warnings=tuple(_warnings(job, outcome)),
        enhanced=outcome.enhanced,
    )


def _warnings(job: Job, outcome: JobOutcome) -> Iterator[str]:
    context = outcome.context
    if context.video.video.variable and not context.video.picture:
        rate = float(context.rate)
        yield f"the video's frame rate is not constant; frames are repeated or dropped to reach {rate:.6g} frames/s"
    audio = context.audio.audio
    if audio is not None and audio.stated is not None:
        yield f"the audio file is truncated: it ends after {float(audio.duration):.1f} of {float(audio.stated):.1f} s"
    clipped_share = context.speech.stats.clipped_share
    if clipped_share > NOTABLE_CLIPPING:
        yield f"{clipped_share:.0%} of the audio is clipped"
    if context.video.video.transparent and not context.video.keeps_transparency:
        yield "the video is transparent; --background is behind it. --encode webm or prores4444 keeps transparency"
    if any(chain.engine.needs_faces for chain in outcome.chains):
        yield from _face_warnings(context)
    for output in outcome.outputs[: len(outcome.chains)]:
        if output.run_info is not None:
            if not output.edited:
                yield f"{output.engine}: no frame was changed"
            yield from (f"{output.engine}: {note}" for note in output.run_info.notes)
    if lost := dict.fromkeys(name for output in outcome.outputs for name in output.lost):
        yield f"not carried over from the video, as the container cannot hold it: {', '.join(lost)}"
    factor = context.job.resize_factor
    if factor > job.resize_factor:
        yield f"memory ran out; the output has 1/{factor} of the video's resolution"
    if outcome.enhanced is not None:
        yield from _enhancement_warnings(outcome.enhanced)


def _face_warnings(context: RenderContext) -> Iterator[str]:
    frames, faces, score = context.plan.frame_count, context.face_count, context.track.score
    if faces < frames:
        yield f"the face is out of view in {frames - faces} of {frames} frames, which are copied unchanged"
    if faces and score < SURE_FACE:
        yield (
            f"the face may be masked, drawn or no person's (score {score:.2f} of 1), so the new mouth may look wrong; "
            "check the result"
        )


def _enhancement_warnings(enhanced: Enhanced) -> Iterator[str]:
    if enhanced.status is not EnhanceStatus.COMPLETED:
        yield f"not enhanced: {enhanced.message}"
    elif enhanced.message:
        yield enhanced.message
    yield from (note for run_info in enhanced.run_info.values() for note in run_info.notes)


def _peak_memory() -> int:
    """The peak resident set size of the process in bytes; 0 if the system does not provide it."""
    try:
        import resource
    except ImportError:
        return 0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
