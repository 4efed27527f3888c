"""An address such as ``s3://bucket/match.mp4``: what stands behind it, and what may be redact of it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import PurePosixPath
from typing import TYPE_CHECKING
from urllib.parse import unquote

from e2espot.core.errors import ConfigurationError, E2ESpotError, VideoError

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

_URL = re.compile(r"([a-z][a-z0-9+.-]*)://(.*)", re.DOTALL)


def is_url(source: str) -> bool:
    """Whether a source is an address in a store rather than a path."""
    return _URL.fullmatch(source) is not None


def redact(url: str) -> str:
    """The address without what may be secret: passwords, and the signature behind a question mark."""
    scheme, _, rest = url.partition("://")
    place = rest.partition("?")[0]
    host, slash, path = place.partition("/")
    return f"{scheme}://{host.rpartition('@')[2]}{slash}{path}"


def result_name(url: str) -> str:
    """Name of the file, without its ending: what its results are called.

    Raises:
        ConfigurationError: the address names no file.
    """
    name = PurePosixPath(unquote(redact(url).partition("://")[2]).partition("/")[2] or "/").name
    stem = PurePosixPath(name).stem
    if not stem or stem.startswith(".") or "\0" in name or not name.isprintable():
        raise ConfigurationError(f"{redact(url)}: no file name at the end of this address; name a video or a folder")
    return stem


def open_store(url: str) -> tuple[AbstractFileSystem, str]:
    """The store and the path in it.

    Raises:
        ConfigurationError: a scheme nobody knows, or one whose package is not installed.
        VideoError: a store that does not answer.
    """
    import fsspec

    try:
        store, path = fsspec.url_to_fs(url)
    except ImportError as error:
        scheme = url.partition("://")[0]
        raise ConfigurationError(f"{redact(url)}: {scheme} needs another package: {_first_line(error)}") from None
    except ValueError as error:
        raise ConfigurationError(
            f"{redact(url)}: {_first_line(error)}; copy the file here, or check the scheme"
        ) from None
    except E2ESpotError:
        raise
    except Exception as error:  # some stores connect at once, each with errors of its own
        raise VideoError(f"{redact(url)}: cannot be opened ({type(error).__name__}: {_first_line(error)})") from None
    return store, str(path)


@contextmanager
def translate_errors(url: str) -> Iterator[None]:
    """Turn whatever a store's own library raises into one clear line.

    Raises:
        VideoError: whatever went wrong in the store.
    """
    try:
        yield
    except E2ESpotError:
        raise
    except FileNotFoundError:
        raise VideoError(f"{redact(url)}: the store has no such file") from None
    except PermissionError as error:
        raise VideoError(f"{redact(url)}: the store refuses ({_first_line(error)}); check the credentials") from None
    except Exception as error:  # every store has a library of its own, with errors of its own
        told = f"{type(error).__name__}: {_first_line(error)}" if str(error) else type(error).__name__
        raise VideoError(f"{redact(url)}: cannot be read from its store ({told.replace(url, redact(url))})") from None


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
