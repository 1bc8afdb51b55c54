#!/usr/bin/env bash
# pillow-heif 1.8.1: a photo is saved sideways if its Exif is passed as the object that Pillow gives.
#
# image.save("photo.heic") turns the Exif orientation of a phone's photo into HEIF's own rotation, as readers of HEIF expect.
# With exif=image.getexif(), the way to keep or edit tags in every Pillow format, the rotation is lost without an error: the
# picture is stored and shown sideways, with no trace of the orientation. The same tags as bytes work, and so does
# exif=image.getexif() for WebP. Expected: an upright photo in each case.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check pillow-heif==1.8.1 pillow==13.0.0
cd "$folder"
venv/bin/python - <<'PYTHON'
import pillow_heif
from PIL import Image, ImageOps

pillow_heif.register_heif_opener()
ORIENTATION, QUARTER_TURN = 0x0112, 6
exif = Image.Exif()
exif[ORIENTATION] = QUARTER_TURN
Image.new("RGB", (128, 64)).save("phone.jpg", exif=exif)


def saved_size(name, as_bytes=False, **options):
    """Size as shown after saving the phone's photo, whose upright size is 64x128."""
    with Image.open("phone.jpg") as photo:
        if options.get("exif"):
            options["exif"] = photo.getexif().tobytes() if as_bytes else photo.getexif()
        photo.save(name, **options)
    with Image.open(name) as image:
        return ImageOps.exif_transpose(image).size


seen = {
    "HEIC": saved_size("photo.heic"),
    "HEIC, exif=bytes": saved_size("photo.heic", as_bytes=True, exif=True),
    "HEIC, exif=photo.getexif()": saved_size("photo.heic", exif=True),
    "WebP, exif=photo.getexif()": saved_size("photo.webp", exif=True),
}
print(*(f"{name}: {size}" for name, size in seen.items()), sep="\n")
assert list(seen.values()) == [(64, 128), (64, 128), (128, 64), (64, 128)]
PYTHON
