"""Templates that would never end or take all memory: every loop, operator, filter, test and method there is."""

from __future__ import annotations

from collections.abc import Iterator

from jinja2.filters import FILTERS
from jinja2.tests import TESTS

# Values that small templates make: long, many, deep, and small ones that are written out without end.
LONG = "{% set v = 'ab c\n' * 20000 %}"
MANY = "{% set v = range(20000) | list %}"
TEXTS = "{% set v = ('ab c\n' * 5000).split('\n') %}"
TWICE = (
    "{% set n = namespace(v=['a']) %}{% for i in range(60) %}{% set n.v = [n.v, n.v] %}{% endfor %}{% set v = n.v %}"
)
PAIRS = (
    "{% set n = namespace(v={'a': 1}) %}{% for i in range(60) %}{% set n.v = {'a': n.v, 'b': n.v} %}{% endfor %}"
    "{% set v = n.v %}"
)
VALUES = {"long": LONG, "many": MANY, "texts": TEXTS, "twice": TWICE, "pairs": PAIRS}
SCALARS = {"text": "{% set v = 'ab c' %}", "number": "{% set v = 7 %}", "fraction": "{% set v = 7.5 %}"}

FILTER_ARGUMENTS = {
    "attr": ["'upper'"],
    "batch": ["3", "10**9, 'a'", "2, 'a' * 1000"],
    "center": ["9", "10**9", "3000000000"],
    "default": ["'a'"],
    "d": ["'a'"],
    "dictsort": ["true, 'value'"],
    "format": ["1", "a=1"],
    "groupby": ["'a'", "0"],
    "indent": ["9", "10**9", "'a' * 1000, true, true"],
    "int": ["0, 16", "0, 36"],
    "join": ["'a'", "'a' * 10**6", "'a', 'b.c.d'", "d=[[v]]"],
    "map": ["'upper'", "'string'", "attribute='a.b.c'", "'center', 9**9", "'map', 'upper'", "'replace', 'a', v"],
    "reject": ["", "'equalto', 3", "'in', v"],
    "rejectattr": ["'a.b'", "'a', 'equalto', v"],
    "replace": ["'a', 'b' * 10**6", "'', v", "v, v", "'a', 'b', 10**9"],
    "round": ["10**9", "10**9, 'ceil'", "-(10**9)", "300, 'floor'"],
    "select": ["", "'equalto', 3", "'in', v"],
    "selectattr": ["'a.b'", "'a', 'equalto', v"],
    "slice": ["3", "10**9", "99999, v"],
    "sort": ["true, true", "attribute='a.b,c.d'"],
    "sum": ["start=[]", "'a', 1"],
    "tojson": ["", "indent=10**9", "indent=4", "indent=v"],
    "trim": ["v", "'a'"],
    "truncate": ["10**9", "20000, true, v", "3, true, ''"],
    "unique": ["true", "attribute='a'"],
    "urlize": ["9", "nofollow=true"],
    "wordwrap": ["1", "1, true, v", "10**9"],
    "xmlattr": ["true"],
    "min": ["attribute='a'"],
    "max": ["attribute='a'"],
}
METHOD_ARGUMENTS = {
    "center": ["10**9", "9, 'a'"],
    "count": ["v", "'a'"],
    "encode": ["'utf-32'"],
    "endswith": ["v"],
    "expandtabs": ["10**9", "9"],
    "find": ["'ab' * 20 + 'x'", "v"],
    "format": ["1", "v, v", "a=v"],
    "format_map": ["{'a': v}"],
    "index": ["'ab'"],
    "join": ["v", "range(99999) | map('string')", "[v, v, v] * 99999"],
    "ljust": ["10**9"],
    "lstrip": ["v"],
    "partition": ["'ab'"],
    "removeprefix": ["'ab'"],
    "replace": ["'a', 'b' * 10**6", "'', v", "'a', v * 9"],
    "rfind": ["'x' + 'ab' * 20", "'x' + v[:20000]"],
    "rindex": ["'ab'"],
    "rjust": ["10**9"],
    "rpartition": ["'x' + v[1:20000]"],
    "rsplit": ["", "'a'", "'x' + v[1:20000]"],
    "split": ["", "'a'", "'a', 10**9"],
    "strip": ["v"],
    "translate": ["{97: 'b' * 10**6}", "{97: v}"],
    "zfill": ["10**9"],
    "get": ["'a'", "(v, v)"],
    "fromkeys": ["range(99999)"],
    "to_bytes": ["10**9, 'big'"],
    "copy": [""],
}
PLAIN_METHODS = (
    *("capitalize", "casefold", "isalnum", "isalpha", "isascii", "isdigit", "islower", "isspace", "istitle"),
    *("isupper", "lower", "splitlines", "swapcase", "title", "upper", "items", "keys", "values", "bit_length"),
)
BINARY = ("+", "-", "*", "/", "//", "%", "**", "~", "==", "!=", "<", "<=", ">", ">=", "in", "not in", "and", "or")
OPERANDS = ("v", "'a'", "[v]", "(v,)", "{'a': v}", "99999", "2", "range(99999)", "range(99999) | select")


