"""URLs such as ``s3://bucket/match.mp4``: the store behind them, and what may be shown of them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote

from e2espot.core.errors import ConfigurationError, E2ESpotError, VideoError, first_line

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

_URL_IN_TEXT = re.compile(r"[a-z][a-z0-9+.-]*://[^\s'\"<>)]+")
_DENIED = (401, 403)
"""HTTP: unauthorized, forbidden."""
_KEPT_IN_URLS = "!#$%&'()*+,/:;=?@[]~"
"""Characters that have a meaning in a URL, or are escaped already: as they are given, so they are requested."""
_LONGEST_WORD = 3
"""Shorter user names and queries are no secrets, and replacing them would garble the text."""
_PARTS = re.compile(r"\.[0-9A-Za-z]{2,4}\+")
"""``a.MP4+b.MP4``: a suffix before the separator of parts."""
_URL = re.compile(r"([a-z][a-z0-9+.-]*)://(.*)", re.DOTALL)


def is_url(source: str) -> bool:
    """Whether a source is a URL rather than a path."""
    return _URL.fullmatch(source) is not None


def hint_on_parts(source: str) -> str:
    """The rest of a message on a stored file that does not exist, if the source names several files of one match."""
    if not _PARTS.search(redact(source)):
        return ""
    return "; a match in several files is read from a local disk only: download its files and join their paths by +"


def redact(url: str) -> str:
    """The URL without its secrets: user name, password, and the query, which may hold a signature; a path as it is."""
    if not is_url(url):
        return url
    # https://me:secret@host/a.mp4?signature=x -> https://host/a.mp4
    scheme, _, rest = url.partition("://")
    host, slash, path = rest.partition("?")[0].partition("/")
    return f"{scheme}://{host.rpartition('@')[2]}{slash}{path}"


def scrub(text: str, url: str) -> str:
    """``text`` without the secrets of ``url``, however a client library quotes them, and of any other URL in it.

    ::

        url   https://host/a.mp4?key=A%2FB
        text  403, message='Forbidden', url='https://host/a.mp4?key=A/B'  ->  403, ... url='https://host/a.mp4'
    """
    text = _URL_IN_TEXT.sub(lambda match: redact(match.group()), text)
    rest = url.partition("://")[2]
    userinfo, query = rest.partition("/")[0].rpartition("@")[0], rest.partition("?")[2]
    for part in filter(None, (userinfo, query)):
        for secret in (part, quote(part, safe="/=&%"), unquote(part)):
            if len(secret) > _LONGEST_WORD:
                text = text.replace(secret, "...")
    return text


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

    options: dict[str, Any] = {}
    if url.startswith(("http://", "https://")):
        # aiohttp would write %2F as / in a query, also after a redirect, and a server that signs its URLs refuses that.
        url = quote(url, safe=_KEPT_IN_URLS)  # what no URL may hold, such as spaces
        options = {"encoded": True, "client_kwargs": {"requote_redirect_url": False}}
    try:
        store, path = fsspec.url_to_fs(url, **options)
    except ImportError as error:
        scheme = url.partition("://")[0]
        raise ConfigurationError(
            f"{redact(url)}: {scheme} needs another package: {scrub(first_line(error), url)}"
        ) from None
    except ValueError as error:
        raise ConfigurationError(
            f"{redact(url)}: {scrub(first_line(error), url)}; check the scheme, or download the file yourself"
        ) from None
    except E2ESpotError:
        raise
    except Exception as error:  # some stores connect here, and every client library has its own exceptions
        reason = scrub(f"{type(error).__name__}: {first_line(error)}", url)
        raise VideoError(f"{redact(url)}: cannot be opened ({reason})") from None
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
    except FileNotFoundError as error:
        # fsspec hides the answer of a web server behind this exception.
        status = getattr(error.__cause__, "status", None)
        if status in _DENIED:
            raise VideoError(
                f"{redact(url)}: the server denies access (HTTP {status}); check the credentials, or whether a signed "
                "URL has expired"
            ) from None
        raise VideoError(f"{redact(url)}: the store has no such file{hint_on_parts(url)}") from None
    except PermissionError as error:
        raise VideoError(
            f"{redact(url)}: the store denies access ({scrub(first_line(error), url)}); check the credentials"
        ) from None
    except Exception as error:  # every client library has its own exceptions
        reason = f"{type(error).__name__}: {first_line(error)}" if str(error) else type(error).__name__
        raise VideoError(f"{redact(url)}: cannot be read from its store ({scrub(reason, url)})") from None
