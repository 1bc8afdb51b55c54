"""Test media: scikit-image's astronaut photo (Eileen Collins, NASA, public domain), and generated files."""

from __future__ import annotations

import hashlib
import json
import socket
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from skimage import data

from lipsync.engines.wav2lip.architecture import expected_weights
from lipsync.faces.landmarker import Landmarker
from lipsync.faces.recogniser import Recogniser
from lipsync.faces.smoothed_faces import SmoothedFaces
from lipsync.faces.track import TrackBuilder
from lipsync.models.session_cache import SessionCache
from lipsync.types import Colour, Frame

Rgb = NDArray[np.uint8]


@pytest.fixture(scope="session")
def landmarker() -> Iterator[Landmarker]:
    with Landmarker.open(SessionCache()) as opened:
        yield opened


@pytest.fixture(scope="session")
def recogniser() -> Iterator[Recogniser]:
    with Recogniser.open(SessionCache()) as opened:
        yield opened


@pytest.fixture(scope="session")
def photo() -> Rgb:
    """(512, 512, 3), the face near (225, 115), about 55 pixels between the outer corners of the eyes."""
    return np.asarray(data.astronaut(), np.uint8)


@pytest.fixture(scope="session")
def to_frame() -> Callable[[Rgb, int], Frame]:
    """Convert RGB with even sides to a frame of 8 bits, BT.601, limited range."""

    def convert(rgb: Rgb, index: int = 0) -> Frame:
        height, width = rgb.shape[:2]
        planes = cv2.cvtColor(rgb, cv2.COLOR_RGB2YUV_I420)
        half = (2, height // 2, width // 2)
        u, v = planes[height:].reshape(half)
        return Frame(index, planes[:height].copy(), u.copy(), v.copy(), 8, Colour(6, 6, 6, False))

    return convert


@pytest.fixture(scope="session")
def photo_frame(photo: Rgb, to_frame: Callable[[Rgb, int], Frame]) -> Frame:
    """``photo`` as a frame. Tests that change it copy it first."""
    return to_frame(photo, 0)


@pytest.fixture(scope="session")
def photo_faces(photo_frame: Frame, landmarker: Landmarker) -> Iterator[SmoothedFaces]:
    """The track of a video of one frame, ``photo_frame``, at 25 frames/s."""
    with TrackBuilder() as builder:
        builder.add(landmarker.find(photo_frame)[0], False)
        with builder.finish(Fraction(25)) as track:
            yield SmoothedFaces(track)


@pytest.fixture(scope="session")
def moved(photo: Rgb) -> Callable[..., Rgb]:
    """The photo with its face moved to ``at``, scaled by ``zoom`` and rotated by ``turn`` radians, on grey."""

    def move(
        at: tuple[float, float] = (160, 120), zoom: float = 1.0, turn: float = 0.0, size: tuple[int, int] = (320, 240)
    ) -> Rgb:
        cosine, sine = zoom * np.cos(turn), zoom * np.sin(turn)
        matrix = np.array([[cosine, -sine, 0], [sine, cosine, 0]])
        matrix[:, 2] = np.array(at) - matrix[:, :2] @ [225, 115]
        return np.asarray(
            cv2.warpAffine(photo, matrix, size, flags=cv2.INTER_AREA, borderValue=(128, 128, 128)), np.uint8
        )

    return move


@dataclass(frozen=True, slots=True)
class Footage:
    """Properties of a generated video, whose frames show their number in twelve bright or dark bars."""

    frames: int = 30
    size: tuple[int, int] = (192, 96)
    rate: Fraction = Fraction(25)
    codec: str = "libx264"
    form: str = "yuv420p"
    gop: int = 12
    rotation: int = 0
    stamps: Sequence[int] | None = None  # frame times in milliseconds
    audio_samples: int = 0  # audio samples at 48 kHz
    colour: tuple[int, int, int, int] = (0, 2, 2, 2)  # range, matrix, primaries, transfer; 2 is unspecified


@pytest.fixture(scope="session")
def make_video() -> Callable[..., Path]:
    """Write a video file of numbered frames; the keywords are the fields of ``Footage``."""

    def make(path: Path, **fields: Any) -> Path:
        footage = Footage(**fields)
        width, height = footage.size
        with av.open(str(path), "w") as out:
            stream = out.add_stream(footage.codec, rate=footage.rate)
            stream.width, stream.height, stream.pix_fmt = width, height, footage.form
            stream.codec_context.gop_size = footage.gop
            context = stream.codec_context
            context.color_range, context.colorspace, context.color_primaries, context.color_trc = footage.colour
            if footage.rotation:
                stream.set_display_rotation(footage.rotation)
            audio = out.add_stream("aac", rate=48_000, layout="mono") if footage.audio_samples else None
            for k in range(footage.frames):
                frame = av.VideoFrame.from_ndarray(bars(k, width, height), "gray8").reformat(format=footage.form)
                frame.pts, frame.time_base = k, 1 / footage.rate
                if footage.stamps:
                    frame.pts, frame.time_base = footage.stamps[k], Fraction(1, 1000)
                out.mux(stream.encode(frame))
            out.mux(stream.encode(None))
            if audio is not None:
                tone = (np.sin(np.arange(footage.audio_samples) * 0.05) * 8000).astype(np.int16)
                block = av.AudioFrame.from_ndarray(tone[None], "s16", "mono")
                block.sample_rate = 48_000
                out.mux(audio.encode(block))
                out.mux(audio.encode(None))
        return path

    return make


def bars(number: int, width: int, height: int) -> Rgb:
    bits = [(number >> k) & 1 for k in range(12)]
    row = np.repeat(np.where(bits, 210, 50), width // 12).astype(np.uint8)
    return np.tile(np.pad(row, (0, width - len(row)), mode="edge"), (height, 1))


@pytest.fixture(scope="session")
def number_of() -> Callable[[NDArray[np.uint8]], int]:
    """Read the number of a generated frame from its upright luma."""

    def read(luma: NDArray[np.uint8]) -> int:
        middle, step = luma[luma.shape[0] // 2].astype(int), luma.shape[1] // 12
        half = (int(luma.max()) + int(luma.min())) / 2
        return sum(1 << k for k in range(12) if middle[k * step + step // 2] > half)

    return read


@pytest.fixture(scope="session")
def make_audio() -> Callable[..., Path]:
    """Write a WAV file of samples (n,) or (n, channels), int16 or float32."""

    def make(path: Path, samples: NDArray[Any], rate: int = 16_000) -> Path:
        samples = samples[:, None] if samples.ndim == 1 else samples
        real = samples.dtype == np.float32
        body = samples.astype("<f4" if real else "<i2").tobytes()
        channels, width = samples.shape[1], 4 if real else 2
        fields = (3 if real else 1, channels, rate, rate * channels * width, channels * width, width * 8)
        head = b"WAVEfmt " + struct.pack("<IHHIIHH", 16, *fields) + b"data" + struct.pack("<I", len(body))
        path.write_bytes(b"RIFF" + struct.pack("<I", len(head) + len(body)) + head + body)
        return path

    return make


@pytest.fixture(scope="session")
def save_photo() -> Callable[[Path, Rgb], Path]:
    """Write an image file of RGB or RGBA values."""

    def save(path: Path, pixels: Rgb) -> Path:
        cv2.imwrite(str(path), cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR if pixels.shape[2] == 3 else cv2.COLOR_RGBA2BGRA))
        return path

    return save


@pytest.fixture(scope="session")
def speaker(moved: Callable[..., Rgb], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A video of 1.6 seconds at 25 frames/s, 320x240: one face that nods and turns slightly."""
    path = tmp_path_factory.mktemp("footage") / "speaker.mp4"
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=25, options={"crf": "18"})
        stream.width, stream.height, stream.pix_fmt = 320, 240, "yuv420p"
        for k in range(40):
            at = (160 + 8 * np.sin(k / 6), 115 + 4 * np.cos(k / 5))
            out.mux(stream.encode(av.VideoFrame.from_ndarray(moved(at, 1.6, 0.05 * np.sin(k / 7)), "rgb24")))
        out.mux(stream.encode(None))
    return path


@pytest.fixture(scope="session")
def voice(tmp_path_factory: pytest.TempPathFactory, make_audio: Callable[..., Path]) -> Path:
    """A vowel-like buzz of 2 seconds, 16 kHz, that swells twice a second."""
    time = np.arange(32_000) / 16_000
    buzz = sum(np.sin(2 * np.pi * 120 * k * time) / k for k in range(1, 20))
    samples = (buzz * np.clip(np.sin(2 * np.pi * 2 * time), 0, 1) * 4000).astype(np.int16)
    return make_audio(tmp_path_factory.mktemp("audio") / "voice.wav", samples)


@pytest.fixture(scope="session")
def vowels(tmp_path_factory: pytest.TempPathFactory, make_audio: Callable[..., Path]) -> Path:
    """Changing vowels of 2 seconds, 16 kHz, with pauses between them: formants tell them from a buzz."""
    time = np.arange(32_000) / 16_000
    formants = ((500 + 300 * np.sin(2 * np.pi * 1.7 * time), 1.0), (1200, 0.5), (2500, 0.2))
    vowel = sum(
        strength * np.sin(2 * np.pi * 110 * k * time) / (1 + ((110 * k - hertz) / 150) ** 2)
        for hertz, strength in formants
        for k in range(1, 25)
    )
    gate = np.clip(4 * np.sin(2 * np.pi * 1.5 * time), 0, 1)
    return make_audio(tmp_path_factory.mktemp("audio") / "vowels.wav", (1600 * vowel * gate).astype(np.int16))


@pytest.fixture(scope="session")
def moto_address() -> Iterator[str]:
    """The address of a local S3 server."""
    server = pytest.importorskip("moto.server", reason="needs moto").ThreadedMotoServer("127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture(scope="session")
def write_checkpoint() -> Callable[..., Path]:
    """Write float32 weights by name in PyTorch's zip format; ``inside``: the key that holds them."""

    def write(path: Path, weights: Mapping[str, NDArray[Any]], inside: str | None = None) -> Path:
        body = b"}("
        for k, (name, array) in enumerate(weights.items()):
            storage = b"(" + _text("storage") + b"ctorch\nFloatStorage\n" + _text(str(k)) + _text("cpu")
            size, stride = (_numbers(values) for values in (array.shape, [step // 4 for step in array.strides]))
            rest = _number(0) + size + stride + b"\x89ccollections\nOrderedDict\n)R"
            body += _text(name) + b"ctorch._utils\n_rebuild_tensor_v2\n("
            body += storage + _number(array.size) + b"tQ" + rest + b"tR"
        content = body + b"u" if inside is None else b"}(" + _text(inside) + body + b"uu"
        with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
            archive.writestr("archive/data.pkl", b"\x80\x02" + content + b".")
            for k, array in enumerate(weights.values()):
                archive.writestr(f"archive/data/{k}", array.tobytes())
        return path

    return write


@pytest.fixture(scope="session")
def upscaler_weights() -> Callable[[str, int], dict[str, NDArray[Any]]]:
    """Random weights of a very small "rrdbnet" or "srvgg" for a factor."""

    def make(network: str, factor: int) -> dict[str, NDArray[Any]]:
        random, sizes = np.random.default_rng(0), dict[str, tuple[int, int]]()
        if network == "srvgg":
            sizes = {"body.0": (3, 8), "body.2": (8, 8), "body.4": (8, 3 * factor**2)}
        else:
            sizes = {"conv_first": ({4: 3, 2: 12}[factor], 8), "conv_last": (8, 3)}
            sizes |= dict.fromkeys(("conv_body", "conv_up1", "conv_up2", "conv_hr"), (8, 8))
            sizes |= {f"body.0.rdb{k}.conv{c}": (4 + 4 * c, 8 if c == 5 else 4) for k in (1, 2, 3) for c in range(1, 6)}
        weights = {}
        for name, (inputs, outputs) in sizes.items():
            noise = random.standard_normal((outputs, inputs, 3, 3), np.float32)
            weights[f"{name}.weight"] = noise / np.float32(np.sqrt(9 * inputs))
            weights[f"{name}.bias"] = 0.1 * random.standard_normal(outputs, np.float32)
        slopes = {"body.1.weight": np.full(8, 0.2, np.float32), "body.3.weight": np.full(8, 0.1, np.float32)}
        return weights | (slopes if network == "srvgg" else {})

    return make


@pytest.fixture(scope="session")
def face_restorer() -> Callable[..., bytes]:
    """An ONNX restorer that halves a face's contrast.

    ``fidelity_shape``: the shape of CodeFormer's second input, which sets the remaining contrast instead.
    """
    onnx = pytest.importorskip("onnx", reason="builds the networks")

    def make(side: int = 256, fidelity_shape: tuple[int, ...] | None = None) -> bytes:
        weight = np.zeros((3, 3, 1, 1), np.float32)
        weight[range(3), range(3)] = 1
        port, shape = onnx.helper.make_tensor_value_info, (1, 3, side, side)
        inputs, stored = [port("input", 1, shape)], [onnx.numpy_helper.from_array(weight, "conv")]
        if fidelity_shape is None:
            stored.append(onnx.numpy_helper.from_array(np.array(0.5), "weight"))
        else:
            inputs.append(port("weight", 11, fidelity_shape))
        kinds = (
            ("Cast", ["weight"], ["share"], {"to": 1}),
            ("Conv", ["input", "conv"], ["same"], {}),
            ("Mul", ["same", "share"], ["output"], {}),
        )
        nodes = [onnx.helper.make_node(kind, takes, gives, **more) for kind, takes, gives, more in kinds]
        graph = onnx.helper.make_graph(nodes, "tiny", inputs, [port("output", 1, shape)], stored)
        model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8)
        return bytes(model.SerializeToString())

    return make


def _text(value: str) -> bytes:
    return b"X" + len(value).to_bytes(4, "little") + value.encode()


def _number(value: int) -> bytes:
    return b"J" + value.to_bytes(4, "little")


def _numbers(values: Sequence[int]) -> bytes:
    return b"(" + b"".join(map(_number, values)) + b"t"


@pytest.fixture(scope="session")
def models_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A models folder with stand-ins for both Wav2Lip networks: the reference view, its lips red where it is loud."""
    onnx = pytest.importorskip("onnx", reason="needs the wav2lip extra")
    folder = tmp_path_factory.mktemp("models")
    for name in ("wav2lip", "wav2lip-gan"):
        graphs = folder / "graphs" / hashlib.sha256(name.encode()).hexdigest()
        graphs.mkdir(parents=True)
        contents = {
            file: make(onnx, half)
            for half, suffix in ((False, ""), (True, "-half"))
            for file, make in ((f"encoder{suffix}.onnx", _copier), (f"decoder{suffix}.onnx", _painter))
        }
        for file, content in contents.items():
            (graphs / file).write_bytes(content)
        files = {f: {"size": len(c), "sha256": hashlib.sha256(c).hexdigest()} for f, c in contents.items()}
        facts = {"version": 1, "kind": "generator", "network": "Wav2Lip", "format": "stand-in"}
        record = facts | {"source": f"{name}.pth", "files": files}
        (graphs / "network.json").write_text(json.dumps(record))
        (folder / "imports").mkdir(exist_ok=True)
        (folder / "imports" / f"{name}.json").write_text(json.dumps({"sha256": graphs.name, "source": f"{name}.pth"}))
    return folder


def _copier(onnx: Any, half: bool) -> bytes:
    """The encoder's stand-in, which returns the face as its features."""
    return _graph(
        onnx, half, [("Identity", ["face"], ["skip0"], {})], {"face": (6, 96, 96)}, ("skip0", (6, 96, 96)), {}
    )


def _painter(onnx: Any, half: bool) -> bytes:
    """The decoder's stand-in: the second half of the channels, with an oval as red as the audio is loud."""
    rows, columns = np.mgrid[:96, :96]
    oval = ((columns - 47.5) / 17) ** 2 + ((rows - 72) / 9) ** 2 < 1
    constants = {
        "oval": oval[None, None].astype(np.float32),
        "red": np.array([0.1, 0.1, 0.9], np.float32)[None, :, None, None],
        "four": np.float32(4),
        "three": np.array([3]),
        "six": np.array([6]),
        "channel": np.array([1]),
    }
    nodes = [
        ("Slice", ["skip0", "three", "six", "channel"], ["shown"], {}),
        ("ReduceMean", ["mel"], ["level"], {"axes": [1, 2, 3], "keepdims": 1}),
        ("Add", ["level", "four"], ["loudness"], {}),
        ("Tanh", ["loudness"], ["share"], {}),
        ("Mul", ["share", "oval"], ["mask"], {}),
        ("Sub", ["red", "shown"], ["away"], {}),
        ("Mul", ["away", "mask"], ["step"], {}),
        ("Add", ["shown", "step"], ["out"], {}),
    ]
    return _graph(onnx, half, nodes, {"mel": (1, 80, 16), "skip0": (6, 96, 96)}, ("out", (3, 96, 96)), constants)


def _graph(
    onnx: Any,
    half: bool,
    nodes: list[tuple[str, list[str], list[str], dict[str, Any]]],
    inputs: dict[str, tuple[int, ...]],
    output: tuple[str, tuple[int, ...]],
    constants: dict[str, NDArray[Any]],
) -> bytes:
    kind = onnx.TensorProto.FLOAT16 if half else onnx.TensorProto.FLOAT
    ports = [onnx.helper.make_tensor_value_info(name, kind, ["n", *shape]) for name, shape in inputs.items()]
    result = onnx.helper.make_tensor_value_info(output[0], kind, ["n", *output[1]])
    real = np.float16 if half else np.float32
    stored = [
        onnx.numpy_helper.from_array(v.astype(real) if v.dtype == np.float32 else np.asarray(v, np.int64), name)
        for name, v in constants.items()
    ]
    graph_nodes = [onnx.helper.make_node(kind, takes, gives, **more) for kind, takes, gives, more in nodes]
    graph = onnx.helper.make_graph(graph_nodes, "stand_in", ports, [result], stored)
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8)
    return bytes(model.SerializeToString())


@pytest.fixture(scope="session")
def wav2lip_weights() -> dict[str, NDArray[np.float32]]:
    """All tensors of a Wav2Lip checkpoint by name, random by the rule that the original's reference figures used."""
    return {name: random_weight(name, shape) for name, shape in expected_weights().items()}


def random_weight(name: str, shape: tuple[int, ...]) -> NDArray[np.float32]:
    generator = np.random.default_rng(zlib.crc32(name.encode()))
    if name.endswith("running_var"):
        return generator.uniform(0.5, 1.5, shape).astype(np.float32)
    if name.endswith("running_mean"):
        return (0.1 * generator.standard_normal(shape)).astype(np.float32)
    if len(shape) == 1:
        base = 1.0 if name.endswith("conv_block.1.weight") else 0.0
        return (base + 0.1 * generator.standard_normal(shape)).astype(np.float32)
    fan_in = int(np.prod(shape[1:]))
    return (generator.standard_normal(shape) * np.sqrt(1.0 / fan_in)).astype(np.float32)


@pytest.fixture(scope="session")
def free_port() -> Callable[[], int]:
    """Finds a TCP port of 127.0.0.1 that nothing listens on."""

    def find() -> int:
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            return int(listener.getsockname()[1])

    return find
