"""What can go wrong with an endpoint, each in its own sentence."""

from __future__ import annotations

from typing import Protocol

from localft.errors import EndpointError


class Server(Protocol):
    """What its sentences name; `key` stands in none of them."""

    @property
    def url(self) -> str: ...
    @property
    def model(self) -> str: ...
    @property
    def key(self) -> str: ...


class FinalError(EndpointError):
    """No request will be answered."""


class PassingError(EndpointError):
    """May go well later.

    Attributes:
        wait: seconds that the server asks for, None where it does not say.
    """

    def __init__(self, message: str, hint: str, wait: float | None = None) -> None:
        super().__init__(message, hint)
        self.wait = wait


class GaveUpError(EndpointError):
    """One row's request failed as often as it may; another row's may not."""


class RefusedError(EndpointError):
    """This request is not answered; another may be.

    Attributes:
        said: what the server says, in lower case.
    """

    def __init__(self, message: str, hint: str, said: str = "") -> None:
        super().__init__(message, hint)
        self.said = said.casefold()


def status_trouble(server: Server, status: int, said: str, wait: float | None) -> EndpointError:
    """The error of a response that is none.

    Args:
        status: HTTP's.
        said: what the server says, without the key.
        wait: seconds that it asks for.
    """
    where = f"the endpoint `{server.url}`"
    quoted = f": {said}" if said else ""
    if status == 401:
        if server.key:
            return FinalError(f"{where} refuses the key (401)", "check LOCALFT_API_KEY or OPENAI_API_KEY")
        return FinalError(f"{where} wants a key (401)", "put it into LOCALFT_API_KEY")
    if status == 403:
        return FinalError(f"{where} forbids this key to use `{server.model}` (403)", "use another key or model")
    # a quota for a minute or a day is not the account's
    if status == 402 or (status == 429 and "insufficient_quota" in said.casefold()):
        return FinalError(
            f"the account at {where} has no credit left ({status}){quoted}", "top it up, then run this again"
        )
    if status == 404:
        hint = "check --endpoint (it often ends in /v1) and --endpoint-model; the server's /v1/models lists its models"
        return FinalError(f"{where} has no model `{server.model}`, or is no such API (404){quoted}", hint)
    if status == 429:
        told = f"{where} says that there are too many requests (429){quoted}"
        return PassingError(told, "lower --parallel, or wait", wait)
    if status in (408, 409, 425) or status >= 500:
        return PassingError(f"{where} fails ({status}){quoted}", "try again later", wait)
    if 300 <= status < 400:
        return FinalError(f"{where} has moved ({status})", "give its new address: a key is not sent on to another one")
    if status == 413:
        return RefusedError(f"{where} refuses a request that is too large (413){quoted}", "make shorter rows", said)
    return RefusedError(f"{where} refuses a request ({status}){quoted}", "see what the server says above", said)
