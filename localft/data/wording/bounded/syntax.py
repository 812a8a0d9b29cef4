"""A template's syntax tree, rewritten so that everything of which the cost grows pays for itself."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from jinja2 import nodes
from jinja2.exceptions import TemplateSyntaxError
from jinja2.visitor import NodeTransformer

MOST_CHARACTERS = 50_000  # three times the longest of the well-known models; compiling it takes 2 s and 200 MiB at most
_MOST_DEEP = 100
_MOST_BITS = 64
_FOREIGN = (nodes.Extends, nodes.Include, nodes.Import, nodes.FromImport)
_ESCAPING = (nodes.EvalContextModifier, nodes.ScopedEvalContextModifier)
_BODIES = (nodes.For, nodes.Macro, nodes.CallBlock, nodes.Block)
_BINARY = {nodes.Mul: "*", nodes.Pow: "**", nodes.Mod: "%", nodes.Sub: "-"}
# Parts of a unit: a name, a number or a branch costs one, looking up an attribute more, a new container its memory.
_PARTS_PER_UNIT = 32
_PARTS: dict[type[nodes.Node], int] = {
    nodes.List: 32,
    nodes.Tuple: 32,
    nodes.Dict: 64,
    nodes.Pair: 32,
    nodes.For: 96,
    nodes.Macro: 320,
    nodes.CallBlock: 320,
    nodes.Call: 64,
    nodes.Filter: 96,
    nodes.Test: 96,
    nodes.Getattr: 32,
    nodes.Getitem: 32,
}


def bounded(tree: nodes.Template) -> nodes.Template:
    """The tree rewritten, in place.

    Raises:
        TemplateSyntaxError: it is nested too deep, has a number of hundreds of digits, or asks for what a chat
            template has no use for: other templates, and switches of HTML escaping.
    """
    _Rewriting().visit(tree)
    return tree


class _Rewriting(NodeTransformer):
    def __init__(self) -> None:
        self._depth = 0

    def visit(self, node: nodes.Node, *args: Any, **kwargs: Any) -> Any:
        self._depth += 1
        if self._depth > _MOST_DEEP:
            raise TemplateSyntaxError(f"it is nested more than {_MOST_DEEP} levels deep", node.lineno)
        if isinstance(node, _FOREIGN):
            raise TemplateSyntaxError("a chat template cannot use other templates", node.lineno)
        if isinstance(node, _ESCAPING):
            raise TemplateSyntaxError("a chat template cannot switch HTML escaping", node.lineno)
        if isinstance(node, nodes.BinExpr) and type(node) in _BINARY:
            node = _call(f"op {_BINARY[type(node)]}", node.left, node.right)
        result = super().visit(node, *args, **kwargs)
        self._depth -= 1
        return result

    def visit_Const(self, node: nodes.Const) -> nodes.Node:  # noqa: N802
        if isinstance(node.value, int) and node.value.bit_length() > _MOST_BITS:
            raise TemplateSyntaxError("a number of so many digits", node.lineno)
        return node

    def visit_Add(self, node: nodes.Add) -> nodes.Node:  # noqa: N802
        """a + b + c as one call."""
        terms: list[nodes.Expr] = [node.right]
        left = node.left
        while isinstance(left, nodes.Add):
            terms.append(left.right)
            left = left.left
        return self.generic_visit(_call("op +", left, *reversed(terms)))

    def visit_Concat(self, node: nodes.Concat) -> nodes.Node:  # noqa: N802
        return self.generic_visit(_call("op ~", *node.nodes))

    def visit_Compare(self, node: nodes.Compare) -> nodes.Node:  # noqa: N802
        """Operands pay; not where one of two is a constant, with which anything is quickly compared."""
        node = self.generic_visit(node)  # type: ignore[assignment]
        first = node.ops[0]
        if len(node.ops) == 1 and (_is_scalars(first.expr) or (first.op in _ORDERS and _is_scalar(node.expr))):
            return node
        if not _is_scalar(node.expr):
            node.expr = _call("op operand", node.expr)
        for operand in node.ops:
            if not _is_scalars(operand.expr):
                name = "op container" if operand.op in ("in", "notin") else "op operand"
                operand.expr = _call(name, operand.expr)
        return node

    def visit_Getitem(self, node: nodes.Getitem) -> nodes.Node:  # noqa: N802
        node = self.generic_visit(node)  # type: ignore[assignment]
        return _call("op slice", node) if isinstance(node.arg, nodes.Slice) else node

    def visit_Pair(self, node: nodes.Pair) -> nodes.Node:  # noqa: N802
        node = self.generic_visit(node)  # type: ignore[assignment]
        if not isinstance(node.key, nodes.Const):
            node.key = _call("op key", node.key)
        return node

    def visit_For(self, node: nodes.For) -> nodes.Node:  # noqa: N802
        units = _units(node.body, node.test)
        breaks = any(True for _ in node.find_all(nodes.Break))
        node = self.generic_visit(node)  # type: ignore[assignment]
        node.iter = _call("op passes", node.iter, nodes.Const(units), nodes.Const(breaks))
        if node.recursive:
            node.body.insert(0, _spend(units))
        return node

    def visit_Macro(self, node: nodes.Macro) -> nodes.Node:  # noqa: N802
        return self._called(node)

    def visit_CallBlock(self, node: nodes.CallBlock) -> nodes.Node:  # noqa: N802
        return self._called(node)

    def visit_Block(self, node: nodes.Block) -> nodes.Node:  # noqa: N802
        if node.scoped:
            raise TemplateSyntaxError("a chat template cannot have scoped blocks", node.lineno)
        return self._called(node)

    def _called(self, node: Any) -> nodes.Node:
        units = _units(node.body)
        node = self.generic_visit(node)
        node.body.insert(0, _spend(units))
        return node  # type: ignore[no-any-return]


_ORDERS = ("eq", "ne", "lt", "lteq", "gt", "gteq")


def _is_scalar(node: nodes.Node) -> bool:
    return isinstance(node, nodes.Const)


def _is_scalars(node: nodes.Node) -> bool:
    """A constant, or a list of them as it is written behind `in`."""
    return isinstance(node, nodes.Const) or (
        isinstance(node, (nodes.List, nodes.Tuple)) and all(map(_is_scalar, node.items))
    )


def _call(name: str, first: Any, *rest: Any) -> nodes.Filter:
    """A call of one of the functions of `operators.py`: to Jinja a filter, which its generated code calls directly."""
    return nodes.Filter(first, name, list(rest), [], None, None, lineno=first.lineno)


def _spend(units: int) -> nodes.Stmt:
    return nodes.ExprStmt(_call("op spend", nodes.Const(units, lineno=1)), lineno=1)


def _units(body: Iterable[nodes.Node], test: nodes.Node | None = None) -> int:
    """What one pass through a body takes at most, what is paid for as it happens aside."""
    parts = [node for part in (*body, test) if part for node in _own(part)]
    n_characters = sum(len(node.data) for node in parts if isinstance(node, nodes.TemplateData))
    return 1 + (sum(_PARTS.get(type(node), 1) for node in parts) + n_characters // 2) // _PARTS_PER_UNIT


def _own(node: nodes.Node) -> Iterator[nodes.Node]:
    """A node and what is below it, without the bodies that pay for themselves."""
    waiting = [node]
    while waiting:
        node = waiting.pop()
        yield node
        waiting += node.iter_child_nodes(exclude=("body",) if isinstance(node, _BODIES) else None)