def forever(body: str) -> str:
    """A body ten thousand million times, in steps that each are small."""
    return (
        "{% for h in range(9999) %}{% for i in range(9999) %}{% for j in range(99) %}"
        + body
        + "{% endfor %}{% endfor %}{% endfor %}"
    )


def loops() -> Iterator[tuple[str, str]]:
    """Loops, macros, recursion: work without any value that grows."""
    yield "loop", forever("")
    yield "loop with text", forever("a" * 200)
    yield "loop with output", forever("{{ i }}")
    yield (
        "loop with test",
        "{% for i in range(99999) %}{% for j in range(99999) if j > 10**9 %}{% endfor %}{% endfor %}",
    )
    yield "loop with else", forever("{% for k in [] %}{% else %}a{% endfor %}")
    yield "loop with its own facts", forever("{{ loop.length }}{{ loop.revindex }}{{ loop.last }}{{ loop.nextitem }}")
    yield "loop that breaks", forever("{% for k in range(99999) %}{% if k > 99 %}{% break %}{% endif %}{% endfor %}")
    yield "loop that changes", forever("{{ loop.changed(i, j) }}{{ loop.cycle(1, 2) }}")
    yield "loop over characters", "{% for i in 'a' * 99999 %}{% for j in 'a' * 99999 %}{% endfor %}{% endfor %}"
    yield (
        "loop over itself",
        ("{% for i in [[1]] recursive %}{{ loop([[1], [1], [1]]) if loop.depth < 60 }}{% endfor %}"),
    )
    yield "deep recursion of a loop", "{% for i in [1] recursive %}{{ loop([1]) }}{% endfor %}"


def macros() -> Iterator[tuple[str, str]]:
    """Macros and blocks that call each other, on and on or ever deeper."""
    yield "macro", "{% macro m(n) %}{% if n %}{{ m(n - 1) }}{{ m(n - 1) }}{% endif %}{% endmacro %}{{ m(60) }}"
    yield "deep recursion of a macro", "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}"
    yield "macro called on and on", "{% macro m() %}a{% endmacro %}" + forever("{{ m() }}")
    yield (
        "caller",
        "{% macro m(n) %}{{ caller() }}{% if n %}{% call m(n - 1) %}a{% endcall %}{% call m(n - 1) %}a{% endcall %}"
        "{% endif %}{% endmacro %}{% call m(60) %}a{% endcall %}",
    )
    yield (
        "macros of macros",
        (
            "".join(f"{{% macro m{i}() %}}{{{{ m{i + 1}() }}}}{{{{ m{i + 1}() }}}}{{% endmacro %}}" for i in range(60))
            + "{% macro m60() %}a{% endmacro %}{{ m0() }}"
        ),
    )
    yield (
        "blocks",
        (
            "".join(
                f"{{% block b{i} %}}{{{{ self.b{i + 1}() }}}}{{{{ self.b{i + 1}() }}}}{{% endblock %}}"
                for i in range(60)
            )
            + "{% block b60 %}a{% endblock %}"
        ),
    )
    yield "macro in a loop", forever("{% macro m(a, b=1) %}{{ a }}{% endmacro %}{% set f = m %}")
    yield "arguments", "{% macro m() %}{{ varargs | length }}{% endmacro %}" + forever("{{ m(*range(99999)) }}")
    yield "namespace", forever("{% set n = namespace(a=i, b=j) %}{{ n.a }}")


