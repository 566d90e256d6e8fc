"""Object list files: which files are lists, the lines of any span of one, the key a line names, and who reads which bytes.

Source of the rules: API reference, section 2 (object list file) and the codes TRF.0012 to TRF.0019 and TRF.0301 of 7.2.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from urllib.parse import unquote_to_bytes

from omsd.domain.errors import Failure, OmsdError, Side, StoreError, StoreErrorKind, failure_of
from omsd.domain.model import ListFile
from omsd.domain.plan import ShardDraft
from omsd.domain.shards import ManifestSpan, ShardKind

SUFFIX = ".txt"
MAX_FILE_BYTES = 100 * 1024 * 1024
MAX_LINE_CHARACTERS = 65_535
# No service has longer keys.
MAX_KEY_CHARACTERS = 1024
# Of one task: what is planned in one go. Each file may have a million lines.
MAX_FILES = 10_000

NOT_READABLE = "TRF.0013"
NOT_A_LIST = "TRF.0014"
LINE_TOO_LONG = "TRF.0018"
WRONG_METADATA = "TRF.0019"
ARCHIVED = "TRF.0301"
KEY_TOO_LONG = "TRF.0060"

_BOM = b"\xef\xbb\xbf"
# A character has at most four bytes: no more than these, and the break, need be held to know that a line is too long.
_MAX_LINE_BYTES = 4 * MAX_LINE_CHARACTERS + len(_BOM) + 1
_BAD_ESCAPE = re.compile(rb"%(?![0-9A-Fa-f]{2})")
# Behind the end of a span only the rest of its last line is wanted.
_TAIL_BYTES = 8 * 1024

# Trouble that may pass keeps the codes of the destination, whose keys read the lists.
_CODES = {StoreErrorKind.ARCHIVED: ARCHIVED}
_ADVICE = {
    ARCHIVED: "restore the object list file, then start the task again",
    NOT_READABLE: "check that the file is there and that the destination's AK/SK may read it, then start the task again",
}


class ListFileError(OmsdError):
    """An object list file that cannot be used; its code is the documented one."""


class BadLineError(OmsdError):
    """A line that names no key."""

    code = NOT_A_LIST


@dataclass(frozen=True, slots=True)
class ListsFound:
    """The list files of a task as they are now, or why they cannot be used.

    bucket_fault: their bucket is not there; that is said before the task is created.
    """

    files: tuple[ListFile, ...] = ()
    failure: Failure | None = None
    bucket_fault: bool = False


NO_LISTS = ListsFound()


def is_folder(list_file_key: str) -> bool:
    """Does it name every list below a folder, and not one file?"""
    return list_file_key.endswith("/")


def is_list_name(key: str) -> bool:
    """May a file of this name be an object list?"""
    return key.lower().endswith(SUFFIX)


def check_file(file: ListFile) -> None:
    """Raise ListFileError unless a list may have this name and size."""
    if not is_list_name(file.key):
        raise ListFileError(
            f"the object list file {file.key!r} is no {SUFFIX} file; give it that ending, then create the task anew",
            code=NOT_A_LIST,
        )
    if file.size_bytes > MAX_FILE_BYTES:
        raise ListFileError(
            f"the object list file {file.key!r} has {file.size_bytes} bytes, more than {MAX_FILE_BYTES};"
            " cut it into several and put them into a folder",
            code=NOT_A_LIST,
        )


def check_metadata(key: str, content_type: str, content_encoding: str) -> None:
    """Raise ListFileError unless the file is stored as plain text."""
    media_type = content_type.partition(";")[0].strip().lower()
    if media_type == "text/plain" and not content_encoding:
        return
    wrong = f"Content-Type {content_type!r}" if media_type != "text/plain" else ""
    wrong = wrong or f"Content-Encoding {content_encoding!r}"
    raise ListFileError(
        f"the object list file {key!r} has {wrong}; store it with Content-Type text/plain and without Content-Encoding",
        code=WRONG_METADATA,
    )


def failure_of_list(error: StoreError, key: str) -> Failure:
    """What a list that cannot be read means for its task."""
    if error.retryable:
        return failure_of(error, Side.DESTINATION)
    if error.kind is StoreErrorKind.PRECONDITION:
        detail = f"the object list file {key!r} is not the one the task began with: it was changed meanwhile"
        return Failure(NOT_READABLE, f"{detail}; start the task again to go through the new one")
    code = _CODES.get(error.kind, NOT_READABLE)
    return Failure(code, f"the object list file {key!r} cannot be read: {error.message}; {_ADVICE[code]}")


def key_of(text: bytes) -> str:
    """The key that a line names. Raises BadLineError if it is not URL-encoded UTF-8, or longer than any key. A + is a +."""
    if _BAD_ESCAPE.search(text):
        raise BadLineError("the line is not URL-encoded: a % is not followed by two hexadecimal digits")
    try:
        key = (unquote_to_bytes(text) if b"%" in text else text).decode()
    except UnicodeDecodeError:
        raise BadLineError("the line does not name a key: its bytes are not UTF-8") from None
    if len(key) > MAX_KEY_CHARACTERS:
        raise BadLineError(
            f"the key has {len(key)} characters, and no service takes more than {MAX_KEY_CHARACTERS}",
            code=KEY_TOO_LONG,
        )
    return key


def name_of_bad(text: bytes) -> str:
    """What a line that names no key is called: its beginning, which still is too long for a key if the line is."""
    return text.decode(errors="replace")[: MAX_KEY_CHARACTERS + 1]


@dataclass(frozen=True, slots=True)
class Line:
    """A line that is not blank. text: without line break and byte order mark. offset: of its first byte in the file.

    next_offset: where the next line begins.
    """

    offset: int
    next_offset: int
    text: bytes


class LineCutter:
    """Cuts a file into the lines that begin in [start, end), whatever pieces its bytes come in.

    Give it the bytes from read_offset on until it is over. It may read on behind the end, to where its last line ends. end may come
    nearer, as long as it stays behind what was given out.
    """

    def __init__(self, start: int, end: int, size_bytes: int) -> None:
        self.end = end
        self._size_bytes = size_bytes
        # From the byte before on, a line that begins at the start is told from one that began earlier.
        self.read_offset = max(0, start - 1)
        self._skipping = start > 0
        self._held = b""
        self._next_offset = start

    @property
    def over(self) -> bool:
        """Is no line left?"""
        return self._next_offset >= self.end or (self.read_offset >= self._size_bytes and not self._held)

    def wanted_bytes(self, at_most: int) -> int:
        """How much to read next."""
        return min(
            at_most, self._size_bytes - self.read_offset, max(self.end - self.read_offset, _TAIL_BYTES)
        )

    def feed(self, data: bytes) -> Iterator[Line]:
        """The lines that are complete with the next bytes. Raises ListFileError at a line that is too long."""
        self.read_offset += len(data)
        if self._skipping:
            # The rest of a line that began earlier, however long.
            place = data.find(b"\n")
            self._next_offset = self.read_offset - len(data) + place + 1 if place >= 0 else self.read_offset
            if place < 0:
                return
            self._skipping = False
            data = data[place + 1 :]
        *texts, rest = (self._held + data).split(b"\n")
        self._held = rest
        for text in texts:
            if self._next_offset >= self.end:
                return
            yield from self._line(text, broken=True)
        if self.read_offset >= self._size_bytes and rest and self._next_offset < self.end:
            self._held = b""
            yield from self._line(rest, broken=False)
        elif len(rest) > _MAX_LINE_BYTES:
            raise _too_long(self._next_offset)

    def _line(self, text: bytes, *, broken: bool) -> Iterator[Line]:
        offset = self._next_offset
        self._next_offset += len(text) + broken
        if offset == 0:
            text = text.removeprefix(_BOM)
        text = text.removesuffix(b"\r")
        if len(text) > MAX_LINE_CHARACTERS and len(text.decode(errors="replace")) > MAX_LINE_CHARACTERS:
            raise _too_long(offset)
        if text:
            yield Line(offset, self._next_offset, text)


def _too_long(offset: int) -> ListFileError:
    return ListFileError(
        f"the line at byte {offset} of the object list file has more than {MAX_LINE_CHARACTERS} characters",
        code=LINE_TOO_LONG,
    )


def plan_manifests(found: ListsFound) -> tuple[ShardDraft, ...]:
    """A shard for each file with something in it. Raises ListFileError if the files cannot be used."""
    if found.failure is not None:
        raise ListFileError(found.failure.message, code=found.failure.code)
    return tuple(_drafts(found.files))


def _drafts(files: Iterable[ListFile]) -> Iterator[ShardDraft]:
    for file in files:
        if file.size_bytes:
            span = ManifestSpan(file.key, file.etag, file.size_bytes, 0, file.size_bytes)
            yield ShardDraft(ShardKind.MANIFEST, manifest=span)
