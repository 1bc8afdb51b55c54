"""The exit code of every outcome. A code keeps its meaning for good; new ones go to the end of their ten."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from lipsync import errors

OK, USAGE, BUG, INTERRUPTED, TERMINATED = 0, 2, 70, 130, 143

EXITS: Mapping[type[errors.LipsyncError], int] = MappingProxyType(
    {
        errors.FileMissing: 10,
        errors.NotAFile: 11,
        errors.FileUnreadable: 12,
        errors.FileEmpty: 13,
        errors.NotMedia: 14,
        errors.MediaTruncated: 15,
        errors.NoVideoStream: 16,
        errors.NoAudioStream: 17,
        errors.NoFrames: 18,
        errors.FrameTooSmall: 19,
        errors.NoFaceFound: 20,
        errors.AudioTooShort: 21,
        errors.AudioInvalid: 22,
        errors.AudioClipped: 23,
        errors.OptionInvalid: 24,
        errors.AddressForbidden: 25,
        errors.InputTooLarge: 26,
        errors.FetchFailed: 27,
        errors.ChecksumMismatch: 28,
        errors.OutputUnwritable: 30,
        errors.OutputIsInput: 31,
        errors.OutputExists: 32,
        errors.DiskFull: 33,
        errors.EncodeFailed: 34,
        errors.StorageFailed: 35,
        errors.ModelMissing: 40,
        errors.ModelCorrupt: 41,
        errors.InferenceFailed: 42,
        errors.ExtraMissing: 43,
        errors.NotACheckpoint: 44,
        errors.CheckpointTruncated: 45,
        errors.CheckpointRefused: 46,
        errors.CheckpointMismatch: 47,
        errors.CheckpointInvalid: 48,
        errors.LicenceNotAccepted: 49,
        errors.DownloadFailed: 50,
        errors.DeviceUnavailable: 51,
        errors.OutOfMemory: 52,
        errors.SettingInvalid: 60,
        errors.TaskMissing: 61,
        errors.TransitionForbidden: 62,
        errors.LeaseLost: 63,
        errors.TimedOut: 64,
        errors.WorkerLost: 65,
    }
)


def exit_code(error: errors.LipsyncError) -> int:
    """The code of an error's class, or of the nearest class above it that has one."""
    return next((EXITS[kind] for kind in type(error).__mro__ if kind in EXITS), BUG)
