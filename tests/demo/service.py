"""A service of the smallest kind, to be supervised: `python service.py <folder> <name> [fails|mute|stubborn]`.

It notes each life in `<folder>/<name>.lives` and answers to nothing but signals.
"""

import os
import signal
import sys
import time
from pathlib import Path

from app.demo.lifeline import hold_on, tell_ready

hold_on()
folder, name, *manner = sys.argv[1:]
if "stubborn" in manner:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
with (Path(folder) / f"{name}.lives").open("a") as lives:
    lives.write(f"{os.getpid()}\n")
print(f"{name} says hello", flush=True)
if "fails" in manner:
    sys.exit("no luck today")
if "mute" not in manner:
    tell_ready()
while True:
    time.sleep(3600)
