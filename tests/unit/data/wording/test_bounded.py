"""A template from a stranger ends: with the text that Jinja gives, or with a refusal after little work."""

from __future__ import annotations

import json
import subprocess
import sys
import zlib
from pathlib import Path

import hostile_templates
import pytest
import tiny_llama
import vocabs
from checkpoints import write_checkpoint
from jinja2.filters import FILTERS
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.tests import TESTS

from localft.adapter import write_adapter
from localft.chat import ChatSession
from localft.data.rows.row import Message, Row
from localft.data.tokens.prompt import prompt_ids
from localft.data.tokens.run_wording import RunWording
from localft.data.wording.bounded import calls
from localft.data.wording.chat_template import ChatTemplate, RenderError
from localft.data.wording.template import TemplateInfo
from localft.errors import LocalftError, ModelError
from localft.model.convert import convert
from localft.model.tokenizer import Tokenizer

HELPERS = Path(hostile_templates.__file__).parent
DATE = "2025-03-04"
TALK = [{"role": "user", "content": "Hi there, <you>"}, {"role": "assistant", "content": "a b\nc"}]
ENDLESS = hostile_templates.forever("{{ i }}") + vocabs.CHATML

# Renders every template that it is given, in a process that has 4 GiB, and says for each how it was refused, in which
# time and with how much more memory at its peak.
_RUN = """
import json, resource, sys, time
resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))
sys.path.insert(0, sys.argv[1])
import hostile_templates
from localft.data.wording.chat_template import ChatTemplate, RenderError
from localft.errors import ModelError

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)

templates = hostile_templates.all_templates()
for name in json.load(sys.stdin):
    messages = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "yo"}]
    before, start, how = peak(), time.process_time(), "rendered"
    try:
        template = ChatTemplate(templates[name], {"bos_token": "<s>"}, "2025-03-04")
        template.render(messages, generation_prompt=True)
    except ModelError as error:
        how = "refused" if len(error.message) < 400 and error.hint else error.message
    except RenderError as error:
        how = "refused" if len(str(error)) < 300 else str(error)
    print(json.dumps([name, how, time.process_time() - start, peak() - before]), flush=True)
"""


def refusals(names: list[str]) -> list[tuple[str, str, float, int]]:
    run = [sys.executable, "-c", _RUN, str(HELPERS)]
    done = subprocess.run(run, input=json.dumps(names), capture_output=True, text=True, timeout=600)
    told = [tuple(json.loads(line)) for line in done.stdout.splitlines()]
    assert len(told) == len(names), f"{names[len(told)]!r} ended the process: {done.stderr[-500:]}"
    return told


def check_refusals(names: list[str]) -> None:
    told = refusals(names)
    assert [(name, how) for name, how, _, _ in told if how != "refused"] == []
    assert [(name, seconds) for name, _, seconds, _ in told if seconds > 5] == []
    assert [(name, size) for name, _, _, size in told if size > 256 << 20] == []


def sampled(part: int) -> list[str]:
    """Every loop, every single huge operation and every source, and one in `part` of the others."""
    whole = [
        name
        for make in (*hostile_templates.STATEMENTS, hostile_templates.huge, hostile_templates.sources)
        for name, _ in make()
    ]
    others = [name for make in (hostile_templates.operators, hostile_templates.calls) for name, _ in make()]
    return [*whole, *(name for name in others if zlib.crc32(name.encode()) % part == 0)]


def test_endless_templates_are_refused() -> None:
    names = sampled(20)
    assert len(names) > 400
    check_refusals(names)


@pytest.mark.slow
def test_every_endless_template_is_refused() -> None:
    names = list(hostile_templates.all_templates())
    assert len(names) > 3500
    check_refusals(names)


