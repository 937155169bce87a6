"""Speaks to the loader as roar does, but asks for a cookie of its caller's choice.

loader_client.py trace LOADER DIGEST COOKIE: prints the types of the maps that it was given and
which are frozen, then for each line on standard input how many bytes the ring has taken so far. The line
"touch FILE" has a child of its own register and read the file first.

loader_client.py touch COOKIE FILE: registers with the cookie and reads the file.
"""

import ctypes
import mmap
import os
import re
import socket
import struct
import subprocess
import sys

REGISTER = 0x726F6172


def touch(cookie, file):
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    ctypes.CDLL(None).prctl(REGISTER, ctypes.c_ulong(cookie), 0, 0, 0)
    os.execv("/bin/cat", ["cat", file])


def attach(loader, digest, cookie):
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.send(b"roarbpf1" + bytes.fromhex(digest) + struct.pack("=QI", cookie, 1 << 16))
    subprocess.run([loader], stdin=theirs, check=False)
    theirs.close()
    answer, descriptors, _, _ = socket.recv_fds(ours, 4096, 32)
    if answer[:1] != b"\0":
        sys.exit(f"refused: {answer!r}")
    return descriptors


def main():
    if sys.argv[1] == "touch":
        touch(int(sys.argv[2]), sys.argv[3])
    cookie = int(sys.argv[4])
    descriptors = attach(sys.argv[2], sys.argv[3], cookie)
    types = []
    for descriptor in descriptors:
        with open(f"/proc/self/fdinfo/{descriptor}", encoding="ascii") as info:
            text = info.read()
        types += re.findall(r"^map_type:\s*(\d+)", text, re.MULTILINE)
        if re.search(r"^frozen:\s*1", text, re.MULTILINE):
            types.append("frozen")
    print(" ".join(types), flush=True)
    # The producer's position is at the start of the ring's second page.
    page = mmap.mmap(
        descriptors[0], mmap.PAGESIZE, prot=mmap.PROT_READ, offset=mmap.PAGESIZE
    )
    for line in sys.stdin:
        words = line.split()
        if words:
            child = os.fork()
            if child == 0:
                touch(cookie, words[1])
            os.waitpid(child, 0)
        print(struct.unpack("=Q", page[:8])[0], flush=True)


main()
