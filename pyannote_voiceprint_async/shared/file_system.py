"""The file system of a file."""

from __future__ import annotations

from pathlib import Path

__all__ = ["network_file_system"]

_MOUNTS = Path("/proc/self/mounts")
# The first words of the types of network file systems, such as nfs4, cifs and fuse.sshfs.
_NETWORK_TYPES = ("nfs", "cifs", "smb", "afs", "ceph", "lustre", "gluster", "beegfs", "gpfs", "9p", "fuse.")
# Types with the prefix `fuse.` that are local.
_LOCAL_TYPES = ("fuse.fuse-overlayfs", "fuse.gocryptfs", "fuse.ecryptfs", "fuse.portal", "fuse.lxcfs")


def network_file_system(path: Path, mounts: Path = _MOUNTS) -> str | None:
    """Return the type of the network file system that holds a path; None for a local or an unknown one.

    Args:
        path: a path, which need not exist.
        mounts: the list of mounted file systems. Only Linux has it.
    """
    try:
        lines = mounts.read_text("utf-8", "surrogateescape").splitlines()
    except OSError:
        return None
    target = path.resolve()
    mounted = [(Path(_unescape(point)), kind) for _, point, kind, *_ in map(str.split, lines)]
    inside = [(point, kind) for point, kind in mounted if target.is_relative_to(point)]
    if not inside:
        return None
    # Of two mounts at one point, the later hides the earlier.
    deepest = max(len(point.parts) for point, _ in inside)
    kind = [kind for point, kind in inside if len(point.parts) == deepest][-1]
    return kind if kind.startswith(_NETWORK_TYPES) and kind not in _LOCAL_TYPES else None


def _unescape(point: str) -> str:
    for escaped, character in ((r"\040", " "), (r"\011", "\t"), (r"\012", "\n"), (r"\134", "\\")):
        point = point.replace(escaped, character)
    return point