# Each of Jinja's filters and tests, and each method of the table, in ordinary use.
ORDINARY = [
    *(
        "7 * 6",
        "'ab' * 3",
        "[1] * 2",
        "2 ** 10",
        "7 % 4",
        "'%s-%03d' % ('a', 7)",
        "'a' ~ 1 ~ none",
        "1 - 2.5",
        "7 // 2",
    ),
    *("'a' + 'b' + 'c'", "[1] + [2]", "(1,) + (2,)", "-3", "1 < 2 < 3", "'b' in 'abc'", "2 in [1, 2]", "'x' not in {}"),
    *(
        "messages[0].content",
        "messages[-1]['content']",
        "messages[1:]",
        "messages[::-1]",
        "'abc'[1]",
        "{'a': [1]}.a[0]",
    ),
    *(
        "none is none",
        "missing is defined",
        "3 is odd",
        "4 is even",
        "9 is divisibleby 3",
        "'a' is string",
        "1 is number",
    ),
    *("1 is integer", "1.5 is float", "{} is mapping", "[] is sequence", "'a' is iterable", "true is boolean"),
    *("'a' is lower", "'A' is upper", "1 is sameas 1", "'a' is eq 'a'", "1 is in [1]", "2 is gt 1", "false is false"),
    *(
        "true is true",
        "missing is undefined",
        "'upper' is filter",
        "'odd' is test",
        "messages is callable",
        "'<' is escaped",
    ),
    *(
        "(-3) | abs",
        "messages[0] | attr('get')",
        "[1, 2, 3] | batch(2, 0) | list",
        "'aB' | capitalize",
        "'a' | center(9)",
    ),
    *(
        "[1, 2] | count",
        "missing | d('x')",
        "none | default('x', true)",
        "{'b': 1, 'a': 2} | dictsort",
        "'<' | e",
        "'<' | escape",
    ),
    *("1000 | filesizeformat", "[3, 4] | first", "'1.5' | float", "'<' | forceescape", "'%s %s' | format(1, 2)"),
    *(
        "messages | groupby('role') | list",
        "'a\\nb' | indent(2, true)",
        "'7' | int",
        "'ff' | int(0, 16)",
        "{'a': 1} | items | list",
    ),
    *("[1, 2] | join('-')", "messages | join(',', attribute='role')", "[1, 2] | last", "[1] | length", "'ab' | list"),
    *(
        "'AB' | lower",
        "messages | map(attribute='role') | list",
        "['a'] | map('upper') | join",
        "[2, 1] | max",
        "[2, 1] | min",
    ),
    *("{'a': [1]} | pprint", "[0, 1] | reject | list", "messages | rejectattr('role', 'equalto', 'user') | list"),
    *(
        "'aab' | replace('a', 'b', 1)",
        "[1, 2] | reverse | list",
        "'abc' | reverse",
        "2.345 | round(1)",
        "2.3 | round(0, 'ceil')",
    ),
    *(
        "'<' | safe",
        "('<' | safe) + '>'",
        "[0, 1] | select | list",
        "messages | selectattr('role', 'equalto', 'user') | list",
    ),
    *("[1, 2, 3] | slice(2) | list", "[2, 1] | sort(reverse=true)", "messages | sort(attribute='role')", "1 | string"),
    *("'<b>a</b>' | striptags", "[1, 2] | sum", "messages | map(attribute='n', default=1) | sum", "'a b' | title"),
    *(
        "messages | tojson(indent=2)",
        "'<é>' | tojson",
        "' a ' | trim",
        "'xax' | trim('x')",
        "'a b c d' | truncate(5, true, '')",
    ),
    *(
        "['a', 'A', 'b'] | unique | list",
        "'a' | upper",
        "'a b&c' | urlencode",
        "'www.a.org' | urlize",
        "'a b' | wordcount",
    ),
    *("'a b c' | wordwrap(3)", "{'a': 1} | xmlattr", "[1] | random", "'a' | e | upper"),
    *(
        "'a {} {b}'.format(1, b=2)",
        "'{a:>4}'.format_map({'a': 1})",
        "'a,b'.split(',')",
        "' a '.strip()",
        "'a b'.title()",
    ),
    *(
        "'ab'.replace('a', 'c')",
        "','.join(['a', 'b'])",
        "'ab'.startswith(('a', 'b'))",
        "'ab'.find('b')",
        "'a'.ljust(3) + '.'",
    ),
    *(
        "'a\\nb'.splitlines()",
        "'a-b-c'.rsplit('-', 1)",
        "'a-b'.partition('-')",
        "'7'.zfill(3)",
        "'a\\tb'.expandtabs(4)",
    ),
    *("'abc'.removeprefix('a')", "'ab'.count('b')", "'é'.encode()", "'ab'.translate({97: 'c'})", "'a'.isalpha()"),
    *(
        "{'a': 1}.get('b', 2)",
        "{'a': 1}.items() | list",
        "{'a': 1}.keys() | list",
        "{'a': 1}.copy()",
        "[1, 1].count(1)",
    ),
    *("(1, 2).index(2)", "(2.0).is_integer()", "range(3) | list", "dict(a=1)", "dict([['a', 1]])", "namespace(a=1).a"),
    *("cycler(1, 2).next()", "joiner('-')()", "'a'.upper.lower", "'a'.__class__", "missing.a", "[].append(1)", "1 / 0"),
    *(
        "messages",
        "messages[0].role.upper()",
        "messages | map('tojson') | join",
        "(1, 'a', none)",
        "1.0",
        "1e3",
        "'a' if missing",
    ),
]
BODIES = [
    "{% for m in messages %}{{ loop.index }}{{ loop.first }}{{ loop.last }}{{ loop.length }}{{ loop.revindex }}"
    "{{ loop.previtem.role }}{{ loop.nextitem.role }}{{ loop.changed(m.role) }}{{ loop.cycle('a', 'b') }}{% endfor %}",
    "{% for m in messages if m.role == 'user' %}{{ loop.length }}{% else %}none{% endfor %}",
    "{% for m in messages | selectattr('content') %}{{ loop.length }}{{ loop.last }}{{ m.role }}{% endfor %}",
    "{% for k, v in messages[0].items() %}{{ k }}={{ v }};{% endfor %}{% for c in 'abc' %}{{ c }}{% endfor %}",
    "{% for x in missing %}a{% else %}b{% endfor %}{% for x in none or [] %}{% endfor %}",
    "{% for n in [[1, [2]], [3]] recursive %}{{ loop.depth }}{{ loop(n) if n is sequence }}{% endfor %}",
    "{% macro m(a, b=2) %}{{ a }}{{ b }}{{ varargs }}{{ kwargs }}{{ caller() if caller }}{% endmacro %}"
    "{{ m(1) }}{{ m(1, 3, 4, c=5) }}{% call m(0) %}called{% endcall %}",
    "{% set ns = namespace(n=0, t='') %}{% for m in messages %}{% set ns.n = ns.n + 1 %}"
    "{% set ns.t = ns.t ~ m.role %}{% endfor %}{{ ns.n }}{{ ns.t }}",
    "{% set t %}a{{ 1 }}{% endset %}{{ t }}{% filter upper %}b{% endfilter %}{% with a = 1 %}{{ a }}{% endwith %}",
    "{% block b %}in a block{% endblock %}{{ self.b() }}{% raw %}{{ a }}{% endraw %}",
    "{% if messages[0]['role'] == 'system' %}s{% elif messages | length > 1 %}two{% else %}one{% endif %}",
    "{%- for m in messages -%}{%- if not loop.first -%}{{ '\\n' }}{%- endif -%}{{ m.content }}{%- endfor -%}",
]


