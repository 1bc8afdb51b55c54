"""Exit codes of the command line. A code never changes its meaning; append new ones to their group of ten."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from lipsync import errors

OK, NEGATIVE, USAGE, BUG, INTERRUPTED, PIPE_CLOSED, TERMINATED = 0, 1, 2, 70, 130, 141, 143

OTHERS: Mapping[int, str] = MappingProxyType(
    {
        OK: "success",
        NEGATIVE: "a check failed (lipsync doctor), or the output could not be written",
        USAGE: "invalid usage of the command line",
        BUG: "unexpected error; please report it",
        INTERRUPTED: "interrupted by Ctrl-C (SIGINT)",
        PIPE_CLOSED: "the reader of standard output closed it (SIGPIPE)",
        TERMINATED: "terminated by SIGTERM",
    }
)

EXIT_CODES: Mapping[type[errors.LipsyncError], int] = MappingProxyType(
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
        errors.LicenseNotAccepted: 49,
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


def exit_code_of(kind: type[errors.LipsyncError]) -> int:
    """Exit code of an error class: its own, or that of the nearest base class that has one."""
    return next((EXIT_CODES[base] for base in kind.__mro__ if base in EXIT_CODES), BUG)
