"""Commands by other names: what someone means who types `localft train` or `localft list`."""

from __future__ import annotations

from collections.abc import Iterable

from localft.spelling import nearest

_COMMANDS = {
    **dict.fromkeys(("train", "tune", "fine-tune", "fit", "sft", "lora", "qlora", "learn", "teach"), "finetune"),
    **dict.fromkeys(("resume", "continue"), "finetune --resume"),
    **dict.fromkeys(("run", "ask", "talk", "generate", "infer", "inference", "complete", "predict", "repl"), "chat"),
    **dict.fromkeys(("pull", "download", "fetch", "get", "add", "quantize", "quantise", "import"), "convert MODEL"),
    **dict.fromkeys(("info", "env", "status", "devices", "system", "diagnose", "gpu", "where"), "doctor"),
    **dict.fromkeys(("benchmark", "speed", "perf", "estimate"), "bench"),
    **dict.fromkeys(("validate", "lint", "inspect", "verify", "stats"), "data check"),
    **dict.fromkeys(("view", "preview", "tokens", "tokenize"), "data show"),
    **dict.fromkeys(("prepare", "preprocess", "dataset", "datasets"), "data"),
    "version": "--version",
}
_MODELS = ("list", "ls", "models", "model", "cards", "search")
_RUNS = ("runs", "ps", "history", "log", "logs", "rm", "delete", "remove")
_SENTENCES = {
    **dict.fromkeys(_RUNS, "runs are folders under `runs/`; `localft chat --lora` takes the newest"),
    **dict.fromkeys(
        ("merge", "fuse", "export"), "`localft.adapter.merge` does it from Python; the guide to chat shows how"
    ),
    **dict.fromkeys(
        ("serve", "server", "api"),
        "`llama-server -m BASE.gguf --lora RUN/adapter-best.gguf` of llama.cpp serves what a run made",
    ),
    **dict.fromkeys(
        ("eval", "evaluate", "test", "compare"),
        "`localft finetune --val-data FILE` measures while it trains; `/compare` in `localft chat --lora` shows both",
    ),
    **dict.fromkeys(
        ("completion", "completions"),
        "`_LOCALFT_COMPLETE=bash_source localft` prints it for bash, zsh_source and fish_source for the others",
    ),
}


def meant(word: str, own: Iterable[str], before: str, others: Iterable[str]) -> str | None:
    """The hint for a command that there is not; None where nothing is like it.

    Args:
        own: the commands that there are in the group that was asked.
        before: the words that call that group, such as "localft data".
        others: commands elsewhere, as they are called behind "localft".
    """
    word = word.lower()
    elsewhere = next((other for other in others if other.split()[-1] == word), _COMMANDS.get(word))
    if elsewhere:
        return f"did you mean `localft {elsewhere}`?"
    if word in _MODELS:
        return f"{_models()}; {_SENTENCES['runs']}"
    near = nearest(word, own)
    return _SENTENCES.get(word) or (f"did you mean `{before} {near}`?" if near else None)


def _models() -> str:
    from localft.model.card import load_cards

    return f"`--model` takes {', '.join(load_cards())}, a Hugging Face repo, a folder or a .gguf file"
