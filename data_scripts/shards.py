"""Audio in tar archives, which are not unpacked: where each member's bytes lie."""

import tarfile
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from speech_mtl.data.place import Place
from speech_mtl.errors import InputError


class Shard(NamedTuple):
    """A tar archive.

    Attributes:
        members: Its files by their names, as places that a manifest can name. A hard link is the file it leads to.
        is_whole: Whether it ends as a tar has to. Of one that is cut short or damaged, the members are those before.
    """

    members: dict[str, Path]
    is_whole: bool


@lru_cache(maxsize=8)
def read_shard(tar: Path) -> Shard:
    """The content of a tar archive.

    Raises:
        InputError: It is no tar, or a compressed one.
    """
    found: dict[str, Path] = {}
    try:
        with tarfile.open(tar, "r:") as opened:
            try:
                for one in opened:
                    if one.isreg() and not one.issparse():
                        place = Place(tar, offset=one.offset_data, length=one.size).path
                        found[one.name.removeprefix("./")] = place
                    elif one.islnk() and (first := found.get(one.linkname.removeprefix("./"))):
                        found[one.name.removeprefix("./")] = first
            except tarfile.ReadError:
                pass  # the last member goes through the cut
            return Shard(found, _ends(opened))
    except tarfile.ReadError as error:
        raise InputError(
            f"{tar} cannot be read as a tar archive",
            expected="a tar archive that is not compressed, so that its members have places",
            received=str(error),
            action="take the archive from the corpus again; decompress a .tar.gz with gunzip",
        ) from None


def _ends(opened: tarfile.TarFile) -> bool:
    """Whether zeros follow the last member that was read: `tarfile` ends at a damaged header without an error."""
    if opened.fileobj is None:
        return False
    opened.fileobj.seek(opened.offset)
    return opened.fileobj.read(tarfile.BLOCKSIZE) == bytes(tarfile.BLOCKSIZE)
