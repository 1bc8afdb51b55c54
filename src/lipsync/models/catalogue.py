"""Published models: where to download them, their size and checksum, and what their license allows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

ModelKind = Literal["generator", "restorer", "upscaler"]


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """One published weights file.

    ``size``: in bytes. ``mirrors``: URLs, tried in order. ``license``: the text shown before a download.
    ``aliases``: SHA-256 of other files with the same weights, recognized on import. ``kind``: what the model makes:
    lip movements, restored faces or larger frames. ``scale``: factor by which an upscaler enlarges width and height.
    """

    name: str
    file: str
    size: int
    sha256: str
    mirrors: tuple[str, ...]
    license: str
    aliases: tuple[str, ...] = ()
    kind: ModelKind = "generator"
    scale: int = 1


HUGGING_FACE = "https://huggingface.co"
FACEFUSION = f"{HUGGING_FACE}/facefusion/models-3.0.0/resolve/main"
FACEFUSION_GITHUB = "https://github.com/facefusion/facefusion-assets/releases/download/models-3.0.0"
REAL_ESRGAN = "https://github.com/xinntao/Real-ESRGAN/releases/download"
FFHQ_TERMS = "trained on FFHQ, a dataset for non-commercial use"
RESEARCH_ONLY = "research and personal use only, non-commercial: trained on BBC footage (LRS2) under terms that say so"

CATALOGUE: Mapping[str, ModelInfo] = MappingProxyType(
    {
        "wav2lip": ModelInfo(
            "wav2lip",
            "wav2lip.pth",
            435_807_851,
            "b78b681b68ad9fe6c6fb1debc6ff43ad05834a8af8a62ffc4167b7b34ef63c37",
            (
                f"{HUGGING_FACE}/numz/wav2lip_studio/resolve/main/Wav2lip/wav2lip.pth",
                f"{HUGGING_FACE}/camenduru/Wav2Lip/resolve/main/checkpoints/wav2lip.pth",
            ),
            RESEARCH_ONLY,
        ),
        "wav2lip-gan": ModelInfo(
            "wav2lip-gan",
            "wav2lip_gan.pth",
            435_801_865,
            "ca9ab7b7b812c0e80a6e70a5977c545a1e8a365a6c49d5e533023c034d7ac3d8",
            (
                f"{HUGGING_FACE}/numz/wav2lip_studio/resolve/main/Wav2lip/wav2lip_gan.pth",
                f"{HUGGING_FACE}/camenduru/Wav2Lip/resolve/main/checkpoints/wav2lip_gan.pth",
            ),
            RESEARCH_ONLY,
            ("180cfd49d31d47f195d5bfc62830ffe2c40724b7bbbce6faadc73ac6ab1a3b8e",),  # TorchScript: Wav2Lip-SD-GAN.pt
        ),
        "gfpgan-1.4": ModelInfo(
            "gfpgan-1.4",
            "gfpgan_1.4.onnx",
            340_299_087,
            "accc4757b26bdb89b32b4d3500d4f79c9dff97c1dd7c7104bf9dcb95e3311385",
            (f"{FACEFUSION}/gfpgan_1.4.onnx", f"{FACEFUSION_GITHUB}/gfpgan_1.4.onnx"),
            f"Apache-2.0; {FFHQ_TERMS}",
            kind="restorer",
        ),
        "codeformer": ModelInfo(
            "codeformer",
            "codeformer.onnx",
            376_951_650,
            "21710e7ab61c82683576c428e9c1b6fe1ed419586b7b39e394c3449c294b550f",
            (f"{FACEFUSION}/codeformer.onnx", f"{FACEFUSION_GITHUB}/codeformer.onnx"),
            f"S-Lab License 1.0, non-commercial; {FFHQ_TERMS}",
            kind="restorer",
        ),
        "gpen-bfr-512": ModelInfo(
            "gpen-bfr-512",
            "gpen_bfr_512.onnx",
            284_340_240,
            "d5f066b9068a8b74217f9712e28e875a6144629b108a6f7355acbdb3a2832c54",
            (f"{FACEFUSION}/gpen_bfr_512.onnx", f"{FACEFUSION_GITHUB}/gpen_bfr_512.onnx"),
            f"Alibaba terms for GPEN, non-commercial; {FFHQ_TERMS}",
            kind="restorer",
        ),
        "restoreformer-plus-plus": ModelInfo(
            "restoreformer-plus-plus",
            "restoreformer_plus_plus.onnx",
            294_264_812,
            "f4db5a89902b6a2d452446f5721245a6f7185f699b6aec7b77285adb4d504337",
            (f"{HUGGING_FACE}/CountFloyd/deepfake/resolve/main/restoreformer_plus_plus.onnx",),
            f"Apache-2.0; {FFHQ_TERMS}",
            kind="restorer",
        ),
        "realesrgan-x2plus": ModelInfo(
            "realesrgan-x2plus",
            "RealESRGAN_x2plus.pth",
            67_061_725,
            "49fafd45f8fd7aa8d31ab2a22d14d91b536c34494a5cfe31eb5d89c2fa266abb",
            (f"{REAL_ESRGAN}/v0.2.1/RealESRGAN_x2plus.pth",),
            "BSD-3-Clause",
            kind="upscaler",
            scale=2,
        ),
        "realesrgan-x4plus": ModelInfo(
            "realesrgan-x4plus",
            "RealESRGAN_x4plus.pth",
            67_040_989,
            "4fa0d38905f75ac06eb49a7951b426670021be3018265fd191d2125df9d682f1",
            (f"{REAL_ESRGAN}/v0.1.0/RealESRGAN_x4plus.pth",),
            "BSD-3-Clause",
            kind="upscaler",
            scale=4,
        ),
        "realesr-general-x4v3": ModelInfo(
            "realesr-general-x4v3",
            "realesr-general-x4v3.pth",
            4_885_111,
            "8dc7edb9ac80ccdc30c3a5dca6616509367f05fbc184ad95b731f05bece96292",
            (f"{REAL_ESRGAN}/v0.2.5.0/realesr-general-x4v3.pth",),
            "BSD-3-Clause",
            kind="upscaler",
            scale=4,
        ),
    }
)
