"""An OpenAI-compatible endpoint: the one service that `localft data synth` speaks to."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from localft.connection import Connection, NoAnswerError, TooLargeError
from localft.curation.masking import Mask
from localft.curation.synthetic.model.prompt import in_one_turn, schema
from localft.curation.synthetic.model.reply import Reply
from localft.curation.synthetic.model.trouble import PassingError, RefusedError, status_trouble
from localft.errors import ConfigError, EndpointError
from localft.json_text import parse_json
from localft.visible import one_line

_LOOPBACK = ("localhost", "127.0.0.1", "::1")
_MAX_REPLY = 16 << 20
_MAX_SAID = 1 << 16
_MOST_TOKENS = 1 << 40
_TEMPERATURE = 0.7
# of a pair, and of what surrounds the pairs
_PAIR_TOKENS, _MORE_TOKENS = 400, 200
_FORMATS = ("json_schema", "json_object", "")


def chat_url(endpoint: str) -> str:
    """The address of chat completions, from a base address with or without `/v1`.

    Raises:
        ConfigError: it is no http(s) address, or has a password in it.
    """
    hint = "give an address such as http://127.0.0.1:8080/v1"
    try:
        parts = urlsplit(endpoint)
        _ = parts.port
    except ValueError:  # whose words would quote a password that is taken for a port
        raise ConfigError(f"--endpoint `{endpoint}` is no address", hint) from None
    if parts.username or parts.password:
        raise ConfigError("--endpoint has a password in it", "put the key into LOCALFT_API_KEY")
    if parts.scheme not in ("http", "https") or not parts.hostname or any(map(str.isspace, endpoint)):
        raise ConfigError(f"--endpoint `{endpoint}` is no http(s) address", hint)
    path = parts.path.rstrip("/")
    if not path.endswith("/chat/completions"):
        path = f"{path or '/v1'}/chat/completions"
    return urlunsplit((parts.scheme, parts.netloc, path, parts.query, ""))


def choose_key(endpoint: str, environment: Mapping[str, str]) -> str:
    """The key to send, "" for none; OPENAI_API_KEY never goes over the network unencrypted."""
    if key := environment.get("LOCALFT_API_KEY", "").strip():
        return key
    parts = urlsplit(endpoint)
    safe = parts.scheme == "https" or parts.hostname in _LOOPBACK
    return environment.get("OPENAI_API_KEY", "").strip() if safe else ""


@dataclass
class Endpoint:
    """Asks one model at one address; may be called from several threads.

    What the server does not know (a JSON schema, a seed, …) is left out from then on.

    Attributes:
        url: see `chat_url`.
        model: the server's name of it.
        key: sent as a bearer token to this address alone; in no message and no reply.
        timeout: seconds for the whole of an answer.
    """

    url: str
    model: str
    key: str = field(default="", repr=False)
    timeout: float = 120
    _format: int = 0
    _without: set[str] = field(default_factory=set)
    _works: bool = False
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        if self.key and not (self.key.isascii() and self.key.isprintable()):
            raise ConfigError("the key has characters that no key has", "check LOCALFT_API_KEY and OPENAI_API_KEY")
        self._mask = Mask(self.key, "[key]")
        headers = {"Content-Type": "application/json", "User-Agent": "localft", "Accept": "application/json"}
        if self.key:
            headers["Authorization"] = f"Bearer {self.key}"
        self._http = Connection(headers, silent=self.timeout, total=self.timeout)

    def ask(self, messages: list[dict[str, str]], n_pairs: int, seed: int) -> Reply:
        """One reply.

        Raises:
            PassingError: too many requests, a server that fails or is silent: may go well later.
            RefusedError: this request is not answered; others may be.
            FinalError: no request will be answered.
        """
        while True:
            with self._lock:
                form, without = self._format, frozenset(self._without)
            try:
                reply = self._reply(self._post(self._body(messages, n_pairs, seed, form, without)))
                self._works = True
                return reply
            except RefusedError as error:
                if not self._give_in(error.said, form, without):
                    raise

    def _body(
        self, messages: list[dict[str, str]], n_pairs: int, seed: int, form: int, without: frozenset[str]
    ) -> dict[str, Any]:
        n_tokens = _PAIR_TOKENS * n_pairs + _MORE_TOKENS
        if "system" in without:
            messages = in_one_turn(messages)
        body: dict[str, Any] = {"model": self.model, "messages": messages, "stream": False}
        extras = {"temperature": _TEMPERATURE, "seed": seed, "max_tokens": n_tokens}
        body |= {name: value for name, value in extras.items() if name not in without}
        if "max_tokens" in without and "max_completion_tokens" not in without:
            # models that think first take their thoughts from the same budget
            body["max_completion_tokens"] = 4 * n_tokens
        if _FORMATS[form] == "json_schema":
            named = {"name": "pairs", "strict": True, "schema": schema(n_pairs)}
            body["response_format"] = {"type": "json_schema", "json_schema": named}
        elif _FORMATS[form]:
            body["response_format"] = {"type": _FORMATS[form]}
        return body

    def _give_in(self, said: str, form: int, without: frozenset[str]) -> bool:
        """Whether a refused request is worth another try with less in it."""
        if "context" in said and ("length" in said or "exceed" in said or "size" in said):
            return False
        with self._lock:
            if self._format != form or self._without != set(without):
                return True
            if self._works:
                return False
            for name in ("max_completion_tokens", "max_tokens", "temperature", "seed", "system"):
                sent = name not in without and (name != "max_completion_tokens" or "max_tokens" in without)
                # a template that takes no system message, or wants the roles in turn
                if sent and (name in said or (name == "system" and "roles must alternate" in said)):
                    self._without.add(name)
                    return True
            if form + 1 < len(_FORMATS):
                self._format += 1
                return True
        return False

    def _post(self, body: dict[str, Any]) -> bytes:
        try:
            with self._http.request("POST", self.url, body=json.dumps(body).encode()) as answer:
                data = answer.body(_MAX_REPLY)
        except NoAnswerError as error:
            if error.late:
                raise PassingError(self._slow(), _SLOW_HINT) from None
            raise self._unreachable(self._mask.text(error.reason)) from None
        except TooLargeError:
            raise self._no_completion("answers with more than 16 MiB") from None
        if 200 <= answer.status < 300:
            return data
        raise status_trouble(self, answer.status, self._said(data), _wait(answer.headers.get("retry-after", "")))

    def _slow(self) -> str:
        return f"the endpoint `{self.url}` did not answer within {self.timeout:g} seconds"

    def _unreachable(self, reason: str) -> PassingError:
        why = one_line(reason)
        return PassingError(f"the endpoint `{self.url}` cannot be reached: {why}", "check the address and the network")

    def _no_completion(self, does: str) -> PassingError:
        return PassingError(
            f"the endpoint `{self.url}` {does}", "check that the address is that of an OpenAI-compatible API"
        )

    def _said(self, data: bytes) -> str:
        """What the server says is wrong."""
        text = data[:_MAX_SAID].decode("utf-8", "replace")
        try:
            value = parse_json(text)
        except ValueError:
            return one_line(self._mask.text(text), 300)
        inner = value.get("error", value) if isinstance(value, dict) else value
        if isinstance(inner, dict):
            parts = [inner.get(name) for name in ("message", "code", "param", "detail")]
            text = " ".join(part for part in parts if isinstance(part, str) and part)
        else:
            text = inner if isinstance(inner, str) else json.dumps(inner)
        return one_line(self._mask.text(text), 300)

    def _error_sent(self, error: Any, data: bytes) -> EndpointError:
        """An error that came with status 200, as routers to other servers send it."""
        said, code = self._said(data), error.get("code") if isinstance(error, dict) else None
        if type(code) is int and 400 <= code < 600:
            return status_trouble(self, code, said, None)
        if "insufficient_quota" in said:
            return status_trouble(self, 429, said, None)
        return PassingError(f"the endpoint `{self.url}` answers with an error: {said}", "try again later")

    def _reply(self, data: bytes) -> Reply:
        """The answer in a response.

        Raises:
            EndpointError: it is none, or an error.
        """
        try:
            value = parse_json(data)
            if value.get("error") and not value.get("choices"):
                raise self._error_sent(value["error"], data)
            content = value["choices"][0]["message"].get("content")
        except (ValueError, KeyError, IndexError, TypeError, AttributeError):
            said = self._said(data) if _says_why(data) else ""
            what = f"answers something that is no chat completion{': ' + said if said else ''}"
            raise self._no_completion(what) from None
        usage = value.get("usage")
        n_prompt, n_completion = (_count(usage, name) for name in ("prompt_tokens", "completion_tokens"))
        # half of a surrogate pair can be neither counted nor written
        text = self._mask.value(content) if isinstance(content, str) else ""
        return Reply(text.encode("utf-8", "replace").decode(), n_prompt, n_completion)


_SLOW_HINT = "give it longer with --timeout, or ask for less at once with --parallel 1 or --pairs 1"


def _says_why(data: bytes) -> bool:
    """Whether a response that is no completion has words about it."""
    try:
        value = parse_json(data)
    except ValueError:
        return False
    return isinstance(value, dict) and any(isinstance(value.get(name), str) for name in ("message", "detail"))


def _count(usage: Any, name: str) -> int | None:
    value = usage.get(name) if isinstance(usage, dict) else None
    return value if type(value) is int and 0 <= value <= _MOST_TOKENS else None


def _wait(text: str) -> float | None:
    """Seconds that the server asks to wait, in a Retry-After header."""
    try:
        return max(0.0, float(text))
    except ValueError:
        pass
    try:
        from datetime import datetime, timezone

        at = parsedate_to_datetime(text)
        at = at if at.tzinfo else at.replace(tzinfo=timezone.utc)
        return max(0.0, (at - datetime.now(timezone.utc)).total_seconds())
    except (ValueError, TypeError, OverflowError):
        return None
