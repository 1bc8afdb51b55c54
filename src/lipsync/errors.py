"""All errors of the package, as one tree below ``LipsyncError``.

Each class states a stable ``code``, a ``title``, a ``remedy`` and whether the same call may succeed later
(``retryable``). HTTP problem titles and the error reference come from here; exit codes are in ``cli/exit_codes.py``.
``Cancelled`` is outside the tree: stopping on request is not a failure.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar


class Cancelled(Exception):
    """The caller asked to stop. ``complete``: the output files that were finished before that and are kept."""

    def __init__(self, message: str, complete: Sequence[Path] = ()) -> None:
        super().__init__(message)
        self.complete = tuple(complete)


class LipsyncError(Exception):
    """Base of all errors that this package raises on purpose. Its text is one line: the problem, then the remedy."""

    code: ClassVar[str] = "error"
    retryable: ClassVar[bool] = False
    title: ClassVar[str] = "The operation failed"
    remedy: ClassVar[str] = "See the message."


class InputError(LipsyncError):
    """Base of all errors about inputs and options."""

    code = "input_invalid"
    title = "The input cannot be used"
    remedy = "Check the input files and options."


class FileMissing(InputError):
    code = "file_missing"
    title = "The file does not exist"
    remedy = "Check the path."


class NotAFile(InputError):
    code = "not_a_file"
    title = "The path is a folder or a device"
    remedy = "Give the path of a regular file."


class FileUnreadable(InputError):
    code = "file_unreadable"
    title = "The file cannot be read"
    remedy = "Check its permissions."


class FileEmpty(InputError):
    code = "file_empty"
    title = "The file is empty"
    remedy = "Copy or download it again."


class NotMedia(InputError):
    code = "not_media"
    title = "The file is not a readable media format"
    remedy = (
        "Use a format that FFmpeg reads, such as MP4, MOV, MKV, WAV or MP3, or a JPEG, PNG, HEIC, WebP or AVIF picture."
    )


class MediaTruncated(InputError):
    code = "media_truncated"
    title = "The file is truncated or damaged"
    remedy = "Copy or download it again."


class NoVideoStream(InputError):
    code = "no_video_stream"
    title = "The file has no video stream"
    remedy = "Use a video or a photo."


class NoAudioStream(InputError):
    code = "no_audio_stream"
    title = "The file has no audio stream"
    remedy = "Use an audio file, or a video with audio."


class NoFrames(InputError):
    code = "no_frames"
    title = "The video contains no frames"
    remedy = "Export the video again."


class FrameTooSmall(InputError):
    code = "frame_too_small"
    title = "The frame is too small"
    remedy = "Use a video of higher resolution."


class NoFaceFound(InputError):
    code = "no_face_found"
    title = "No face was detected"
    remedy = "Use a video in which the face is large, lit and turned to the camera, or locate it with --box."


class AudioTooShort(InputError):
    code = "audio_too_short"
    title = "The audio is shorter than one frame"
    remedy = "Use a longer recording."


class AudioInvalid(InputError):
    code = "audio_invalid"
    title = "The audio contains NaN or infinite samples"
    remedy = "Export the audio again."


class AudioClipped(InputError):
    code = "audio_clipped"
    title = "The audio is clipped beyond use"
    remedy = "Record or export it at a lower level."


class OptionInvalid(InputError):
    code = "option_invalid"
    title = "An option has an invalid value"
    remedy = "Use a value that the message names as valid."


class AddressForbidden(InputError):
    code = "address_forbidden"
    title = "The address is not allowed"
    remedy = (
        "Use a public address, or let the operator add the host to LIPSYNC_INPUT_ALLOWED_HOSTS or the bucket "
        "to LIPSYNC_INPUT_BUCKETS."
    )


class InputTooLarge(InputError):
    code = "input_too_large"
    title = "The input exceeds a limit"
    remedy = "Use a smaller or shorter input, or raise the limit."


class FetchFailed(InputError):
    code = "fetch_failed"
    retryable = True
    title = "The download failed"
    remedy = "Check the address and the server, then try again."


class ChecksumMismatch(InputError):
    code = "checksum_mismatch"
    title = "The checksum does not match"
    remedy = "Check the expected checksum, or transfer the file again."


class OutputError(LipsyncError):
    """Base of all errors about results."""

    code = "output_failed"
    title = "The output cannot be delivered"
    remedy = "Check the output path."


class OutputUnwritable(OutputError):
    code = "output_unwritable"
    title = "The output cannot be written"
    remedy = "Check that the folder exists and is writable."


class OutputIsInput(OutputError):
    code = "output_is_input"
    title = "The output would overwrite an input"
    remedy = "Choose another output path."


class OutputExists(OutputError):
    code = "output_exists"
    title = "The output already exists"
    remedy = "Use --overwrite, or choose another path."


class DiskFull(OutputError):
    code = "disk_full"
    retryable = True
    title = "The disk is full"
    remedy = "Free some space, then try again."


class EncodeFailed(OutputError):
    code = "encode_failed"
    title = "The encoder failed"
    remedy = "Choose another encoding preset."


class StorageFailed(OutputError):
    code = "storage_failed"
    retryable = True
    title = "The storage, task database or broker is unavailable"
    remedy = "Check that it is reachable, then try again."


class ExtraMissing(LipsyncError):
    code = "extra_missing"
    title = "An optional dependency is not installed"
    remedy = "Install the extra that the message names."


class OutOfMemory(LipsyncError):
    code = "out_of_memory"
    retryable = True
    title = "Not enough memory"
    remedy = "Free memory, or use a smaller --batch-size or a larger --resize-factor."


class SettingInvalid(LipsyncError):
    code = "setting_invalid"
    title = "A setting is missing or invalid"
    remedy = "Correct the setting that the message names; lipsync settings lists them all."


class TaskError(LipsyncError):
    """Base of all errors about tasks of the service."""

    code = "task_error"
    title = "The task cannot be read or changed"
    remedy = "Check the task with lipsync tasks show ID."


class TaskMissing(TaskError):
    code = "task_missing"
    title = "The task does not exist"
    remedy = "Check the ID; finished tasks are deleted after LIPSYNC_RETENTION_DAYS."


class TransitionForbidden(TaskError):
    code = "transition_forbidden"
    title = "The task's status does not allow this"
    remedy = "Check the status with lipsync tasks show ID."


class LeaseLost(TaskError):
    code = "lease_lost"
    title = "Another worker has taken over the task"
    remedy = "None needed: the other worker finishes the task."


class TimedOut(TaskError):
    code = "timed_out"
    title = "The task exceeded its time limit"
    remedy = "Use shorter inputs, or raise the time limit that the message names."


class WorkerLost(TaskError):
    code = "worker_lost"
    title = "The worker stopped before the task was done"
    remedy = "Check the workers' logs and memory, then retry the task."


class ModelError(LipsyncError):
    """Base of all errors about models, devices and checkpoints."""

    code = "model_error"
    title = "The model cannot be used"
    remedy = "Check the installation with lipsync doctor."


class ModelMissing(ModelError):
    code = "model_missing"
    title = "The model is not installed"
    remedy = "Run lipsync models fetch NAME or lipsync models import."


class ModelCorrupt(ModelError):
    code = "model_corrupt"
    title = "The model file is damaged"
    remedy = "Remove it with lipsync models remove NAME and install it again."


class InferenceFailed(ModelError):
    code = "inference_failed"
    title = "Inference failed"
    remedy = "Try --device cpu; report the problem if that fails as well."


class DeviceUnavailable(ModelError):
    code = "device_unavailable"
    title = "The device or precision is not available"
    remedy = "Choose another --device or --precision; lipsync doctor lists the devices."


class NotACheckpoint(ModelError):
    code = "not_a_checkpoint"
    title = "The file is not a checkpoint"
    remedy = "Download the checkpoint again; web pages are often saved in its place."


class CheckpointTruncated(ModelError):
    code = "checkpoint_truncated"
    title = "The checkpoint is truncated or damaged"
    remedy = "Download it again."


class CheckpointRefused(ModelError):
    code = "checkpoint_refused"
    title = "The checkpoint contains executable code"
    remedy = "Use a checkpoint that holds weights only."


class CheckpointMismatch(ModelError):
    code = "checkpoint_mismatch"
    title = "The checkpoint belongs to another model"
    remedy = "Check the model's name and the checkpoint's source."


class CheckpointInvalid(ModelError):
    code = "checkpoint_invalid"
    title = "The weights contain NaN or infinity"
    remedy = "Use another checkpoint."


class LicenseNotAccepted(ModelError):
    code = "license_not_accepted"
    title = "The model's license has not been accepted"
    remedy = "Read the license, then repeat the command with --accept-license."


class DownloadFailed(ModelError):
    code = "download_failed"
    retryable = True
    title = "No mirror delivered a complete file"
    remedy = "Check the network, then try again; or download the file elsewhere and use lipsync models import."


def one_line(text: object) -> str:
    """Join the lines of a text, such as the message of a foreign error."""
    return " ".join(str(text).split())


def unexpected(error: BaseException) -> str:
    """Describe an error that is not of this tree, in one line."""
    return one_line(f"unexpected {type(error).__name__}: {error}")