def outcome(source: str, ours: bool) -> str:
    variables = {"messages": TALK, "add_generation_prompt": True, "tools": None, "documents": None}
    try:
        if ours:
            return ChatTemplate(source, {}, DATE).render(TALK, generation_prompt=True)
        environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
        environment.filters["tojson"] = lambda value, **options: json.dumps(value, ensure_ascii=False, **options)
        return environment.from_string(source).render(variables)
    except Exception as error:
        return f"refused: {type(error).__name__ if not isinstance(error, RenderError) else ''}".split(":")[0]


@pytest.mark.parametrize("source", [*("{{ " + expression + " }}" for expression in ORDINARY), *BODIES])
def test_ordinary_templates_render_as_jinja_renders_them(source: str) -> None:
    assert outcome(source, ours=True) == outcome(source, ours=False)


def test_every_filter_test_and_method_has_its_price() -> None:
    assert set(calls._FILTERS) == set(FILTERS)
    assert set(calls._TESTS) == set(TESTS)
    names = {name for name in dir(str) if not name.startswith("_")} - {"format", "format_map", "maketrans"}
    assert set(calls.METHODS[str]) == names
    text = " ".join(ORDINARY)
    assert [name for name in calls._FILTERS if f"| {name}" not in text] == []


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("{{ " + "(" * 9999, "it is nested too deeply"),
        ("{{ " + "(" * 199, "it is nested too deeply"),
        ("{{ " + "not " * 150 + "1 }}", "line 1: it is nested more than 100 levels deep"),
        ("{% for i in a %}" * 25 + "{% endfor %}" * 25, "too many statically nested blocks"),
        ("{{ " + "[" * 40 + "]" * 40 + " }}{% if %}", "line 1: "),
        ("\n{{ 0x" + "f" * 99 + " }}", "line 2: a number of so many digits"),
        ("{{ " + "9" * 9999 + " }}", "Exceeds the limit"),
        ("a" * 99_999, "line 1: it has 99,999 characters, more than 50,000"),
        ("{% include 'a' %}", "line 1: a chat template cannot use other templates"),
        ("{% autoescape true %}{% endautoescape %}", "line 1: a chat template cannot switch HTML escaping"),
        ("{% block a scoped %}{% endblock %}", "line 1: a chat template cannot have scoped blocks"),
        ("{% endfor %}" + "a" * 9999, "line 1: "),
        ("{{ " + "a" * 9999 + "(", "line 1: "),
    ],
)
def test_what_cannot_be_compiled_is_a_sentence(source: str, said: str) -> None:
    with pytest.raises(ModelError) as caught:
        ChatTemplate(source, {}, DATE)
    assert caught.value.message.startswith("the chat template is not valid Jinja: ")
    assert said in caught.value.message
    assert len(caught.value.message) < 400
    assert caught.value.hint == "name another template with --template, or train without one (--raw)"