def kept() -> Iterator[tuple[str, str]]:
    """Values of each kind that are kept, so that memory grows."""
    yield "kept namespaces", "{% set n = namespace(v=[]) %}" + forever("{% set n.v = n.v + [namespace(a=n.v)] %}")
    yield (
        "kept pieces",
        "{% set n = namespace(v=none) %}" + forever("{% set n.v = [n.v, {'a': [i, 1.5 * j]}, (i, j)] %}"),
    )
    yield "kept texts", "{% set n = namespace(v=none) %}" + forever("{% set n.v = [n.v, 'a' * 9999 ~ j] %}")
    yield (
        "kept texts of a block",
        (
            "{% set n = namespace(v=none) %}"
            + forever("{% set t %}" + "a" * 500 + "{% endset %}{% set n.v = [n.v, t] %}")
        ),
    )
    yield (
        "kept macros",
        "{% set n = namespace(v=none) %}" + forever("{% macro m(a) %}{{ n }}{% endmacro %}{% set n.v = [n.v, m] %}"),
    )
    yield "kept loops", "{% set n = namespace(v=none) %}" + forever("{% set n.v = [n.v, loop] %}")
    yield "kept missing values", "{% set n = namespace(v=none) %}" + forever("{% set n.v = [n.v, [i].foo] %}")
    yield "kept filters", "{% set n = namespace(v=[1]) %}" + forever("{% set n.v = n.v | select %}")
    yield (
        "joiners and cyclers",
        forever("{% set a = cycler(1, 2) %}{{ a.next() }}{% set b = joiner() %}{{ b() }}{{ b() }}"),
    )


def statements() -> Iterator[tuple[str, str]]:
    """Other statements and functions, again and again."""
    yield "with", forever("{% with a = [1, 2, 3] %}{{ a }}{% endwith %}")
    yield "filter block", forever("{% filter upper %}a{% endfilter %}")
    yield "set block", forever("{% set a %}b{% endset %}")
    yield "today", forever("{{ strftime_now('%d %B %Y') }}")
    yield "today in a wide field", "{{ strftime_now('%3000000000d') }}{{ strftime_now('%9' * 100000) }}" + forever("")
    yield "lipsum", forever("{{ lipsum(99999) }}")
    yield "messages", forever("{{ messages }}{{ messages | tojson }}")
    yield "refusing at length", TWICE + "{{ raise_exception(v) }}"
    yield "a missing element of great length", TWICE + "{{ [][v].a }}"
    yield "hashes", "{% set v = (range(0, 99999 * (2**61 - 1), 2**61 - 1) | unique | list) %}" + forever("")
    yield "keys", TWICE.replace("[n.v, n.v]", "(n.v, n.v)") + "{{ {v: 1} }}{{ {}[v] }}{{ dict([[v, 1]]) }}"


