"""Lines of a file, plain, gzip or zstd by its first bytes, in constant memory."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Iterator
from io import BufferedReader
from pathlib import Path
from typing import Protocol

import zstandard

from streams.replay.sources.rows import SourceError, SourceFault

MAX_LINE_BYTES = 1 << 20
"""Longer lines are refused, so that a file without line ends can't fill the memory."""

_GZIP_MAGIC = b"\x1f\x8b"
_ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
_CHUNK = 1 << 18
_ZSTD_STEP = 1 << 10
"""A zstd decoder gives all that its input holds, up to 32 KiB per byte: small steps bound what a hostile file costs."""

_MAX_WINDOW = 1 << 27


class _Decoder(Protocol):
    """What zlib's and zstandard's decompression objects share."""

    @property
    def eof(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, /) -> bytes: ...


class LineFile:
    """A text file as lines without their line ends. `bytes_read` is the position in the file as stored.

    Raises `SourceError` if there is no such file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.bytes_read = 0
        try:
            self.total_bytes = path.stat().st_size
        except OSError as error:
            raise SourceError(f"{path}: {error.strerror}; give the path of a file") from None
        if not path.is_file():
            raise SourceError(f"{path}: not a file; give the path of a file")

    def digest(self) -> bytes:
        """SHA-256 of the file's bytes as stored (compressed, if it is): what the event ids are made of."""
        with self._open() as file:
            return hashlib.file_digest(file, "sha256").digest()

    def lines(self) -> Iterator[tuple[int, bytes | SourceFault]]:
        """(number from 1, line), a fault for a line longer than MAX_LINE_BYTES.

        Raises `SourceError` where the compression is broken or cut short, after the lines before that place.
        """
        number = 0
        tail = b""
        skipping = False
        for chunk in self._chunks():
            *complete, tail = (tail + chunk).split(b"\n")
            for line in complete:
                number += 1
                if skipping or len(line) > MAX_LINE_BYTES:
                    skipping = False
                    yield number, _too_long(number)
                else:
                    yield number, line.removesuffix(b"\r")
            if len(tail) > MAX_LINE_BYTES:
                tail, skipping = b"", True
        if tail or skipping:
            number += 1
            yield number, _too_long(number) if skipping else tail.removesuffix(b"\r")

    def _open(self) -> BufferedReader:
        try:
            return self.path.open("rb")
        except OSError as error:
            raise SourceError(f"{self.path}: {error.strerror}") from None

    def _chunks(self) -> Iterator[bytes]:
        """Content, decompressed."""
        self.bytes_read = 0
        with self._open() as file:
            magic = file.read(4)
            file.seek(0)
            if magic.startswith(_GZIP_MAGIC):
                yield from self._gzip(file)
            elif magic == _ZSTD_MAGIC:
                yield from self._zstd(file)
            else:
                yield from self._stored(file, _CHUNK)

    def _stored(self, file: BufferedReader, size: int) -> Iterator[bytes]:
        while chunk := file.read(size):
            self.bytes_read += len(chunk)
            yield chunk

    def _gzip(self, file: BufferedReader) -> Iterator[bytes]:
        decoder = zlib.decompressobj(wbits=31)
        for chunk in self._stored(file, _CHUNK):
            data = chunk
            while data:
                if decoder.eof:
                    data = data.lstrip(b"\0")  # padding between members
                    if not data:
                        break
                    decoder = zlib.decompressobj(wbits=31)
                try:
                    content = decoder.decompress(data, _CHUNK)
                except zlib.error as error:
                    raise self._broken("gzip", str(error)) from None
                data = decoder.unused_data if decoder.eof else decoder.unconsumed_tail
                yield content
        while not decoder.eof:
            content = decoder.decompress(b"", _CHUNK)
            if not content:
                raise self._broken("gzip", "it ends in the middle of a member")
            yield content

    def _zstd(self, file: BufferedReader) -> Iterator[bytes]:
        decoder = self._zstd_decoder()
        for chunk in self._stored(file, _CHUNK):
            for start in range(0, len(chunk), _ZSTD_STEP):
                data = chunk[start : start + _ZSTD_STEP]
                while data:
                    if decoder.eof:
                        decoder = self._zstd_decoder()
                    try:
                        content = decoder.decompress(data)
                    except zstandard.ZstdError as error:
                        raise self._broken("zstd", str(error)) from None
                    data = decoder.unused_data if decoder.eof else b""
                    yield content
        if not decoder.eof:
            raise self._broken("zstd", "it ends in the middle of a frame")

    @staticmethod
    def _zstd_decoder() -> _Decoder:
        return zstandard.ZstdDecompressor(max_window_size=_MAX_WINDOW).decompressobj()

    def _broken(self, kind: str, why: str) -> SourceError:
        place = f"{self.path}: broken {kind} within the {_CHUNK >> 10} KiB before byte {self.bytes_read}: {why}"
        return SourceError(f"{place}; fetch the file again, or decompress it with a tool that can repair it")


def _too_long(number: int) -> SourceFault:
    return SourceFault(number, f"line is longer than {MAX_LINE_BYTES} bytes")
