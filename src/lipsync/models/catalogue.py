"""Public weights that users may bring: where they live, what they weigh, and what their licence allows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True, slots=True)
class Weights:
    """One published file. ``homes``: addresses to try in order; ``licence``: what it is shown as before a download.

    ``others``: SHA-256 of further files in which the same weights were published, known when they are imported.
    """

    name: str
    file: str
    size: int
    sha256: str
    homes: tuple[str, ...]
    licence: str
    others: tuple[str, ...] = ()


HUB = "https://huggingface.co"
RESEARCH = "research and personal use only, not commercial: trained on the BBC's LRS2 footage, whose terms say so"

CATALOGUE: Mapping[str, Weights] = MappingProxyType(
    {
        "wav2lip": Weights(
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
        "wav2lip-gan": Weights(
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
    }
)