def doubled() -> Iterator[tuple[str, str]]:
    """Values that double at each step."""
    yield "doubled text", "{% set n = namespace(v='a') %}" + forever("{% set n.v = n.v ~ n.v %}")
    yield "doubled text by +", "{% set n = namespace(v='a') %}" + forever("{% set n.v = n.v + n.v %}")
    yield "doubled list", "{% set n = namespace(v=[1]) %}" + forever("{% set n.v = n.v + n.v %}")
    yield (
        "doubled block",
        "{% set n = namespace(v='a') %}" + forever("{% set t %}{{ n.v }}{{ n.v }}{% endset %}{% set n.v = t %}"),
    )
    yield "squared number", "{% set n = namespace(v=3) %}" + forever("{% set n.v = n.v * n.v %}")
    yield "doubled number", "{% set n = namespace(v=3) %}" + forever("{% set n.v = n.v + n.v %}")
    yield "growing sum", "{% set n = namespace(v=3) %}" + forever("{% set n.v = [n.v, n.v] | sum %}")


STATEMENTS = (loops, macros, kept, statements, doubled)


def operators() -> Iterator[tuple[str, str]]:
    for name, value in {**VALUES, **SCALARS}.items():
        for operator in BINARY:
            for operand in OPERANDS:
                yield f"{name} {operator} {operand}", value + forever(f"{{% set x = v {operator} ({operand}) %}}")
    for name, value in VALUES.items():
        for expression in ("v[1:]", "v[::2]", "v[::-1]", "v[0]", "not v", "v if v else v", "[v, v]", "{'a': v}", "-v"):
            yield f"{name} in {expression}", value + forever(f"{{% set x = {expression} %}}")
        yield f"{name} put out", value + forever("{{ v }}")
        yield f"{name} as text", value + forever("{% set x = v ~ '' %}")


def huge() -> Iterator[tuple[str, str]]:
    """One operation that would do."""
    for expression in (
        "'a' * 20000000000",
        "20000000000 * 'a'",
        "[1] * 20000000000",
        "('a' * 9999) * 9999999",
        "(1,) * 20000000000",
        "9**(9**9)",
        "10**(10**8)",
        "2**(2**40)",
        "9**999 * 9**999999",
        "'%3000000000d' % 1",
        "'%.3000000000f' % 1",
        "'%*d' % (3000000000, 1)",
        "'%-3000000000s' % 'a'",
        "'%(a)3000000000s' % {'a': 1}",
        "'{:3000000000}'.format(1)",
        "'{0:{1}}'.format(1, 3000000000)",
        "'{0:{1}}'.format(1, '3000000000')",
        "'{a:3000000000}'.format_map({'a': 1})",
        "'%3000000000d' | format(1)",
        "'%99999d' * 9999 % ((1,) * 9999)",
        "('%1000000000d') is divisibleby 5",
        "('%1000000000d') is odd",
        "('%1000000000d') is even",
        "('9' * 10**7) | int",
        "('f' * 10**7) | int(0, 16)",
        "7 | round(-10**9)",
        "'a' | round(9, 'ceil')",
        "'a' | safe * 3000000000",
        "('<' | safe) % (('<' * 99999),)",
        "'a' | center(3000000000)",
        "'a'.ljust(3000000000)",
        "'a\\n' | indent(3000000000)",
        "'a\\n' * 99999 | indent('b' * 99999, true)",
        "['a'] | batch(3000000000, 'b') | list",
        "['a'] | slice(3000000000) | list",
        "[1] | tojson(indent=3000000000)",
        "('a ' * 99999) | wordwrap(1)",
        "('a' * 999999) | wordwrap(1)",
        "('<!--' * 99999 + '-->') | striptags",
        "('http://a.' * 99999) | urlize",
        "range(99999) | map('center', 99999) | list",
        "range(99999) | map('string') | join('a' * 9999)",
        "[[]] * 9999 | sum(start=[1] * 9999)",
        "'a'.join(['b' * 9999] * 99999)",
        "('a' * 9999).replace('a', 'b' * 9999)",
        "'\t' * 99999 | replace('\t', ' ' * 9999)",
        "('\t' * 99999).expandtabs(99999)",
        "('a' * 99999).rfind('b' + 'a' * 49999) * 0 + 9**9**9",
        "lipsum(99999)",
        "dict.fromkeys(range(99999))",
        "(1).to_bytes(3000000000, 'big')",
        "cycler(*range(99999)).next() * 0 + 9**9**9",
    ):
        yield f"huge {expression}", "{{ " + expression + " }}"
        yield f"huge {expression}, tested", "{% if (" + expression + ") %}{% endif %}"


