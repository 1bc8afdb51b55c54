"""Carry over the rest of a video's file: tags, chapters, timecode, subtitles, cover art and further audio tracks.

Packets are copied. Subtitles of text are converted where the container holds another kind.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, cast

import av
from av.container import InputContainer, OutputContainer
from av.packet import Packet
from av.stream import Stream
from av.subtitles.stream import SubtitleStream
from av.video.stream import VideoStream

from lipsync.media.decoding import first_video_stream
from lipsync.media.probe import open_media

MATROSKA, WEBM, IPOD = "matroska", "webm", "ipod"  # the last is FFmpeg's name of M4V
MUXER_TAGS = (
    "major_brand",
    "minor_version",
    "compatible_brands",
    "encoder",
    "duration",
    "timecode",
)  # each muxer's own
TRACK_TAGS = ("language", "title", "filename", "mimetype")
APPLE = "com.apple.quicktime."  # before the names of an iPhone's tags
AUDIO_CODECS = {  # that players read in each container; Matroska holds all
    "mp4": ("aac", "ac3", "eac3", "mp3", "mp3float", "opus", "flac", "alac"),
    WEBM: ("opus", "vorbis"),
    IPOD: ("aac", "alac"),
    "mov": ("aac", "ac3", "mp3", "mp3float", "alac", "pcm_s16le", "pcm_s16be", "pcm_s24le", "pcm_s24be"),
}
TEXT_CODECS = ("subrip", "srt", "ass", "ssa", "webvtt", "mov_text", "text")
# The kinds of text that each container holds, the best encoder first; MP4 and its relatives hold MOV_TEXT.
TEXT_KINDS = {MATROSKA: ("subrip", "srt", "ass", "ssa", "webvtt"), WEBM: ("webvtt",)}
MOV_TEXT = ("mov_text",)
EMPTY_TEXT = bytes(2)  # MOV's sample between two subtitles
MILLISECOND = Fraction(1, 1000)


@dataclass(frozen=True, slots=True)
class _Track:
    """A stream and its place in the output; ``converted``: to the output's kind of subtitles."""

    source: Stream
    target: Stream
    converted: bool


class CarriedOver:
    """The part of the file ``source`` that an output takes. Make it before the output's first packet.

    ``video``: the output's video stream. ``start``: the time in the source at which the output begins; ``seconds``: the
    output's length. ``lost``: what the output cannot hold, in words. Raises what ``open_media`` raises.
    """

    def __init__(
        self, out: OutputContainer, video: VideoStream, source: Path, start: Fraction, seconds: Fraction
    ) -> None:
        self._out, self._start, self._seconds = out, start, seconds
        self.lost: list[str] = []
        self._stack = ExitStack()
        self._source = self._stack.enter_context(open_media(source))
        self._tracks = {track.source.index: track for track in self._add_tracks()}
        self._add_tags(video)
        self._add_chapters()
        self._packets = self._demuxed()
        self._next = next(self._packets, None)

    def copy_until(self, time: Fraction) -> None:
        """Add the packets up to ``time`` seconds of the output."""
        while self._next is not None and self._time(self._next) < time:
            self._mux(self._next)
            self._next = next(self._packets, None)

    def finish(self) -> None:
        """Add the remaining packets."""
        self.copy_until(self._seconds)

    def missing(self, written: Path) -> tuple[str, ...]:
        """Return what the finished file does not hold, in words. Raises what ``open_media`` raises."""
        with open_media(written) as container:
            found = _tags(container.metadata)
            tags = [key for key in _tags(self._source.metadata) if key not in found]
        return (*self.lost, *([f"tags ({', '.join(tags)})"] if tags else []))

    def close(self) -> None:
        """Close the source. Safe to call more than once."""
        self._stack.close()

    def _add_tracks(self) -> Iterator[_Track]:
        first, audio = first_video_stream(self._source), self._source.streams.audio[:1]
        for stream in self._source.streams:
            if stream is first or stream in audio or _is_rebuilt(stream, self._source):
                continue
            track = self._track(stream)
            if track is None:
                self.lost.append(_name(stream))
                continue
            track.target.metadata.update(_track_tags(stream.metadata))
            cast(Any, track.target).disposition = stream.disposition
            if stream.type != "attachment":
                yield track

    def _track(self, stream: Stream) -> _Track | None:
        codec = stream.codec_context.name if stream.codec_context is not None else ""
        form = self._out.format.name
        matroska = form == MATROSKA
        if stream.type == "audio":
            kept = matroska or codec in AUDIO_CODECS.get(form, ())
        elif stream.type == "subtitle":
            text = codec in TEXT_CODECS
            if text and codec not in TEXT_KINDS.get(form, MOV_TEXT):
                return self._converted(cast(SubtitleStream, stream))
            kept = text or matroska
        elif stream.type == "video":
            kept = bool(stream.disposition & stream.disposition.attached_pic) and form not in TEXT_KINDS
        else:
            kept = stream.type == "attachment" and matroska
        if not kept or not _can_hold(form, stream):
            return None
        target = self._out.add_stream_from_template(stream, opaque=True)
        return _Track(stream, target, converted=False)

    def _converted(self, stream: SubtitleStream) -> _Track | None:
        stream.codec_context.open(strict=False)  # makes the header, which the encoder needs
        target = self._out.add_stream(TEXT_KINDS.get(self._out.format.name, MOV_TEXT)[0])
        cast(Any, target.codec_context).subtitle_header = stream.codec_context.subtitle_header
        return _Track(stream, target, converted=True)

    def _add_tags(self, video: VideoStream) -> None:
        source = first_video_stream(self._source)
        self._out.metadata.update(_tags(self._source.metadata))
        if source is None:
            return
        video.metadata.update(_track_tags(source.metadata))
        tags = {key.lower(): value for key, value in {**self._source.metadata, **source.metadata}.items()}
        code = tags.get("timecode")
        if code is None:
            return
        if self._out.format.name in TEXT_KINDS:
            self._out.metadata["timecode"] = code
        elif self._out.format.name != IPOD and video.average_rate in (None, source.average_rate):
            video.metadata["timecode"] = code
        else:
            self.lost.append("timecode")

    def _add_chapters(self) -> None:
        chapters = []
        for chapter in self._source.chapters():
            unit = chapter["time_base"] or MILLISECOND
            begins, ends = chapter["start"] * unit - self._start, chapter["end"] * unit - self._start
            if begins < self._seconds and ends > 0:
                times = {
                    "start": round(max(begins, Fraction(0)) / MILLISECOND),
                    "end": round(min(ends, self._seconds) / MILLISECOND),
                }
                chapters.append({**chapter, **times, "time_base": MILLISECOND})
        if chapters:
            self._out.set_chapters(cast(Any, chapters))

    def _demuxed(self) -> Iterator[Packet[Stream]]:
        """The packets of all tracks that the output shows, in the order of the file."""
        if not self._tracks:
            return
        packets = self._source.demux([track.source for track in self._tracks.values()])
        while True:
            try:
                packet = next(packets, None)
            except av.error.FFmpegError:  # the source is damaged from here on
                return
            if packet is None:
                return
            if not packet.size:  # the demuxer's end markers, which belong to no stream
                continue
            if packet.pts is None:  # cover art
                packet.pts = packet.dts = round(self._start / packet.time_base)
            time, track = self._time(packet), self._tracks[packet.stream_index]
            # Matroska would move all streams to make room for times below 0, such as those of priming.
            end = time if self._out.format.name in TEXT_KINDS else time + (packet.duration or 0) * packet.time_base
            if end >= 0 and time < self._seconds and bytes(packet) != EMPTY_TEXT:
                yield from _subtitles(packet, track) if track.converted else (packet,)

    def _time(self, packet: Packet[Stream]) -> Fraction:
        return (packet.pts or 0) * packet.time_base - self._start

    def _mux(self, packet: Packet[Stream]) -> None:
        shift = round(self._start / packet.time_base)
        packet.pts = (packet.pts or 0) - shift
        packet.dts = packet.pts if packet.dts is None else packet.dts - shift
        packet.stream = self._tracks[packet.stream_index].target
        self._out.mux(packet)


