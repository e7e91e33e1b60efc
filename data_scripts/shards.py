"""Audio in tar archives, which are not unpacked: where each member's bytes lie."""

import tarfile
from functools import lru_cache
from pathlib import Path

from speech_mtl.data.place import Place
from speech_mtl.errors import InputError


@lru_cache(maxsize=8)
def members(tar: Path) -> dict[str, Path]:
    """The files in a tar by their names, as places that a manifest can name.

    Of an archive that is cut short these are the members before the cut, and the one that it goes through.

    Raises:
        InputError: It is no tar, or a compressed one.
    """
    found: dict[str, Path] = {}
    try:
        with tarfile.open(tar, "r:") as opened:
            try:
                for one in opened:
                    if one.isreg() and not one.issparse():
                        place = Place(tar, offset=one.offset_data, length=one.size)
                        found[one.name.removeprefix("./")] = place.path
            except tarfile.ReadError:
                pass  # whoever asks for a member behind the cut is told that it is not there
    except tarfile.ReadError as error:
        raise InputError(
            f"{tar} cannot be read as a tar archive",
            expected="a tar archive that is not compressed, so that its members have places",
            received=str(error),
            action="take the archive from the corpus again; decompress a .tar.gz with gunzip",
        ) from None
    return found
