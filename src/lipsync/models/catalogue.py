"""Public weights that users may bring: where they live, what they weigh, and what their licence allows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """One published file. ``mirrors``: addresses to try in order; ``licence``: what it is shown as before a download.

    ``others``: SHA-256 of further files in which the same weights were published, known when they are imported.
    ``kind``: what they are for: generator (of mouths), restorer (of faces), upscaler (of pictures).
    """

    name: str
    file: str
    size: int
    sha256: str
    mirrors: tuple[str, ...]
    licence: str
    others: tuple[str, ...] = ()
    kind: str = "generator"


HUB = "https://huggingface.co"
FUSION = f"{HUB}/facefusion/models-3.0.0/resolve/main"
FUSION_TOO = "https://github.com/facefusion/facefusion-assets/releases/download/models-3.0.0"
REAL_ESRGAN = "https://github.com/xinntao/Real-ESRGAN/releases/download"
FACES = "trained on FFHQ, a set of photos for non-commercial use"
RESEARCH = "research and personal use only, not commercial: trained on the BBC's LRS2 footage, whose terms say so"

CATALOGUE: Mapping[str, ModelInfo] = MappingProxyType(
    {
        "wav2lip": ModelInfo(
            "wav2lip",
            "wav2lip.pth",
            435_807_851,
            "b78b681b68ad9fe6c6fb1debc6ff43ad05834a8af8a62ffc4167b7b34ef63c37",
            (
                f"{HUB}/numz/wav2lip_studio/resolve/main/Wav2lip/wav2lip.pth",
                f"{HUB}/camenduru/Wav2Lip/resolve/main/checkpoints/wav2lip.pth",
            ),
            RESEARCH,
        ),
        "wav2lip-gan": ModelInfo(
            "wav2lip-gan",
            "wav2lip_gan.pth",
            435_801_865,
            "ca9ab7b7b812c0e80a6e70a5977c545a1e8a365a6c49d5e533023c034d7ac3d8",
            (
                f"{HUB}/numz/wav2lip_studio/resolve/main/Wav2lip/wav2lip_gan.pth",
                f"{HUB}/camenduru/Wav2Lip/resolve/main/checkpoints/wav2lip_gan.pth",
            ),
            RESEARCH,
            ("180cfd49d31d47f195d5bfc62830ffe2c40724b7bbbce6faadc73ac6ab1a3b8e",),  # TorchScript: Wav2Lip-SD-GAN.pt
        ),
        "gfpgan-1.4": ModelInfo(
            "gfpgan-1.4",
            "gfpgan_1.4.onnx",
            340_299_087,
            "accc4757b26bdb89b32b4d3500d4f79c9dff97c1dd7c7104bf9dcb95e3311385",
            (f"{FUSION}/gfpgan_1.4.onnx", f"{FUSION_TOO}/gfpgan_1.4.onnx"),
            f"Apache-2.0; {FACES}",
            kind="restorer",
        ),
        "codeformer": ModelInfo(
            "codeformer",
            "codeformer.onnx",
            376_951_650,
            "21710e7ab61c82683576c428e9c1b6fe1ed419586b7b39e394c3449c294b550f",
            (f"{FUSION}/codeformer.onnx", f"{FUSION_TOO}/codeformer.onnx"),
            f"S-Lab License 1.0, not commercial; {FACES}",
            kind="restorer",
        ),
        "gpen-bfr-512": ModelInfo(
            "gpen-bfr-512",
            "gpen_bfr_512.onnx",
            284_340_240,
            "d5f066b9068a8b74217f9712e28e875a6144629b108a6f7355acbdb3a2832c54",
            (f"{FUSION}/gpen_bfr_512.onnx", f"{FUSION_TOO}/gpen_bfr_512.onnx"),
            f"Alibaba's terms for GPEN, not commercial; {FACES}",
            kind="restorer",
        ),
        "restoreformer-plus-plus": ModelInfo(
            "restoreformer-plus-plus",
            "restoreformer_plus_plus.onnx",
            294_264_812,
            "f4db5a89902b6a2d452446f5721245a6f7185f699b6aec7b77285adb4d504337",
            (f"{HUB}/CountFloyd/deepfake/resolve/main/restoreformer_plus_plus.onnx",),
            f"Apache-2.0; {FACES}",
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
        ),
        "realesrgan-x4plus": ModelInfo(
            "realesrgan-x4plus",
            "RealESRGAN_x4plus.pth",
            67_040_989,
            "4fa0d38905f75ac06eb49a7951b426670021be3018265fd191d2125df9d682f1",
            (f"{REAL_ESRGAN}/v0.1.0/RealESRGAN_x4plus.pth",),
            "BSD-3-Clause",
            kind="upscaler",
        ),
        "realesr-general-x4v3": ModelInfo(
            "realesr-general-x4v3",
            "realesr-general-x4v3.pth",
            4_885_111,
            "8dc7edb9ac80ccdc30c3a5dca6616509367f05fbc184ad95b731f05bece96292",
            (f"{REAL_ESRGAN}/v0.2.5.0/realesr-general-x4v3.pth",),
            "BSD-3-Clause",
            kind="upscaler",
        ),
    }
)