def test_an_endless_template_of_a_gguf_is_refused(tmp_path: Path) -> None:
    tokenizer = vocabs.bpe(tmp_path, template=ENDLESS)
    row = Row("messages", "a.jsonl", 1, messages=(Message("user", "hi"), Message("assistant", "yo")))
    with pytest.raises(ModelError, match="asks for more work than 2 messages may take"):
        RunWording(tokenizer, None, False, None, False).unit(row)


def test_an_endless_template_of_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "t.jinja").write_text(ENDLESS, encoding="utf-8")
    row = Row("messages", "a.jsonl", 1, messages=(Message("user", "hi"), Message("assistant", "yo")))
    wording = RunWording(vocabs.bpe(tmp_path), str(tmp_path / "t.jinja"), False, None, False)
    with pytest.raises(ModelError, match="asks for more work"):
        wording.unit(row)


def test_an_endless_template_is_refused_in_chat(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="asks for more work than 1 message may take"):
        prompt_ids(TemplateInfo("chat", ENDLESS, "model", DATE), vocabs.bpe(tmp_path), "hi")


def test_an_endless_template_of_an_adapter_is_refused(tmp_path: Path) -> None:
    recorded = TemplateInfo("chat", ENDLESS, "model", DATE).to_dict()
    base, lora = tiny_llama.write_model(tmp_path / "base.gguf"), tmp_path / "lora.gguf"
    write_adapter(lora, tiny_llama.random_adapter(**{"localft.template": json.dumps(recorded)}))
    with ChatSession(base, lora, n_threads=1) as session:
        with pytest.raises(ModelError, match="asks for more work than 1 message may take"):
            next(session.ask("hi"))
        assert session.messages == []


def test_an_endless_template_of_a_checkpoint_is_refused(tmp_path: Path) -> None:
    checkpoint = write_checkpoint(tmp_path / "hf")
    (checkpoint / "chat_template.jinja").write_text(ENDLESS, encoding="utf-8")
    tokenizer = Tokenizer(convert(str(checkpoint), "f32", tmp_path / "a.gguf").path)
    row = Row("messages", "a.jsonl", 1, messages=(Message("user", "hi"), Message("assistant", "yo")))
    with pytest.raises(ModelError, match="asks for more work"):
        RunWording(tokenizer, None, False, None, False).unit(row)


def test_a_row_may_not_be_rendered_for_ever_either(tmp_path: Path) -> None:
    """Each rendering may take long where there are many messages, and there is one for every answer."""
    source = "{{ messages[-1].role }}{% for i in range(99999) %}{% endfor %}" + vocabs.CHATML
    turns = [Message("user", "hi"), Message("assistant", "yo")] * 200
    row = Row("messages", "a.jsonl", 1, messages=tuple(turns))
    wording = RunWording(vocabs.bpe(tmp_path, template=source), None, False, None, False)
    with pytest.raises(LocalftError, match="asks for more work"):
        wording.unit(row)


def test_what_a_template_says_is_cut() -> None:
    with pytest.raises(RenderError) as caught:
        ChatTemplate("{{ raise_exception('a' * 99999) }}", {}, DATE).render(TALK, generation_prompt=False)
    assert len(str(caught.value)) <= 200
