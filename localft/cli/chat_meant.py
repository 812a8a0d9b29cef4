"""Slash commands by other names: what someone means who types `/clear` or `/set temperature 0.7` in a chat."""

from __future__ import annotations

from collections.abc import Collection

from localft.spelling import nearest

_COMMANDS = {
    **dict.fromkeys(("clear", "new", "forget", "restart", "cls"), "/reset"),
    **dict.fromkeys(("bye", "q", "x", "stop", "close", "end", "logout"), "/exit"),
    **dict.fromkeys(("?", "h", "commands", "man", "usage"), "/help"),
    **dict.fromkeys(("regenerate", "regen", "again", "redo", "retake", "repeat"), "/retry"),
    **dict.fromkeys(("sys", "prompt", "instructions", "persona", "role"), "/system TEXT"),
    **dict.fromkeys(("diff", "ab", "both", "base", "without"), "/compare"),
    **dict.fromkeys(("write", "export", "dump", "store"), "/save FILE"),
}
_FLAGS = {
    **dict.fromkeys(("temp", "temperature", "t"), "--temp 0.7"),
    **dict.fromkeys(("top_p", "topp"), "--top-p 0.9"),
    **dict.fromkeys(("top_k", "topk"), "--top-k 40"),
    **dict.fromkeys(("max_tokens", "num_predict", "n_predict", "length", "max"), "--max-tokens 200"),
    **dict.fromkeys(("ctx", "num_ctx", "n_ctx", "context"), "--ctx 4096"),
    **dict.fromkeys(("seed",), "--seed 1"),
    **dict.fromkeys(("stop_sequence",), "--stop TEXT"),
    **dict.fromkeys(("template", "format"), "--template KIND"),
    **dict.fromkeys(("model", "load", "use", "switch"), "--model MODEL"),
    **dict.fromkeys(("lora", "adapter", "adapters"), "--lora RUN"),
    **dict.fromkeys(("scale", "adapter_scale", "strength"), "--adapter-scale 0.5"),
    **dict.fromkeys(("threads",), "--threads 4"),
    "raw": "--raw",
}
_SETTING = ("set", "parameter", "param", "option", "options", "config", "settings", "show", "info")
BARE = ("exit", "quit", "bye", "help")


def meant_command(word: str, rest: str, own: Collection[str]) -> str:
    """The hint for a slash command that there is not.

    Args:
        word: the command, without its slash.
        rest: what was typed behind it; `/set parameter temperature 0.7` names what is meant there.
        own: the commands that there are.
    """
    names = [each.lower().replace("-", "_").partition("=")[0] for each in (word, *rest.split()[:2])]
    sets = names[0] in _SETTING
    for name in names if sets else names[:1]:
        if name in _FLAGS:
            return f"that is set when a chat starts: leave with /exit, then `localft chat … {_FLAGS[name]}`"
        if name in _COMMANDS or name in own:
            return f"did you mean `{_COMMANDS.get(name, f'/{name}')}`?"
    if sets:
        return "settings are given when a chat starts: leave with /exit, then `localft chat --help` lists them"
    near = nearest(word, own)
    return f"did you mean `/{near}`?" if near else "/help lists the commands"
