"""Every failure that leaves this package, as one tree.

    LipsyncError
    ├── InputError                what was given cannot be used
    │   ├── FileMissing           no such file
    │   ├── NotAFile              a directory or a device
    │   ├── FileUnreadable        permissions
    │   ├── FileEmpty             zero bytes
    │   ├── NotMedia              no container or picture format that can be read
    │   ├── MediaTruncated        it ends in the middle
    │   ├── NoVideoStream         sound only, where a picture is needed
    │   ├── NoAudioStream         picture only, where sound is needed
    │   ├── NoFrames              a video stream without a single picture
    │   ├── PictureTooSmall       too few pixels to find a mouth in
    │   ├── NoFaceFound           nobody in the footage
    │   ├── SoundTooShort         less than one frame of sound
    │   ├── SoundInvalid          NaN or infinite samples
    │   ├── SoundClipped          distorted beyond use
    │   ├── OptionInvalid         an option's value makes no sense
    │   ├── AddressForbidden      an address from which nothing is fetched
    │   ├── InputTooLarge         more bytes, seconds or pixels than are allowed
    │   ├── FetchFailed           the address did not give the file (retryable)
    │   └── ChecksumMismatch      what came is not what was announced
    ├── OutputError               the result cannot be delivered
    │   ├── OutputUnwritable      missing directory or permissions
    │   ├── OutputIsInput         it would overwrite what it is made from
    │   ├── OutputExists          there is a file already, and nobody said to replace it
    │   ├── DiskFull              no space left (retryable)
    │   ├── EncodeFailed          the encoder refused
    │   └── StorageFailed         the place where results are published did not take it (retryable)
    ├── ExtraMissing              an optional part of the package is not installed
    ├── OutOfMemory               memory ran out, and there was nothing smaller to try (retryable)
    ├── SettingInvalid            a setting is missing or makes no sense; names it
    ├── TaskError                 a task of the service cannot be had or changed
    │   ├── TaskMissing           there is no such task
    │   ├── TransitionForbidden   a task in that status cannot go to the other one
    │   ├── LeaseLost             another worker has the task now
    │   ├── TimedOut              it took longer than a task may
    │   └── WorkerLost            its worker died, more often than a task is tried
    └── ModelError                a network cannot be used
        ├── ModelMissing          the file is not there
        ├── ModelCorrupt          the file is not what it should be
        ├── InferenceFailed       it was loaded, and failed at run time
        ├── DeviceUnavailable     the device or the precision that was asked for is not to be had here
        ├── NotACheckpoint        not a file of weights, but a web page or something else
        ├── CheckpointTruncated   the file of weights ends early or is damaged
        ├── CheckpointRefused     it holds more than weights, and would have to be run
        ├── CheckpointMismatch    the weights are those of another network
        ├── CheckpointInvalid     the weights are not numbers
        ├── LicenceNotAccepted    nobody has agreed to the licence of these weights yet
        └── DownloadFailed        no home of the weights gave them whole (retryable)

Every class has a stable ``code`` and says with ``retryable`` whether the same call may succeed later.
``Cancelled`` stands outside: stopping on request is no failure.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar


class Cancelled(Exception):
    """The caller asked to stop. ``complete``: the files that were whole by then, and stay."""

    def __init__(self, message: str, complete: Sequence[Path] = ()) -> None:
        super().__init__(message)
        self.complete = tuple(complete)


class LipsyncError(Exception):
    """Base of every error that this package raises on purpose; its text is one line for a person."""

    code: ClassVar[str] = "error"
    retryable: ClassVar[bool] = False


class InputError(LipsyncError):
    """What was given cannot be used."""

    code = "input_invalid"


class FileMissing(InputError):
    """There is no such file."""

    code = "file_missing"


class NotAFile(InputError):
    """A directory or a device stands where a file is expected."""

    code = "not_a_file"


class FileUnreadable(InputError):
    """The file is there and may not be read."""

    code = "file_unreadable"


class FileEmpty(InputError):
    """The file has zero bytes."""

    code = "file_empty"


class NotMedia(InputError):
    """No container or picture format that can be read."""

    code = "not_media"


class MediaTruncated(InputError):
    """The file ends in the middle."""

    code = "media_truncated"


class NoVideoStream(InputError):
    """Sound only, where a picture is needed."""

    code = "no_video_stream"


class NoAudioStream(InputError):
    """Picture only, where sound is needed."""

    code = "no_audio_stream"


class NoFrames(InputError):
    """A video stream without a single picture."""

    code = "no_frames"


class FrameTooSmall(InputError):
    """Too few pixels to find a mouth in."""

    code = "frame_too_small"


class NoFaceFound(InputError):
    """Nobody in the footage."""

    code = "no_face_found"


class AudioTooShort(InputError):
    """Less than one frame of sound."""

    code = "audio_too_short"


class AudioInvalid(InputError):
    """NaN or infinite samples."""

    code = "audio_invalid"


class AudioClipped(InputError):
    """Distorted beyond use."""

    code = "audio_clipped"


class OptionInvalid(InputError):
    """An option's value makes no sense."""

    code = "option_invalid"


