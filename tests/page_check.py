"""Checks of an HTML page that needs nobody: well formed, nothing from a network, ids and labels that meet."""

import re
from html.parser import HTMLParser

VOID = {"meta", "link", "br", "img", "input", "hr"}
LOADS = {"src", "href", "action", "data", "poster", "srcset", "xlink:href"}


class Page(HTMLParser):
    """Reads a page and raises `AssertionError` at what is wrong; `text` is what a reader sees."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.text = ""
        self.tags: list[str] = []
        self._open: list[str] = []
        self._ids: set[str] = set()
        self._labelled: set[str] = set()
        self.feed(html)
        self.close()
        assert self._open == []
        assert self._labelled <= self._ids
        assert not re.search(r"https?:|//[a-z]|url\(|@import", html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        values = dict(attrs)
        assert len(values) == len(attrs), f"an attribute of <{tag}> stands twice"
        assert not LOADS & set(values), f"<{tag}> loads something"
        assert not any(name.startswith("on") for name in values)
        if (name := values.get("id")) is not None:
            assert name not in self._ids, f"the id {name} stands twice"
            self._ids.add(name)
        self._labelled |= set((values.get("aria-labelledby") or "").split())
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in {"path", "rect"}, f"<{tag}/>"
        self.handle_starttag(tag, attrs)
        self._open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self._open[-1:] == [tag], f"</{tag}> closes {self._open}"
        self._open.pop()

    def handle_data(self, data: str) -> None:
        if "style" not in self._open:
            self.text += " ".join(data.split()) + " "
