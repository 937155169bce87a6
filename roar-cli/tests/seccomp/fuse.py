"""A file system whose server opens a file, with a traced call, before it answers a look-up.

Started as the traced command: the supervisor that looks the file up waits for the server,
and the server's own open waits for the supervisor.
"""
import ctypes, os, struct, subprocess, sys

INIT, LOOKUP, GETATTR, OPEN, READ = 26, 1, 3, 14, 15
point = sys.argv[1]
fuse = os.open("/dev/fuse", os.O_RDWR)
libc = ctypes.CDLL(None, use_errno=True)
options = f"fd={fuse},rootmode=40000,user_id=0,group_id=0"
if libc.mount(b"x", point.encode(), b"fuse", 0, options.encode()):
    sys.exit(77)


def attributes(node):
    mode, size = (0o040755, 0) if node == 1 else (0o100644, 2)
    return struct.pack("<6Q10I", node, size, 1, 0, 0, 0, 0, 0, 0, mode, 1, 0, 0, 0, 512, 0)


def serve():
    while True:
        request = os.read(fuse, 1 << 17)
        _, kind, unique, node = struct.unpack_from("<IIQQ", request)
        error, body = 0, b""
        if kind == INIT:
            body = struct.pack("<4I2H9I", 7, 31, 65536, 0, 0, 0, 4096, 0, 0, 0, 0, 0, 0, 0, 0)
        elif kind == LOOKUP:
            os.close(os.open("/dev/null", os.O_RDONLY))
            body = struct.pack("<6Q", 2, 0, 0, 0, 0, 0)[:40] + attributes(2)
        elif kind == GETATTR:
            body = struct.pack("<QII", 0, 0, 0) + attributes(node)
        elif kind == OPEN:
            body = struct.pack("<QII", 0, 0, 0)
        elif kind == READ:
            offset = struct.unpack_from("<QQ", request, 40)[1]
            body = b"y\n"[offset:]
        else:
            error = -38
        os.write(fuse, struct.pack("<IiQ", 16 + len(body), error, unique) + body)


server = os.fork()
if server == 0:
    try:
        serve()
    finally:
        os._exit(0)
client = subprocess.run(["cat", os.path.join(point, "x")], timeout=60)
libc.umount2(point.encode(), 2)
os.kill(server, 9)
os.waitpid(server, 0)
sys.exit(client.returncode)
