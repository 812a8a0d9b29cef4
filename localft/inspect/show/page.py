"""Rows as one page of HTML that stands alone: no script, nothing loaded from anywhere, light and dark."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape

from localft.inspect.show.token_spans import ShownRow, TokenSpan
from localft.units import count
from localft.visible import readable, visible

_STYLE = """
:root {
  color-scheme: light dark;
  --page: #f6f7f9; --card: #ffffff; --line: #d9dde3; --text: #1d2430; --quiet: #5b6675;
  --learned: #d8f3dc; --learned-2: #c2e9c9; --plain-2: #eceff3; --special: #0b5cad; --special-back: #e1edfb;
  --end: #b3261e; --edge: #9aa5b3;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #12161c; --card: #1a2029; --line: #303946; --text: #e4e9f0; --quiet: #98a4b3;
    --learned: #17402a; --learned-2: #1f5236; --plain-2: #252d38; --special: #8cc1ff; --special-back: #1d3350;
    --end: #ff9d94; --edge: #55616f;
  }
}
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 60rem; padding: 2rem 1rem 4rem; background: var(--page); color: var(--text);
  font: 16px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.4rem; margin: 0 0 .3rem; overflow-wrap: anywhere; }
h2 { font-size: 1rem; margin: 0; overflow-wrap: anywhere; }
p { margin: .2rem 0; color: var(--quiet); }
.legend { display: flex; flex-wrap: wrap; gap: .4rem 1.4rem; margin: 1rem 0; }
.card { background: var(--card); border: 1px solid var(--line); border-radius: 8px; margin: 1rem 0;
  padding: .9rem 1rem; }
.row { margin: .6rem 0 0; font: 14px/1.75 ui-monospace, "SF Mono", Menlo, Consolas, monospace; white-space: pre-wrap;
  overflow-wrap: anywhere; }
.l { background: var(--learned); padding: .15em 0; }
.x { color: var(--special); background: var(--special-back); border-radius: 3px; padding: .1em .2em; font-weight: 600; }
.x.l { box-shadow: inset 0 -3px 0 var(--learned-2); }
.e::after { content: " ■ end"; color: var(--end); font-size: .8em; }
.n { color: var(--quiet); opacity: .7; }
.refused { color: var(--end); }
#tokens:checked ~ main .t:nth-child(even) { background: var(--plain-2); }
#tokens:checked ~ main .t.l:nth-child(even) { background: var(--learned-2); }
#tokens:checked ~ main .t { box-shadow: inset 1px 0 var(--edge); }
label { cursor: pointer; }
"""


def page(title: str, facts: Sequence[str], rows: Sequence[ShownRow]) -> str:
    """The page.

    Args:
        title: a plain text, such as the file's name.
        facts: plain sentences below it.
    """
    head = (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n"
        f"<title>{_text(title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n"
    )
    legend = (
        '<div class="legend"><span><span class="l">supervised</span> learned as a target</span>'
        '<span><span class="x">&lt;special&gt;</span> a special token</span>'
        '<span><span class="x l e">&lt;end&gt;</span> of an answer</span>'
        '<span><span class="n">⏎</span> a line break in the data</span></div>\n'
    )
    told = "".join(f"<p>{_text(fact)}</p>\n" for fact in facts)
    switch = '<input type="checkbox" id="tokens"> <label for="tokens">show where tokens begin</label>\n'
    several = len({row.source for row in rows}) > 1
    cards = "".join(_card(row, several) for row in rows)
    return f"{head}<h1>{_text(title)}</h1>\n{told}{legend}{switch}<main>\n{cards}</main>\n</body>\n</html>\n"


def _card(row: ShownRow, with_source: bool) -> str:
    counts = f"{count(row.n_tokens, 'token')}, {row.n_supervised:,} supervised"
    facts = (row.part, row.wording, "" if row.error else counts)
    source = f" of {_text(row.source)}" if with_source else ""
    heading = f"<h2>row {row.number:,} · line {row.line:,}{source}</h2><p>{_text(' · '.join(filter(None, facts)))}</p>"
    body = f'<p class="refused">{_text(row.error)}</p>' if row.error else ""
    spans = "".join(_spans(row.spans))
    return f'<section class="card">{heading}{body}<div class="row">{spans}</div></section>\n'


def _spans(spans: Sequence[TokenSpan]) -> Iterator[str]:
    for span in spans:
        marks = (("x", span.special), ("l", span.supervised), ("e", span.end and span.supervised))
        classes = " ".join(("t", *(name for name, true in marks if true)))
        ids = ", ".join(map(str, span.ids))
        text = escape(readable(span.text)).replace("\n", '<span class="n">⏎</span>\n')
        yield f'<span class="{classes}" title="token {ids}">{text}</span>'


def _text(text: str) -> str:
    return escape(visible(text))
