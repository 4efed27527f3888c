"""HTML and SVG built from values: whatever is not markup already is escaped."""

from __future__ import annotations

from html import escape


class Markup(str):
    """Text that is HTML; everything else is text."""

    __slots__ = ()


Child = str | int | float | None


def element(name: str, *children: Child, **attributes: Child | bool) -> Markup:
    """``<name attribute="...">children</name>``.

    Args:
        name: Name of the element, our own.
        children: Markup as it is, other values escaped; None is left out.
        attributes: Escaped; ``class_`` is class, ``data_x`` is data-x; None and False are left out,
            True stands without a value.
    """
    told = "".join(_attribute(key, value) for key, value in attributes.items())
    return Markup(f"<{name}{told}>{join(*children)}</{name}>")


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
    text = f"{value:.2f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)
    return f' {name}="{escape(text)}"'
