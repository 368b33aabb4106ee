# Cuts a file system off from its disk, as a power cut does, and ends the process that was using it.
#
# The process is frozen first, all threads of it: a sync that is under way when the file system dies may return
# success, and would accuse the innocent. Prints the moment of the cut, in nanoseconds of the monotonic clock.
import fcntl
import glob
import os
import signal
import struct
import sys
import time

SHUTDOWN = 0x8004587D  # FS_IOC_SHUTDOWN, and XFS_IOC_GOINGDOWN before it
WITHOUT_FLUSHING_THE_LOG = 2

mount, process = sys.argv[1], int(sys.argv[2])


def is_frozen():
    for stat in glob.glob(f"/proc/{process}/task/*/stat"):
        try:
            state = open(stat).read().rsplit(")", 1)[1].split()[0]
        except OSError:
            continue  # a thread that has just ended
        if state not in "tTZX":
            return False
    return True


folder = os.open(mount, os.O_RDONLY)
if process:
    os.kill(process, signal.SIGSTOP)
    until = time.monotonic() + 30
    while not is_frozen():
        if time.monotonic() > until:
            sys.exit("the process cannot be stopped")
        time.sleep(0.0005)
moment = time.clock_gettime_ns(time.CLOCK_MONOTONIC)
fcntl.ioctl(folder, SHUTDOWN, struct.pack("I", WITHOUT_FLUSHING_THE_LOG))
if process:
    os.kill(process, signal.SIGKILL)
os.close(folder)
print(moment)
