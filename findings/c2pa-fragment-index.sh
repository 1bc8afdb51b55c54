#!/usr/bin/env bash
# c2pa-python 0.38.1: signing a fragmented MP4 destroys its fragment index, and the result validates.
#
# The mfra box at the end of such a file lists where each fragment begins, so that players can seek without reading all of it.
# Signing inserts the manifest at the front, and the offsets have to grow by its size. Instead, every entry gets the offset of
# the last fragment. Reader reports "Valid" all the same, because the hash leaves the index out. The sample tables of an MP4
# without fragments are adjusted correctly. Expected: each offset plus the size of the manifest.
# Our guard: results are never fragmented (lipsync.media.writer).
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
    c2pa-python==0.38.1 cryptography==50.0.2 av==18.1.0 numpy==2.4.6
cd "$folder"
venv/bin/python - <<'PYTHON'
import struct
from datetime import UTC, datetime, timedelta
from pathlib import Path

import av
import c2pa
import numpy as np
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID


def certificate(name, issuer=None):
    """A key and a certificate signed by ``issuer``, or a root."""
    key, now, is_root = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC), issuer is None
    organization = x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Example")
    subject = x509.Name([organization, x509.NameAttribute(NameOID.COMMON_NAME, name)])
    issuer_key, issuer_name = (key, subject) if issuer is None else (issuer[0], issuer[1].subject)
    usage = dict.fromkeys(
        ("content_commitment", "key_encipherment", "data_encipherment", "key_agreement", "encipher_only", "decipher_only"), False
    )
    builder = (
        x509.CertificateBuilder(issuer_name, subject, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.BasicConstraints(is_root, None), True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), False)
        .add_extension(
            x509.KeyUsage(digital_signature=not is_root, key_cert_sign=is_root, crl_sign=is_root, **usage), True
        )
    )
    if not is_root:
        builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION]), False)
    return key, builder.sign(issuer_key, hashes.SHA256())


def fragment_offsets(path):
    """Offsets in the tfra box (version 1, one byte each for traf, trun and sample), and those of the moof boxes."""
    content = path.read_bytes()
    table = content.index(b"tfra", content.rindex(b"mfra"))
    (count,) = struct.unpack_from(">I", content, table + 16)
    listed = [struct.unpack_from(">QQ", content, table + 20 + 19 * k)[1] for k in range(count)]
    actual, position = [], 0
    while position < len(content):
        size, kind = struct.unpack_from(">I4s", content, position)
        actual += [position] if kind == b"moof" else []
        position += size
    return listed, actual


plain, signed = Path("plain.mp4"), Path("signed.mp4")
with av.open(str(plain), "w", options={"movflags": "frag_keyframe+empty_moov+default_base_moof"}) as output:
    stream = output.add_stream("libx264", rate=25, options={"g": "10"})
    stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
    for number in range(40):
        frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 5 * number, np.uint8), "rgb24")
        frame.pts = number
        output.mux(stream.encode(frame.reformat(format="yuv420p")))
    output.mux(stream.encode(None))

root = certificate("Root")
key, leaf = certificate("Signer", root)
chain = b"".join(item.public_bytes(serialization.Encoding.PEM) for item in (leaf, root[1]))
pkcs8 = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
signer = c2pa.Signer.from_info(c2pa.C2paSignerInfo(b"es256", chain, key.private_bytes(*pkcs8), None))
created = {
    "action": "c2pa.created",
    "digitalSourceType": "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia",
}
manifest = {
    "claim_generator_info": [{"name": "example", "version": "1"}],
    "assertions": [{"label": "c2pa.actions", "data": {"actions": [created]}}],
}
with plain.open("rb") as source, signed.open("w+b") as target:
    c2pa.Builder(manifest).sign(signer, "video/mp4", source, target)
with signed.open("rb") as file:
    state = c2pa.Reader("video/mp4", file).get_validation_state()
for path in (plain, signed):
    listed, actual = fragment_offsets(path)
    print(f"{path}: index {listed}, fragments at {actual}")
    if path == plain:
        assert listed == actual and len(actual) == 4
print(f"validation: {state}")
assert state == "Valid" and listed == [actual[-1]] * 4
PYTHON
