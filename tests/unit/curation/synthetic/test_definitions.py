"""Parts of files are called by all that they define, or by their lines."""

from __future__ import annotations

import pytest

from localft.curation.synthetic.templates.definitions import named_parts


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        (["def a():\n    pass", "def b():\n    pass"], [["`a`"], ["`b`"]]),
        (
            ["def a():\n    x = 1", "    y = 2\n\n\ndef b():\n    pass"],
            [["the start of `a`"], ["the end of `a`", "`b`"]],
        ),
        (["def a():\n    x = 1", "    y = 2", "    z = 3"], [[f"part {i} of 3 of `a`"] for i in (1, 2, 3)]),
        (["int a() {\n    fn();", "}"], [[], []]),
        # of two with one name neither is meant
        (["def a():\n    pass", "def a():\n    return 1"], [[], []]),
        (["# says what\n@cached\ndef a():\n    pass"], [["`a`"]]),
        # all that stands there is named
        (["X = 1\n\ndef a():\n    pass"], [["`X`", "`a`"]]),
        (["def a():\n    pass\n\nif X:\n    a()"], [[]]),
        (["class A:\n    def b(self):\n        pass"], [["`A`"]]),
        (
            ["    def b(self):\n        pass\n\n    def c(self):\n        pass", "def d(): ..."],
            [["`b`", "`c`"], ["`d`"]],
        ),
        (["class A:\n    x = 1", "    def b(self):\n        pass"], [["the start of `A`"], ["`b`"]]),
        (["\n".join(f"def {name}(): ..." for name in "abcdefgh")], [["everything from `a` to `h`"]]),
        (["import a\nfrom b import c\n\n\ndef d():\n    pass"], [["the imports", "`d`"]]),
        # what looks like code in a text is none, and a text that does not end cannot be told from code
        (['A = """\ndef b():\n"""\n\ndef c(): ...'], [["`A`", "`c`"]]),
        (['A = """\n\ndef c(): ...'], [[]]),
    ],
)
def test_names_say_what_a_part_is(parts: list[str], expected: list[list[str]]) -> None:
    assert named_parts(parts) == expected


PROPS = "import React from 'react'\n\nexport interface Props {\n  a: string\n}"
HEADER = "export const Header = ({ a }: Props) => {\n  return <b>{a}</b>\n}"


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ([f"{PROPS}\n\n{HEADER}"], [["the imports", "`Props`", "`Header`"]]),
        ([PROPS, HEADER], [["the imports", "`Props`"], ["`Header`"]]),
        (["type A =\n  | 'a'\n  | 'b'\n\nlet x = 1\nvar y = 2"], [["`A`", "`x`", "`y`"]]),
        (
            ["export default function A() {", "  return 1\n}\n\nexport { A }"],
            [["the start of `A`"], ["the end of `A`", "the exports"]],
        ),
        (["const { a, b } = f()\n\nexport default { a }"], [["`{ a, b }`", "the default export"]]),
        (
            ["function f(a: string): void\nfunction f(a: number): void\nfunction f(a) {\n}\n\nenum B {}"],
            [["`f`", "`B`"]],
        ),
        (
            ["class A {\n  a = 1", "  async b(x: string) {\n    return 1\n  }", "  c() {}\n}"],
            [["part 1 of 3 of `A`"], ["`b`"], ["part 3 of 3 of `A`"]],
        ),
        (['describe("useSession", () => {\n  it("is")\n})'], [['`describe("useSession")`']]),
        (["app.use(a)\napp.use(b)\n\nconst u = `https://x`\n\nfor (const a of b) {\n}"], [[]]),
        # Go and Rust
        (['package a\n\nimport (\n\t"b"\n)\n\n// F is.\nfunc (c *Ctx) F() error {\n}'], [["the imports", "`Ctx.F`"]]),
        (["const (\n\ta = 1\n)\n\ntype B struct {\n}\n\nvar c = 1"], [["the constants", "`B`", "`c`"]]),
        (
            ["impl Show for A {\n}\n\npub const B: u8 = 1;\n\npub(crate) fn c() {\n}"],
            [["`impl Show for A`", "`B`", "`c`"]],
        ),
    ],
)
def test_all_that_stands_at_the_outer_level_is_named(parts: list[str], expected: list[list[str]]) -> None:
    assert named_parts(parts) == expected