def calls() -> Iterator[tuple[str, str]]:
    for value_name, value in {**VALUES, **SCALARS}.items():
        for name in FILTERS:
            for arguments in FILTER_ARGUMENTS.get(name, [""]):
                call = f"v | {name}({arguments})"
                consumed = f"{{% for x in ({call}) if false %}}{{% endfor %}}" if name in _GIVING else ""
                body = consumed or f"{{% set x = {call} %}}"
                yield f"{value_name}: {call}", value + forever(body)
        for name in TESTS:
            for operand in ("", "(v)", "(3)"):
                yield f"{value_name}: is {name}{operand}", value + forever(f"{{% set x = v is {name}{operand} %}}")
        for name in (*METHOD_ARGUMENTS, *PLAIN_METHODS):
            for arguments in METHOD_ARGUMENTS.get(name, [""]):
                yield f"{value_name}: .{name}({arguments})", value + forever(f"{{% set x = v.{name}({arguments}) %}}")
                if value_name == "long":
                    body = forever(f"{{% set x = s.{name}({arguments}) %}}")
                    yield f"safe: .{name}({arguments})", f"{value}{{% set s = v | safe %}}{body}"


_GIVING = ("map", "select", "reject", "selectattr", "rejectattr", "batch", "slice", "items", "unique", "reverse")


def sources() -> Iterator[tuple[str, str]]:
    """What is already too much to compile."""
    yield "parentheses", "{{ " + "(" * 99999
    yield "closed parentheses", "{{ " + "(" * 9999 + "1" + ")" * 9999 + " }}"
    for n in (40, 60, 90, 150, 199, 250, 400):
        yield f"{n} parentheses", "{{ " + "(" * n + "1" + ")" * n + " }}" + forever("")
        yield f"{n} brackets", "{{ " + "[" * n + "1" + "]" * n + " }}" + forever("")
        yield f"{n} ifs", "{% if a %}" * n + "{% endif %}" * n + forever("")
        yield f"{n} loops", "{% for i in [1, 2] %}" * n + "{% endfor %}" * n + forever("")
        yield f"{n} nots", "{{ " + "not " * n + "1 }}" + forever("")
        yield f"{n} attributes", "{{ a" + ".b" * n + " }}" + forever("")
        yield f"{n} sums", "{{ 1" + " + 1" * n + " }}" + forever("")
        yield f"{n} filters", "{{ 1" + " | abs" * n + " }}" + forever("")
        yield f"{n} inline ifs", "{{ " + "1 if 1 else " * n + "1 }}" + forever("")
    yield "many ifs", "{% if a %}" * 99999 + "{% endif %}" * 99999
    yield "many outputs", "{{ a }}" * 999999
    yield "many macros", "{% macro m() %}{% endmacro %}" * 99999
    yield "a long number", "{{ " + "9" * 99999 + " }}"
    yield "a long hexadecimal number", "{{ 0x" + "f" * 99999 + " }}" + forever("")
    yield "a long text", "a" * 99_999_999
    yield "autoescape", "{% autoescape 'a' * 10**10 %}a{% endautoescape %}"
    yield "include", "{% include messages %}"
    yield "import", "{% import 'a' as b %}"
    yield "extends", "{% extends messages %}"
    yield "scoped blocks", forever("{% block a scoped %}{% endblock %}")


def all_templates() -> dict[str, str]:
    """Every one, by a name that says what it does."""
    return {name: source for part in (*STATEMENTS, huge, operators, calls, sources) for name, source in part()}
