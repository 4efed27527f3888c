"""URLs such as ``s3://bucket/match.mp4``: the store behind them, and what may be shown of them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import PurePosixPath
from typing import TYPE_CHECKING
from urllib.parse import unquote

from e2espot.core.errors import ConfigurationError, E2ESpotError, VideoError, first_line

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

_URL = re.compile(r"([a-z][a-z0-9+.-]*)://(.*)", re.DOTALL)


def is_url(source: str) -> bool:
    """Whether a source is a URL rather than a path."""
    return _URL.fullmatch(source) is not None


def redact(url: str) -> str:
    """The URL without its secrets: user name, password, and the query, which may hold a signature."""
    # https://me:secret@host/a.mp4?signature=x -> https://host/a.mp4
    scheme, _, rest = url.partition("://")
    host, slash, path = rest.partition("?")[0].partition("/")
    return f"{scheme}://{host.rpartition('@')[2]}{slash}{path}"


def result_name(url: str) -> str:
    """Name of the results of a video: its file name without the extension.

    Raises:
        ConfigurationError: the URL has no file name.
    """
    name = PurePosixPath(unquote(redact(url).partition("://")[2]).partition("/")[2] or "/").name
    stem = PurePosixPath(name).stem
    if not stem or stem.startswith(".") or "\0" in name or not name.isprintable():
        raise ConfigurationError(f"{redact(url)}: no file name at the end of this URL; name a video or a folder")
    return stem


def open_store(url: str) -> tuple[AbstractFileSystem, str]:
    """Open the store of a URL.

    Returns:
        The file system and the path in it.

    Raises:
        ConfigurationError: an unknown scheme, or one whose package is not installed.
        VideoError: the store does not answer.
    """
    import fsspec

    try:
        store, path = fsspec.url_to_fs(url)
    except ImportError as error:
        scheme = url.partition("://")[0]
        raise ConfigurationError(f"{redact(url)}: {scheme} needs another package: {first_line(error)}") from None
    except ValueError as error:
        raise ConfigurationError(
            f"{redact(url)}: {first_line(error)}; check the scheme, or download the file yourself"
        ) from None
    except E2ESpotError:
        raise
    except Exception as error:  # some stores connect here, and every client library has its own exceptions
        raise VideoError(f"{redact(url)}: cannot be opened ({type(error).__name__}: {first_line(error)})") from None
    return store, str(path)


@contextmanager
def translate_errors(url: str) -> Iterator[None]:
    """Translate the exceptions of a store's client library into one-line errors.

    Raises:
        VideoError: the store raised an exception.
    """
    try:
        yield
    except E2ESpotError:
        raise
    except FileNotFoundError:
        raise VideoError(f"{redact(url)}: the store has no such file") from None
    except PermissionError as error:
        raise VideoError(
            f"{redact(url)}: the store denies access ({first_line(error)}); check the credentials"
        ) from None
    except Exception as error:  # every client library has its own exceptions
        reason = f"{type(error).__name__}: {first_line(error)}" if str(error) else type(error).__name__
        # The client library may quote the URL with its secrets.
        raise VideoError(f"{redact(url)}: cannot be read from its store ({reason.replace(url, redact(url))})") from None
