"""``as_namespace_root.py COMMAND...``: runs it as root of a new user namespace in which every id is itself.

Root of a confined machine may lack what building an image needs, CAP_SYS_RESOURCE above all; there it has it.
"""

import os
import sys
from pathlib import Path


def main(command: list[str]) -> int:
    """Exit status of the command, started once its ids are mapped."""
    unshared_read, unshared_write = os.pipe()
    mapped_read, mapped_write = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(unshared_read)
        os.close(mapped_write)
        _unshare_users()
        os.write(unshared_write, b"1")
        if os.read(mapped_read, 1):
            os.execvp(command[0], command)
        os._exit(120)
    os.close(unshared_write)
    os.close(mapped_read)
    if os.read(unshared_read, 1):
        for ids in ("uid_map", "gid_map"):
            Path(f"/proc/{child}/{ids}").write_text("0 0 65536")
        os.write(mapped_write, b"1")
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status) & 0xFF


def _unshare_users() -> None:
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    clone_newuser = 0x10000000
    if libc.unshare(clone_newuser):
        os._exit(120)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
