"""What proves that a product is whole: its completion mark, and what does not fit it.

A mark names each file of a product with size, time and checksum, and the checksums of what it was made from. It is
written by the process that has seen the work reach its end. A product without its mark, or other than its mark says,
is not whole, whatever else looks well.
"""

import contextlib
import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from cerebellar_models.errors import RunError
from cerebellar_models.files import write_atomically

FORMAT = 1
"""of a mark's file; a reader takes keys it does not know as they come"""
_CHECKSUM_BYTES = 16


@dataclass(frozen=True)
class FileProof:
    """A file as it was when it was whole."""

    bytes: int
    modified_ns: int
    """a check that does not read the file trusts it, if size and time agree"""
    checksum: str


@dataclass(frozen=True)
class Mark:
    """Proof of a product."""

    files: dict[str, FileProof]
    """by their names in the product's folder"""
    made_from: dict[str, str]
    """checksums of what went into it, by name"""
    format: int = FORMAT
    digests: dict[str, Any] = field(default_factory=dict)
    """of what is in a circuit, whatever its bytes (see analysis.digests); of earlier versions there are none"""
    threads: int | None = None
    """of each rank that simulated; None where that is not known"""

    @property
    def checksum(self) -> str:
        """Of the product as a whole: the same for the same bytes under the same names."""
        return digest({name: proof.checksum for name, proof in self.files.items()})


def digest(content: Any) -> str:
    """Checksum of a value of JSON, whatever the order of its keys."""
    text = json.dumps(content, sort_keys=True, ensure_ascii=False, default=str)
    return hashlib.blake2b(text.encode(), digest_size=_CHECKSUM_BYTES).hexdigest()


def prove(base: Path, names: Iterable[str], made_from: Mapping[str, str]) -> Mark:
    """The mark of files in ``base`` as they are now; reads all of them."""
    return Mark({name: _proof(base / name) for name in sorted(names)}, dict(made_from))


def _proof(path: Path) -> FileProof:
    status = path.stat()
    return FileProof(status.st_size, status.st_mtime_ns, _checksum(path))


def _checksum(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=_CHECKSUM_BYTES)).hexdigest()


def write_mark(path: Path, mark: Mark) -> None:
    write_atomically(path, json.dumps(asdict(mark), indent=1) + "\n")


def read_mark(path: Path) -> Mark | None:
    """None if there is none.

    :raises RunError: it cannot be read, or is of a later format.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["format"] > FORMAT:
            raise RunError(f"{path}: was written by a later version of cerebellar-models; go on with that")
        keys = FileProof.__dataclass_fields__
        files = {
            name: FileProof(**{key: proof[key] for key in keys}) for name, proof in content["files"].items()
        }
        digests = dict(content.get("digests", {}))
        threads = content.get("threads")
        return Mark(files, dict(content["made_from"]), content["format"], digests, threads)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise RunError(f"{path}: cannot be read as a completion mark ({error})") from error


def misfit(mark: Mark, path: Path, base: Path, thorough: bool) -> str:
    """What of the files in ``base`` is not as their mark at ``path`` says; empty if nothing.

    :param thorough: read every byte; otherwise only those of files whose time has changed.
    """
    touched = False
    for name, proof in mark.files.items():
        try:
            status = (base / name).stat()
            if status.st_size != proof.bytes:
                return f"{name} has {status.st_size} bytes, {proof.bytes} when it was made"
            known = status.st_mtime_ns == proof.modified_ns
            if (thorough or not known) and _checksum(base / name) != proof.checksum:
                return f"{name} has other bytes than when it was made"
            touched = touched or not known
        except FileNotFoundError:
            return f"{name} is missing"
        except OSError as error:
            return f"{name} cannot be read ({error.strerror})"
    if touched:  # copied: not to be read again by every look at it
        times = {name: (base / name).stat().st_mtime_ns for name in mark.files}
        files = {name: replace(proof, modified_ns=times[name]) for name, proof in mark.files.items()}
        with contextlib.suppress(OSError):  # someone else's folder
            write_mark(path, replace(mark, files=files))
    return ""
