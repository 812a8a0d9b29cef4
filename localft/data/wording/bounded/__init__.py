"""Jinja that ends: a template's source and its variables → text, or a refusal after a bounded amount of work.

A chat template comes from a stranger's file and is a program. Nothing here measures time. Every operation of which the
cost grows with its operands pays for it beforehand, in units of at most 64 bytes and about a microsecond
(`meter.py`), and a rendering gets so many units and no more:

1. `syntax.py` rewrites the syntax tree, so that a loop pays for each pass, a macro for each call, and operators and
   slices run as the functions of `operators.py`. What is left in place costs the same whatever its operands are.
2. `calls.py` says what filters, tests and methods cost at most; one that is not in its tables cannot be used.
3. `environment.py` puts it together, on Jinja's own sandbox. Open it first.

Why that is enough: what a rendering can hold is at most what it paid for, so two million units, the most that
`ChatTemplate` gives to one, are about 128 MiB, its output included; and no operation runs longer than about a
microsecond for each unit, so they are spent within seconds. What has no price cannot be used.
The source is bounded too: in length and nesting, and nothing in it is computed while it is compiled.
"""
