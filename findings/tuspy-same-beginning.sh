#!/usr/bin/env bash
# tuspy 1.1.0: with store_url=True, a second file that begins like the first one is not uploaded.
#
# The client remembers uploads under a fingerprint of a file's first 64 KiB and its size. Two recordings with the same
# container header and the same size are the same file to it: the second upload() asks for the offset of the first upload,
# finds it complete, sends nothing, raises nothing, and returns the first file's URL.
# Our guide for the service asks clients to compare the SHA-256 of the upload, which the API returns.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check tuspy==1.1.0
cd "$folder"
venv/bin/python - <<'PYTHON'
import http.server
import os
import threading

from tusclient import client
from tusclient.storage import filestorage

uploads = []  # [length, content]


class Server(http.server.BaseHTTPRequestHandler):
    """The core of tus 1.0 and its creation extension."""

    def log_message(self, *arguments):
        pass

    def respond(self, status, **headers):
        self.send_response(status)
        for name, value in {"Tus-Resumable": "1.0.0", "Content-Length": "0"}.items():
            self.send_header(name, value)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), str(value))
        self.end_headers()

    @property
    def upload(self):
        return uploads[int(self.path.rsplit("/", 1)[1])]

    def do_POST(self):
        uploads.append([int(self.headers["Upload-Length"]), b""])
        self.respond(201, Location=f"/files/{len(uploads) - 1}")

    def do_HEAD(self):
        self.respond(200, Upload_Length=self.upload[0], Upload_Offset=len(self.upload[1]))

    def do_PATCH(self):
        self.upload[1] += self.rfile.read(int(self.headers["Content-Length"]))
        self.respond(204, Upload_Offset=len(self.upload[1]))


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server)
threading.Thread(target=server.serve_forever, daemon=True).start()
beginning = os.urandom(64 * 1024)
for name in ("first", "second"):
    with open(name, "wb") as file:
        file.write(beginning + name[:1].encode() * 1000)
storage = filestorage.FileStorage("urls.json")
tus = client.TusClient(f"http://127.0.0.1:{server.server_port}/files/")
urls = []
for name in ("first", "second"):
    uploader = tus.uploader(name, store_url=True, url_storage=storage)
    uploader.upload()
    urls.append(uploader.url)
server.shutdown()
ends = [content[-1:] for _, content in uploads]
print(f"{len(uploads)} upload, ending with {ends}, URLs equal: {urls[0] == urls[1]}")
assert (len(uploads), ends, urls[0] == urls[1]) == (1, [b"f"], True)
PYTHON
