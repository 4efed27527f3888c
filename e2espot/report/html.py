"""Builds HTML and SVG from values; everything that is not markup already is escaped."""

from __future__ import annotations

from html import escape


class Markup(str):
    """Text that is HTML. Any other string is plain text."""

    __slots__ = ()


Child = str | int | float | None


def element(name: str, *children: Child, **attributes: Child | bool) -> Markup:
    """``<name attribute="...">children</name>``.

    Args:
        name: Name of the element; not escaped, so never a value from a file.
        children: Markup is used as it is, other values are escaped, None is omitted.
        attributes: Values are escaped. ``class_`` becomes class, ``data_x`` becomes data-x. None and False are
            omitted, True gives an attribute without a value.
    """
    text = "".join(_attribute(key, value) for key, value in attributes.items())
    return Markup(f"<{name}{text}>{join(*children)}</{name}>")


def join(*children: Child) -> Markup:
    """Children one after the other."""
    return Markup("".join(_text(child) for child in children if child is not None))


def _text(child: Child) -> str:
    return str(child) if isinstance(child, Markup) else escape(str(child))


def _attribute(key: str, value: Child | bool) -> str:
    if value is None or value is False:
        return ""
    name = key.removesuffix("_").replace("_", "-")
    if value is True:
        return f" {name}"
    # Coordinates with two decimals at most keep the page small: 12.50 -> 12.5, 3.00 -> 3
    text = f"{value:.2f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)
    return f' {name}="{escape(text)}"'
