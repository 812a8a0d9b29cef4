"""`localft data synth`: rows → documents → questions by template and by a model → one file of conversations."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from localft.curation.synthetic.filter import NEEDS_TEXT, NO_WORDS, UNSUPPORTED, PairFilter, cleaned, needs_text
from localft.curation.synthetic.has_content import has_content
from localft.curation.synthetic.model.ask_model import FAILED, REFUSED, Asking, AskProgress
from localft.curation.synthetic.model.journal import Answered, Journal, journal_path
from localft.curation.synthetic.source_documents import Material, Passage, SourceDocument, read_documents
from localft.curation.synthetic.support import Support
from localft.curation.synthetic.templates.changes import subject_of
from localft.curation.synthetic.templates.phrasings import choose
from localft.curation.synthetic.templates.templates import questions
from localft.data.rows.row import BUILT_KINDS
from localft.errors import ConfigError, DatasetError
from localft.files import real_path
from localft.outputs import output_path

Report = Callable[[AskProgress], None]


@dataclass(frozen=True)
class Request:
    """What to make; see `localft data synth --help`.

    Attributes:
        phrasings: how many ways each of the templates' questions is asked; 0 leaves the templates out.
        support: what share of a model's answer must stand in its text.
        limit: how many documents at most, None for all.
        allow_expansion: compressed files may hold however much they like.
        force: replace an output that is there, whosever it is.
    """

    paths: tuple[Path, ...]
    kinds: tuple[str, ...] = BUILT_KINDS
    phrasings: int = 1
    support: float = 0.5
    limit: int | None = None
    seed: int = 42
    allow_expansion: bool = False
    force: bool = False


@dataclass
class Result:
    """What came out.

    Attributes:
        n_rows, n_documents: that were read; documents that are used.
        left_out: rows that nothing was asked about, by reason.
        pairs: that were written, by (template or model, kind of document).
        dropped: pairs that were not, by reason.
        cut: rows of which the model saw the beginning only.
        progress: of the asking, None without a model.
        exact: its tokens were counted, not estimated.
    """

    n_rows: int = 0
    n_documents: int = 0
    left_out: Counter[str] = field(default_factory=Counter)
    pairs: Counter[tuple[str, str]] = field(default_factory=Counter)
    dropped: Counter[str] = field(default_factory=Counter)
    cut: int = 0
    progress: AskProgress | None = None
    exact: bool = True
    journal: Path | None = None


def synth(request: Request, out: Path, asking: Asking | None = None, report: Report = lambda _: None) -> Result:
    """Write the pairs of all rows to `out`, whole or not at all.

    Args:
        asking: the model to ask, None for templates only.
        report: called while a model is asked.

    Raises:
        ConfigError: options that cannot hold.
        DatasetError: a file cannot be read, or there was nothing to write.
        EndpointError: the endpoint gave up; its answers so far stay in the journal.
    """
    if real_path(out) in {real_path(path) for path in request.paths}:
        raise ConfigError(f"--out `{out}` is one of the files to read", "give another name")
    if not request.phrasings and asking is None:
        raise ConfigError("without templates there is nobody to ask", "give --endpoint or --model, or --phrasings 1")
    material = read_documents(request.paths, request.kinds, request.allow_expansion)
    documents = limited(material.documents, request.limit, request.seed)
    result = Result(material.n_rows, len(documents), material.left_out)
    if not documents:
        raise DatasetError("there is no row to ask about", _why_none(material))
    journal: AbstractContextManager[Journal | None] = Journal(journal_path(out)) if asking else nullcontext()
    with output_path(out, request.force) as temporary, journal as answers:
        if asking and answers:
            passages = [passage for document in documents for passage in document.passages]
            result.progress = asking.run(passages, answers, report)
            result.exact, result.journal = asking.exact, answers.path
        with temporary.open("w", encoding="utf-8", errors="replace", newline="\n") as file:
            for row in _rows(request, documents, asking, answers, result):
                file.write(json.dumps(row, ensure_ascii=False) + "\n")
        if not result.pairs:
            reasons = ", ".join(f"{n:,} × {reason}" for reason, n in result.dropped.most_common(4))
            raise DatasetError("there is nothing to write: no pair is left", reasons or "no row could be asked for")
    return result


def limited(documents: Sequence[SourceDocument], limit: int | None, seed: int) -> list[SourceDocument]:
    """`limit` of the documents, in their order; those of a smaller limit are among those of a larger one."""
    if limit is None or len(documents) <= limit:
        return list(documents)

    def place(i: int) -> bytes:
        name = f"{seed}\0{documents[i].doc}\0{documents[i].kind}\0{documents[i].passages[0].line}"
        return hashlib.blake2b(name.encode("utf-8", "replace")).digest()

    return [documents[i] for i in sorted(sorted(range(len(documents)), key=place)[:limit])]


def _why_none(material: Material) -> str:
    reasons = ", ".join(f"{n:,} {reason}" for reason, n in material.left_out.most_common(4))
    return f"left out: {reasons}; rows come from `localft data build`"


def _rows(
    request: Request,
    documents: Sequence[SourceDocument],
    asking: Asking | None,
    journal: Journal | None,
    result: Result,
) -> Iterator[dict[str, Any]]:
    """Rows of conversations, document by document: what the templates ask, then what the model did."""
    pairs = PairFilter()
    result.dropped = pairs.dropped
    shared = _shared_subjects(documents)
    for document in documents:
        if request.phrasings:
            yield from _by_template(document, shared, request, pairs, result)
        if asking and journal:
            for passage in document.passages:
                answered = journal.answered.get(key := asking.key(passage))
                if answered is None:
                    failed = result.progress is not None and key in result.progress.failed
                    result.left_out[FAILED if failed else REFUSED] += 1
                else:
                    yield from _by_model(passage, answered, asking.asker.model, request, pairs, result)


def _shared_subjects(documents: Sequence[SourceDocument]) -> frozenset[str]:
    found = Counter(
        (document.passages[0].name, subject_of(document.passages[0]))
        for document in documents
        if document.kind == "commit"
    )
    return frozenset(subject for (_, subject), n in found.items() if n > 1)


def _by_template(
    document: SourceDocument, shared: frozenset[str], request: Request, pairs: PairFilter, result: Result
) -> Iterator[dict[str, Any]]:
    for asked in questions(document, shared):
        if document.kind == "page" and not has_content(asked.passage.body):
            pairs.drop(NO_WORDS)
            continue
        key = f"{document.doc}\0{asked.template}\0{sorted(asked.fields.items())}"
        for phrasing in choose(asked.phrasings, request.seed, key, request.phrasings):
            question = asked.worded(phrasing)
            if pairs.keep(question, asked.answer):
                result.pairs["template", document.kind] += 1
                yield row_of(asked.passage, question, asked.answer, {"by": "template", "template": asked.template})


def _by_model(
    passage: Passage, answered: Answered, model: str, request: Request, pairs: PairFilter, result: Result
) -> Iterator[dict[str, Any]]:
    if answered.problem:
        pairs.drop(answered.problem)
        return
    text = passage.body[: answered.seen]
    result.cut += answered.seen < len(passage.body)
    # where a text is from is in the prompt, and may be in an answer
    support = Support(f"{passage.name} {passage.path} {' '.join(passage.headings)} {text}")
    for pair in answered.pairs:
        question, answer = cleaned(pair.question), cleaned(pair.answer)
        share = support.of(answer)
        if question and answer and needs_text(question):
            pairs.drop(NEEDS_TEXT)
        elif question and answer and share < request.support:
            pairs.drop(UNSUPPORTED)
        elif pairs.keep(question, answer):
            result.pairs["model", passage.kind] += 1
            yield row_of(passage, question, answer, {"by": "model", "model": model, "support": round(share, 2)})


def row_of(passage: Passage, question: str, answer: str, made: dict[str, Any]) -> dict[str, Any]:
    """One conversation, with the id of the document that it is from."""
    messages = [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
    about = {"doc": passage.doc} if passage.doc else {}
    return {"messages": messages, **about, "source": passage.source, "synth": made}