def _subtitles(packet: Packet[Stream], track: _Track) -> Iterator[Packet[Stream]]:
    """The packet as the output's kind of subtitles."""
    source, target = cast(SubtitleStream, track.source), cast(SubtitleStream, track.target)
    texts = source.decode2(packet)
    if texts is None or not len(texts):
        return
    converted = target.codec_context.encode_subtitle(texts)
    converted.pts = converted.dts = packet.pts
    converted.duration, converted.time_base = packet.duration, packet.time_base
    converted.stream = source  # as all packets before they are muxed
    yield converted


def _is_rebuilt(stream: Stream, source: InputContainer) -> bool:
    """Whether a data stream only holds the chapters or the timecode, which the output has of its own."""
    return stream.type == "data" and ("timecode" in stream.metadata or bool(source.chapters()))


def _can_hold(form: str, stream: Stream) -> bool:
    """Whether a container of the format ``form`` takes the stream: a trial in memory."""
    try:
        with av.open(io.BytesIO(), "w", format=form) as trial:
            trial.add_stream_from_template(stream, opaque=True)
            trial.start_encoding()
    except (av.error.FFmpegError, ValueError):
        return False
    return True


def _tags(tags: Mapping[str, str]) -> dict[str, str]:
    """Tags by the names that FFmpeg's muxers expect, without those that each muxer writes itself."""
    named = {key.lower().removeprefix(APPLE): value for key, value in tags.items()}
    if "location.iso6709" in named:
        named["location"] = named.pop("location.iso6709")
    return {key: value for key, value in named.items() if key not in MUXER_TAGS}


def _track_tags(tags: Mapping[str, str]) -> dict[str, str]:
    """The tags of a track that describe its content; MP4 calls the title its name."""
    named = {("title" if key.lower() == "name" else key.lower()): value for key, value in tags.items()}
    return {key: value for key, value in named.items() if key in TRACK_TAGS}


def _name(stream: Stream) -> str:
    tags = stream.metadata
    named = tags.get("filename", tags.get("handler_name", ""))
    codec = named if stream.codec_context is None else stream.codec_context.name
    details = ", ".join(filter(None, (codec, stream.language)))
    kind = "subtitles" if stream.type == "subtitle" else stream.type
    return f"{kind} ({details})" if details else kind
