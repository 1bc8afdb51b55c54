"""How a path is given to FFmpeg, so that it opens that file and no other."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

# Demuxers that read one file. Playlists and lists, such as hls, dash, concat, imf and sdp, name further files or hosts.
VIDEO_FORMATS: Final = (
    "mov", "matroska", "avi", "mpegts", "mpeg", "mpegvideo", "flv", "live_flv", "asf", "ogg", "mxf", "gxf",
    "nut", "wtv", "rm", "dv", "ivf", "obu", "h261", "h263", "h264", "hevc", "vvc", "av1", "m4v", "vc1", "mjpeg",
    "yuv4mpegpipe", "amv", "apng", "gif", "nsv", "nuv", "smjpeg", "dirac", "cine", "r3d", "ipmovie", "roq",
    "smk", "bink", "film_cpk",
)  # fmt: skip
AUDIO_FORMATS: Final = (
    "wav", "w64", "aiff", "caf", "au", "flac", "mp3", "aac", "loas", "ac3", "ac4", "eac3", "dts", "dtshd",
    "truehd", "mlp", "amr", "amrnb", "amrwb", "ape", "wv", "tta", "tak", "voc", "mpc", "mpc8", "dsf", "iff",
    "sox", "shn", "oma", "xwma", "aa", "aax", "qoa", "ircam", "nistsphere", "gsm", "sbc", "aptx", "aptx_hd",
    "bonk", "osq", "rso", "pvf", "avr", "act",
)  # fmt: skip
PICTURE_FORMATS: Final = (
    "image2", "avif", "ico", "bmp_pipe", "dds_pipe", "dpx_pipe", "exr_pipe", "gif_pipe", "hdr_pipe", "j2k_pipe",
    "jpeg_pipe", "jpegls_pipe", "pam_pipe", "pbm_pipe", "pcx_pipe", "pfm_pipe", "pgm_pipe", "pgx_pipe",
    "phm_pipe", "png_pipe", "ppm_pipe", "psd_pipe", "qoi_pipe", "sgi_pipe", "sunrast_pipe", "tiff_pipe",
    "webp_pipe", "xbm_pipe", "xpm_pipe", "xwd_pipe",
)  # fmt: skip
# pattern_type: else FFmpeg takes the number in photo%d.png for a pattern, and reads photo1.png, photo2.png ... instead.
READ_OPTIONS: Final[Mapping[str, str]] = {
    "pattern_type": "none",
    "protocol_whitelist": "file",
    "format_whitelist": ",".join((*VIDEO_FORMATS, *AUDIO_FORMATS, *PICTURE_FORMATS)),
}


def file_url(path: Path) -> str:
    """Return the URL of a file. Without a scheme, a name such as ``10:30.mp4`` would name a protocol."""
    return f"file:{path}"
