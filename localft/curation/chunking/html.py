"""The text of an HTML page as Markdown: headings, paragraphs, lists, tables and code; no scripts, no navigation."""

from __future__ import annotations

import re
import warnings

from bs4 import BeautifulSoup, Tag, XMLParsedAsHTMLWarning
from bs4.element import NavigableString
from markdownify import MarkdownConverter

# The first that a page has holds its content; without one, the body without what frames it.
_MAIN = ("main", "[role=main]", "article", "div.body", "div.document", "#content", "#main-content")
_NOISE = (
    "script, style, noscript, template, nav, aside, form, button, input, select, svg, iframe, object, embed, canvas, "
    "dialog, menu, [role=navigation], [role=search], [role=banner], [role=contentinfo], [hidden], [aria-hidden=true], "
    "a.headerlink, a.anchor, a.doc-anchor, .sphinxsidebar, .toctree-wrapper, .toc, .table-of-contents, .breadcrumb, "
    ".breadcrumbs, .edit-link, .skip-link, .linenos, .related, .prev-next-area"
)
_FRAME = "header, footer"
_BLANKS = re.compile(r"\n{3,}")
_SPACES = re.compile(r"[\t ]{2,}")


class _Converter(MarkdownConverter):
    """Headings with #, code in fences with its language, links as their text, pictures as their description."""

    def convert_a(self, el: Tag, text: str, parent_tags: set[str]) -> str:
        return text

    def process_text(self, el: NavigableString, parent_tags: set[str] | None = None) -> str:
        # markdownify looks for line ends from each of many spaces anew
        if "pre" not in (parent_tags or ()) and (short := _SPACES.sub(" ", el)) != el:
            el.replace_with(el := NavigableString(short))
        return str(super().process_text(el, parent_tags))  # type: ignore[misc]

    def convert_pre(self, el: Tag, text: str, parent_tags: set[str]) -> str:
        lines = text.rstrip(" \n").split("\n")
        first = next((i for i, line in enumerate(lines) if line.strip(" ")), 0)
        return str(super().convert_pre(el, "\n".join(lines[first:]), parent_tags))  # type: ignore[misc]

    def convert_img(self, el: Tag, text: str, parent_tags: set[str]) -> str:
        return str(el.get("alt") or "")


def _language(el: Tag) -> str:
    """What a page says of the language of its code, such as class="highlight-python notranslate"."""
    classes: list[str] = []
    for each in [el, *list(el.parents)[:3], *el.find_all("code", limit=1)]:
        classes += each.get_attribute_list("class") if isinstance(each, Tag) else []
    for name in classes:
        found = re.fullmatch(r"(?:language|lang|highlight)-([\w+#-]+)", str(name or ""))
        if found and found[1] not in ("default", "none", "text"):
            return found[1]
    return ""


def _closed(text: str) -> str:
    """A page in which "<" and "<!--" that no end follows are text, as Python's parser takes them.

    It looks for the end from each of them anew.
    """
    end = text.rfind("-->") + 1
    text = text[:end] + text[end:].replace("<!--", "&lt;!--")
    end = text.rfind(">") + 1
    return text[:end] + text[end:].replace("<", "&lt;")


def to_markdown(text: str) -> tuple[str, str]:
    """The content of a page and its title.

    Raises:
        ValueError: elements are nested too deeply to be read.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", XMLParsedAsHTMLWarning)
            page = BeautifulSoup(_closed(text), "html.parser")
        title = page.title.get_text(" ", strip=True) if page.title else ""
        found = (page.select_one(choice) for choice in _MAIN)
        content = next((part for part in found if part and part.get_text(strip=True)), None)
        if content is None:
            content = page.body or page
            for part in content.select(_FRAME):
                part.decompose()
        for part in content.select(_NOISE):
            if not part.decomposed:
                part.decompose()
        converter = _Converter(
            heading_style="ATX",
            bullets="-",
            escape_asterisks=False,
            escape_underscores=False,
            escape_misc=False,
            code_language_callback=_language,
            strip_pre=None,
        )
        body = str(converter.convert_soup(content))
    except (RecursionError, AssertionError):
        raise ValueError("HTML that is nested too deeply or broken") from None
    lines = "\n".join(line.rstrip() for line in body.split("\n"))
    return _BLANKS.sub("\n\n", lines).strip() + "\n", title