class AddressForbidden(InputError):
    """An address from which nothing is fetched."""

    code = "address_forbidden"


class InputTooLarge(InputError):
    """More bytes, seconds or pixels than are allowed."""

    code = "input_too_large"


class FetchFailed(InputError):
    """The address did not give the file."""

    code = "fetch_failed"
    retryable = True


class ChecksumMismatch(InputError):
    """What came is not what was announced."""

    code = "checksum_mismatch"


class OutputError(LipsyncError):
    """The result cannot be delivered."""

    code = "output_failed"


class OutputUnwritable(OutputError):
    """The directory is missing, or writing there is not allowed."""

    code = "output_unwritable"


class OutputIsInput(OutputError):
    """The result would overwrite what it is made from."""

    code = "output_is_input"


class OutputExists(OutputError):
    """There is a file already, and nobody said to replace it."""

    code = "output_exists"


class DiskFull(OutputError):
    """No space left where the result goes."""

    code = "disk_full"
    retryable = True


class EncodeFailed(OutputError):
    """The encoder refused the settings or the pictures."""

    code = "encode_failed"


class StorageFailed(OutputError):
    """The place where results are published did not take it."""

    code = "storage_failed"
    retryable = True


class ExtraMissing(LipsyncError):
    """An optional part of the package is not installed."""

    code = "extra_missing"


class OutOfMemory(LipsyncError):
    """Memory ran out, and there was nothing smaller to try."""

    code = "out_of_memory"
    retryable = True


class SettingInvalid(LipsyncError):
    """A setting is missing or makes no sense."""

    code = "setting_invalid"


class TaskError(LipsyncError):
    """A task of the service cannot be had or changed."""

    code = "task_error"


class TaskMissing(TaskError):
    """There is no such task."""

    code = "task_missing"


class TransitionForbidden(TaskError):
    """A task in that status cannot go to the other one."""

    code = "transition_forbidden"


class LeaseLost(TaskError):
    """Another worker has the task now."""

    code = "lease_lost"


class TimedOut(TaskError):
    """It took longer than a task may."""

    code = "timed_out"


class WorkerLost(TaskError):
    """Its worker died, more often than a task is tried."""

    code = "worker_lost"


class ModelError(LipsyncError):
    """A network cannot be used."""

    code = "model_error"


class ModelMissing(ModelError):
    """The model's file is not there."""

    code = "model_missing"


class ModelCorrupt(ModelError):
    """The model's file is not what it should be."""

    code = "model_corrupt"


class InferenceFailed(ModelError):
    """The network was loaded and failed at run time."""

    code = "inference_failed"


class DeviceUnavailable(ModelError):
    """The device or the precision that was asked for is not to be had here."""

    code = "device_unavailable"


class NotACheckpoint(ModelError):
    """Not a file of weights, but a web page or something else."""

    code = "not_a_checkpoint"


class CheckpointTruncated(ModelError):
    """The file of weights ends early or is damaged."""

    code = "checkpoint_truncated"


class CheckpointRefused(ModelError):
    """The file holds more than weights, and would have to be run."""

    code = "checkpoint_refused"


class CheckpointMismatch(ModelError):
    """The weights are those of another network."""

    code = "checkpoint_mismatch"


class CheckpointInvalid(ModelError):
    """The weights are not numbers."""

    code = "checkpoint_invalid"


class LicenceNotAccepted(ModelError):
    """Nobody has agreed to the licence of these weights yet."""

    code = "licence_not_accepted"


class DownloadFailed(ModelError):
    """No home of the weights gave them whole."""

    code = "download_failed"
    retryable = True
