"""A conversation with a model, with or without an adapter."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from localft import llama
from localft.adapter.origin import TEMPLATE
from localft.chat.prompter import Prompter, continued, template_for
from localft.chat.runtime import LlamaRuntime
from localft.chat.sampling import Sampling, choose, require_settings
from localft.chat.text_stream import TextStream
from localft.data.rows.row import Message
from localft.data.wording.template import TemplateInfo
from localft.errors import ConfigError, EngineError, TextError
from localft.hardware import choose_threads, threads_note
from localft.model.gguf.check import vocabulary_warnings
from localft.model.probe import usable_gguf
from localft.model.tokenizer import Tokenizer

DEFAULT_N_CTX = 4096
SMALL_MODEL_BYTES = 64 << 20


class ChatSession:
    """One loaded model, an adapter that can be switched on and off, and a conversation that is remembered.

    Args:
        model: a base GGUF.
        lora: an adapter GGUF; it is checked against the model before llama.cpp sees it.
        n_ctx: tokens of context, None = the model's own, at most 4096.
        n_threads: CPU threads, None = the physical cores, or 1 for a small model.
        template: how prompts are formatted: a run's template, a kind ("chat", "alpaca", "completion", "messages",
            "raw") or a file with a Jinja chat template; None = as the adapter's training rows were, else the model's
            chat template, else raw text.
        adapter_scale: strength of the adapter; 0 equals the base model.
        raw: continue text as it stands, whatever `template` says.
        system: a system message, for templates that know one.
        exact: f32 KV cache and no flash attention, to compare logits with a reference.
        sampling: further keywords are fields of `Sampling`: temp, top_p, top_k, max_tokens, seed, stop.

    Attributes:
        notes: lines that the user should read, such as a base of another type than the adapter was trained on.
        messages: the conversation so far.
        stop_reason: why the last answer ended: "end", "stop", "max_tokens" or "context".
        endings: the same of the last comparison's answers, "base" and "adapter".

    Raises:
        ModelError: the model cannot be loaded.
        AdapterError: the adapter does not fit the model.
        ConfigError: a setting is out of range.
        EngineError: there is no memory for the context.
    """

    def __init__(
        self,
        model: Path | str,
        lora: Path | str | None = None,
        *,
        n_ctx: int | None = None,
        n_threads: int | None = None,
        template: TemplateInfo | str | None = None,
        adapter_scale: float = 1.0,
        raw: bool = False,
        system: str | None = None,
        exact: bool = False,
        **sampling: Any,
    ) -> None:
        self.sampling = Sampling.of(**sampling)
        require_settings(n_ctx, n_threads, adapter_scale, lora is not None)
        self.model, self.lora = Path(model), Path(lora) if lora else None
        header = usable_gguf(self.model)
        llama.silence()
        self._tokenizer = Tokenizer(self.model)
        llama.silence()
        note = threads_note(n_threads)
        self.notes: list[str] = [*vocabulary_warnings(header), *([note] if note else [])]
        self.n_ctx = n_ctx or min(self._tokenizer.n_ctx_train or DEFAULT_N_CTX, DEFAULT_N_CTX)
        threads = n_threads or default_threads(self.model)
        self._runtime = LlamaRuntime(self.model, n_ctx=self.n_ctx, n_threads=threads, exact=exact)
        self.adapter_scale = adapter_scale
        metadata = self._load_adapter()
        self.n_ctx = self._runtime.n_ctx
        self._note_context()
        self._prompter = Prompter(template_for(self._tokenizer, "raw" if raw else template, metadata), self._tokenizer)
        self._rng = np.random.default_rng(self.sampling.seed)
        self.system = system
        self.messages: list[Message] = []
        self.stop_reason = "end"
        self.endings: dict[str, str] = {}

    def _load_adapter(self) -> str | None:
        """Load the adapter, if any; return the template that its training recorded."""
        if self.lora is None:
            return None
        from localft.adapter import read_adapter
        from localft.adapter.file import metadata_text

        fit = self._runtime.load_adapter(self.lora)
        self.notes += fit.notes
        self._runtime.use_adapter(self.adapter_scale)
        return metadata_text(read_adapter(self.lora).metadata, TEMPLATE)

    def _note_context(self) -> None:
        trained = self._tokenizer.n_ctx_train
        if trained and self.n_ctx > trained:
            self.notes.append(
                f"the model was trained on {trained} tokens of context; beyond them its answers may be poor"
            )

    @property
    def template(self) -> TemplateInfo:
        """How prompts are formatted."""
        return self._prompter.info

    @property
    def remembers(self) -> bool:
        """Whether earlier turns are part of the prompt (not after training on single prompts)."""
        return self._prompter.remembers

    @property
    def system(self) -> str | None:
        """The system message, or None."""
        return self._system

    @system.setter
    def system(self, text: str | None) -> None:
        if text and not self._prompter.knows_system:
            raise ConfigError(
                f"prompts in the {self.template.kind} format have no system message",
                "put the instruction into the prompt itself",
            )
        self._system = text or None

    def ask(self, text: str) -> Iterator[str]:
        """Answer in the conversation, streaming; question and answer are remembered.

        An answer that is broken off (by closing the generator or by Ctrl-C) is remembered as far as it came.

        Raises:
            EngineError: the conversation no longer fits the context; it is then unchanged.
        """
        ids = self._prompt_ids([*self.messages, Message("user", text)])
        pieces: list[str] = []
        complete = False
        try:
            for piece in self._stream(ids, self.adapter_scale):
                pieces.append(piece)
                yield piece
            complete = True
        finally:
            if pieces or complete:
                self.messages += [Message("user", text), Message("assistant", "".join(pieces))]

    def retry(self) -> Iterator[str]:
        """Answer the last question again, forgetting the last answer."""
        text = self._last_question()
        self._forget_last_turn()
        return self.ask(text)

    def complete(self, prompt: str) -> Iterator[str]:
        """Continue a text as it stands, streaming; the conversation is neither used nor changed.

        Raises:
            EngineError: the text does not fit the context.
        """
        with _named("the prompt"):
            ids = self._fitting(self._prompter.raw_ids(prompt))
        yield from self._stream(ids, self.adapter_scale, strip=False)

    def compare(self, text: str | Sequence[Message] | None = None) -> tuple[str, str]:
        """Answer with and without the adapter, from one loaded model; the conversation stays as it is.

        Args:
            text: a question at this point of the conversation; None = the last question again; or the turns of a
                conversation to take in place of this one, up to its question.

        Returns:
            (the base model's answer, the adapter's answer).

        Raises:
            ConfigError: there is no adapter, or no question yet.
            EngineError: the conversation does not fit the context.
        """
        answers = {"base": "", "adapter": ""}
        for side, piece in self.stream_compare(text):
            answers[side] += piece
        return answers["base"], answers["adapter"]

    def stream_compare(self, text: str | Sequence[Message] | None = None) -> Iterator[tuple[str, str]]:
        """`compare`, streaming pairs of "base" or "adapter" and a piece of that answer."""
        if not self._runtime.has_adapter:
            raise ConfigError("there is no adapter to compare with", "start with --lora")
        if text is None:
            turns = [*self._before_last_turn(), Message("user", self._last_question())]
        else:
            turns = [*self.messages, Message("user", text)] if isinstance(text, str) else list(text)
        ids = self._prompt_ids(turns)
        seed = self._rng.bit_generator.state
        for side, scale in (("base", None), ("adapter", self.adapter_scale)):
            self._rng.bit_generator.state = seed
            for piece in self._stream(ids, scale):
                yield side, piece
            self.endings[side] = self.stop_reason

    def to_row(self) -> dict[str, Any]:
        """The conversation as a training row: {"messages": […]}, or {"text": …} of raw text."""
        if self.template.kind == "raw":
            return {"text": continued(self.messages)}
        system = [Message("system", self.system)] if self.system else []
        return {"messages": [{"role": m.role, "content": m.content} for m in [*system, *self.messages]]}

    def reset(self) -> None:
        """Forget the conversation; the system message stays."""
        self.messages.clear()
        self._rng = np.random.default_rng(self.sampling.seed)

    def logits(self, ids: Sequence[int], *, adapter: bool = True) -> Any:
        """The next token's logits after `ids`, f32 [n_vocab], with or without the adapter."""
        self._runtime.use_adapter(self.adapter_scale if adapter else None)
        return self._runtime.logits_after(ids)

    def _prompt_ids(self, messages: Sequence[Message]) -> list[int]:
        if self.system and self._prompter.knows_system:
            messages = [Message("system", self.system), *messages]
        with _named("the conversation"):
            return self._fitting(self._prompter.ids(messages))

    def _fitting(self, ids: list[int]) -> list[int]:
        if not ids:
            raise ConfigError("the prompt is empty", "write something for the model to go on from")
        if len(ids) >= self.n_ctx:
            raise EngineError(
                f"the conversation is {len(ids)} tokens long and the context holds {self.n_ctx}",
                "start anew with /reset, or give a larger --ctx"
                if self.messages
                else "shorten the prompt, or give a larger --ctx",
            )
        return ids

    def _stream(self, prompt: Sequence[int], scale: float | None, *, strip: bool | None = None) -> Iterator[str]:
        """Generate from prompt ids; strip = drop the answer's leading white space (None: as the template wants)."""
        self._runtime.use_adapter(scale)
        strip = self._prompter.strips if strip is None else strip
        text = TextStream(self.sampling.stop)
        for token in self._tokens(list(prompt)):
            piece = text.feed(self._tokenizer.piece(token, False))
            piece = piece.lstrip() if strip else piece
            if piece:
                strip = False
                yield piece
            if text.stopped:
                self.stop_reason = "stop"
                return
        piece = text.end()
        piece = piece.lstrip() if strip else piece
        if piece:
            yield piece

    def _tokens(self, ids: list[int]) -> Iterator[int]:
        n_prompt, limit = len(ids), self.sampling.max_tokens or self.n_ctx
        while True:
            if len(ids) - n_prompt >= limit:
                self.stop_reason = "max_tokens"
                return
            if len(ids) >= self.n_ctx:
                self.stop_reason = "context"
                return
            token = choose(self._runtime.logits_after(ids), self.sampling, self._rng)
            if token in self._tokenizer.end_ids or self._runtime.is_end(token):
                self.stop_reason = "end"
                return
            ids.append(token)
            yield token

    def _last_question(self) -> str:
        for message in reversed(self.messages):
            if message.role == "user":
                return message.content
        raise ConfigError("nothing has been asked yet", "ask something first")

    def _before_last_turn(self) -> list[Message]:
        return self.messages[:-2]

    def _forget_last_turn(self) -> None:
        del self.messages[-2:]

    def close(self) -> None:
        """Free the model. The session cannot be used afterwards."""
        self._runtime.close()
        self._tokenizer.close()

    def __enter__(self) -> ChatSession:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


@contextmanager
def _named(what: str) -> Iterator[None]:
    """Say where a text stands that the tokenizer cannot take."""
    try:
        yield
    except TextError as error:
        raise ConfigError(f"{what} has {error.message}", error.hint) from None


def default_threads(model: Path) -> int:
    """Threads for chat: in a small model they would wait for each other longer than they compute."""
    return 1 if model.stat().st_size < SMALL_MODEL_BYTES else choose_threads()[0]
