#!/usr/bin/env bash
# kombu 5.7.0: on the filesystem transport, a consumer that is killed takes unacknowledged messages with it.
#
# Received messages are deleted from the folder at once. A consumer that closes its connection puts unacknowledged messages
# back; one that is killed cannot, and the transport never redelivers them, unlike with AMQP or Redis. So acks_late protects no
# Celery task on filesystem://.
# Our guard: the task store is the queue of record, and recovery announces tasks again.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check kombu==5.7.0
cd "$folder"
venv/bin/python - <<'PYTHON'
import os
import queue
import signal
import subprocess
import sys

import kombu

os.mkdir("messages")
OPTIONS = {"data_folder_in": "messages", "data_folder_out": "messages"}
CONSUMER = """
import os, signal, sys, kombu
with kombu.Connection("filesystem://", transport_options={"data_folder_in": "messages", "data_folder_out": "messages"}) as c:
    box = c.SimpleQueue("tasks")
    print("received", box.get(timeout=5).payload, flush=True)  # not acknowledged
    if sys.argv[1] == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    box.close()
"""
left = {}
for ending in ("closed", "killed"):
    with kombu.Connection("filesystem://", transport_options=OPTIONS) as connection:
        box = connection.SimpleQueue("tasks")
        box.clear()
        box.put({"ending": ending})
        box.close()
    subprocess.run([sys.executable, "-c", CONSUMER, ending])
    with kombu.Connection("filesystem://", transport_options=OPTIONS) as connection:
        box = connection.SimpleQueue("tasks")
        try:
            left[ending] = box.get(timeout=2).payload
        except queue.Empty:
            left[ending] = None
        box.close()
print(left)
assert left == {"closed": {"ending": "closed"}, "killed": None}
PYTHON
