"""Which paths are on a network file system."""

from pathlib import Path

import pytest

from pyannote_voiceprint_async.shared.file_system import network_file_system

MOUNTS = r"""
/dev/sda1 / ext4 rw 0 0
server:/export /srv/nfs nfs4 rw 0 0
/dev/sdb1 /srv/nfs/local xfs rw 0 0
//server/share /srv/with\040space cifs rw 0 0
user@host:/ /home/sshfs fuse.sshfs rw 0 0
overlay /containers fuse.fuse-overlayfs rw 0 0
server:/hidden /twice nfs rw 0 0
/dev/sdc1 /twice ext4 rw 0 0
"""


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/data/shared.db", None),
        ("/srv/nfs/shared.db", "nfs4"),
        ("/srv/nfs/local/shared.db", None),
        ("/srv/with space/shared.db", "cifs"),
        ("/home/sshfs/shared.db", "fuse.sshfs"),
        ("/containers/shared.db", None),
        ("/twice/shared.db", None),
    ],
)
def test_the_deepest_and_last_mount_decides(path: str, expected: str | None, tmp_path: Path):
    mounts = tmp_path / "mounts"
    mounts.write_text(MOUNTS.lstrip(), "utf-8")
    assert network_file_system(Path(path), mounts) == expected


def test_without_a_list_of_mounts_no_path_is_refused(tmp_path: Path):
    assert network_file_system(tmp_path, tmp_path / "missing") is None
