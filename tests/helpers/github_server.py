"""As much of GitHub's REST API as localft asks for, on 127.0.0.1, with its limits and its failures."""

from __future__ import annotations

import hashlib
import json
import re
import threading
from dataclasses import dataclass, field
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

NOW = 1_750_000_000  # what the server's and the test's clocks say at first


@dataclass
class Fault:
    """An answer out of turn, for the next `times` requests whose path and query match `pattern`.

    `cut` closes the connection in the middle of the body, `drop` before anything was answered.
    """

    pattern: str
    status: int = 200
    body: bytes = b"{}"
    headers: dict[str, str] = field(default_factory=dict)
    times: int = 1
    cut: bool = False
    drop: bool = False


@dataclass
class Asked:
    """One request as it came in, and the status that it got."""

    target: str
    headers: dict[str, str]
    status: int = 0


def user(login: str, bot: bool = False) -> dict[str, Any]:
    return {"login": login, "id": sum(login.encode()), "type": "Bot" if bot else "User", "site_admin": False}


class Clock:
    """In place of the module time: a wait takes no time, moves the server's clock too, and is noted."""

    def __init__(self, github: GitHub, ahead: float = 0) -> None:
        self.github, self.ahead = github, ahead
        self.waits: list[float] = []

    def time(self) -> float:
        return self.github.now + self.ahead

    def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.github.now += seconds


class GitHub:
    """Repositories in memory. `page_size` is the most that a page holds, `remaining` the requests left."""

    def __init__(self) -> None:
        self.repositories: dict[str, dict[int, dict[str, Any]]] = {}
        self.parts: dict[str, list[dict[str, Any]]] = {}
        self.asked: list[Asked] = []
        self.faults: list[Fault] = []
        self.page_size = 100
        self.remaining, self.limit, self.reset = 5000, 5000, NOW + 1800
        self.now = float(NOW)
        self.moved: dict[str, str] = {}
        self.token = ""
        github = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            wbufsize = -1

            def do_GET(self) -> None:
                github.answer(self)

            def date_time_string(self, timestamp: float | None = None) -> str:
                return formatdate(github.now, usegmt=True)

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = False  # server_close waits until every connection is closed
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self.thread.start()

    def stop(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()

    @property
    def paths(self) -> list[str]:
        """What was asked for so far, without queries and with 304s marked."""
        return [f"{ask.target.split('?')[0]}{' 304' if ask.status == 304 else ''}" for ask in self.asked]

    # --- what the repositories hold ---------------------------------------------------------------------------------

    def issue(self, number: int, title: str, repository: str = "owner/name", **more: Any) -> dict[str, Any]:
        """Add an issue; keys of the API in `more` go before the defaults."""
        created = f"2024-03-{number:02}T10:00:00Z"
        base = f"{self.url}/repos/{repository}"
        record = {
            "url": f"{base}/issues/{number}",
            "repository_url": base,
            "html_url": f"https://github.com/{repository}/issues/{number}",
            "number": number,
            "title": title,
            "user": user("kim"),
            "labels": [],
            "state": "open",
            "comments": 0,
            "created_at": created,
            "updated_at": created,
            "closed_at": None,
            "body": None,
        } | more
        self.repositories.setdefault(repository, {})[number] = record
        return record

    def pull(self, number: int, title: str, repository: str = "owner/name", **more: Any) -> dict[str, Any]:
        """Add a pull request: an issue with a key of that name."""
        merged = more.pop("merged_at", None)
        record = self.issue(number, title, repository, **more)
        record["html_url"] = f"https://github.com/{repository}/pull/{number}"
        record["pull_request"] = {"url": f"{self.url}/repos/{repository}/pulls/{number}", "merged_at": merged}
        return record

    def comment(self, number: int, login: str, at: str, body: str, repository: str = "owner/name", **more: Any) -> None:
        record = self.repositories[repository][number]
        record["comments"] += 1
        record["updated_at"] = max(at, record["updated_at"])
        issue = f"{self.url}/repos/{repository}/issues/{number}"
        comment = {"id": len(self.parts) * 100 + record["comments"], "issue_url": issue, "user": user(login)}
        self._part(f"{repository}/issues/{number}/comments", comment | {"created_at": at, "body": body} | more)

    def review(self, number: int, login: str, at: str, state: str, body: str = "", **more: Any) -> None:
        pull = f"{self.url}/repos/owner/name/pulls/{number}"
        review = {"pull_request_url": pull, "user": user(login), "state": state, "submitted_at": at, "body": body}
        self._part(f"owner/name/pulls/{number}/reviews", review | more)

    def review_comment(self, number: int, login: str, at: str, body: str, **more: Any) -> None:
        pull = f"{self.url}/repos/owner/name/pulls/{number}"
        comment = {"pull_request_url": pull, "user": user(login), "created_at": at, "body": body, "path": "a.py"}
        comment |= {"line": 3, "diff_hunk": "@@ -1,2 +1,3 @@\n one\n+two\n+three", "in_reply_to_id": None}
        self._part(f"owner/name/pulls/{number}/comments", comment | more)

    def file(self, number: int, path: str, patch: str | None, status: str = "modified", **more: Any) -> None:
        change = {"sha": "0" * 40, "filename": path, "status": status, "additions": 1, "deletions": 0}
        change |= {"patch": patch} if patch is not None else {}
        self._part(f"owner/name/pulls/{number}/files", change | more)

    def _part(self, path: str, value: dict[str, Any]) -> None:
        self.parts.setdefault(path, []).append(value)

    # --- answers ----------------------------------------------------------------------------------------------------

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        ask = Asked(request.path, {name.lower(): value for name, value in request.headers.items()})
        self.asked.append(ask)
        if self.now >= self.reset:
            self.remaining, self.reset = self.limit, self.reset + 3600
        fault = next((fault for fault in self.faults if re.search(fault.pattern, request.path)), None)
        if fault:
            fault.times -= 1
            if not fault.times:
                self.faults.remove(fault)
            self.misbehave(request, ask, fault)
        elif self.token and ask.headers.get("authorization") != f"Bearer {self.token}":
            self.send(request, ask, 401, b'{"message": "Bad credentials"}')
        elif self.remaining == 0:
            self.send(request, ask, 403, b'{"message": "API rate limit exceeded"}')
        else:
            self.regular(request, ask)

    def regular(self, request: BaseHTTPRequestHandler, ask: Asked) -> None:
        where = urlsplit(ask.target)
        path = where.path.removeprefix("/repos/")
        repository = "/".join(path.split("/")[:2])
        if repository in self.moved:
            target = self.url + ask.target.replace(repository, self.moved[repository])
            self.send(request, ask, 301, b"{}", {"Location": target})
            return
        if repository not in self.repositories:
            self.send(request, ask, 404, b'{"message": "Not Found"}')
            return
        query = {name: values[0] for name, values in parse_qs(where.query).items()}
        values = self.listed(repository, query) if path.endswith("/issues") else self.parts.get(path, [])
        size, number = min(int(query.get("per_page", 30)), self.page_size), int(query.get("page", 1))
        body = json.dumps(values[(number - 1) * size : number * size]).encode()
        headers = {"ETag": f'W/"{hashlib.sha256(body).hexdigest()}"'}
        if number * size < len(values):
            base = self.url + re.sub(r"[?&]page=\d+", "", ask.target)
            headers["Link"] = f'<{base}&page={number + 1}>; rel="next", <{base}&page=99>; rel="last"'
        if ask.headers.get("if-none-match") == headers["ETag"]:
            self.send(request, ask, 304, b"", headers)
        else:
            self.remaining -= 1
            self.send(request, ask, 200, body, headers)

    def listed(self, repository: str, query: dict[str, str]) -> list[dict[str, Any]]:
        """As sort=created, direction=desc."""
        records = [record for _, record in sorted(self.repositories[repository].items(), reverse=True)]
        state = query.get("state", "open")
        since = query.get("since", "")
        return [r for r in records if state in ("all", r["state"]) and r["updated_at"] >= since]

    def misbehave(self, request: BaseHTTPRequestHandler, ask: Asked, fault: Fault) -> None:
        if fault.drop:
            request.close_connection = True
        elif fault.cut:
            ask.status = 200
            request.send_response(200)
            request.send_header("Content-Type", "application/json")
            request.send_header("Content-Length", str(len(fault.body)))
            request.end_headers()
            request.wfile.write(fault.body[: len(fault.body) // 2])
            request.close_connection = True
        else:
            self.send(request, ask, fault.status, fault.body, fault.headers)

    def send(
        self, request: BaseHTTPRequestHandler, ask: Asked, status: int, body: bytes, more: dict[str, str] | None = None
    ) -> None:
        ask.status = status
        headers = {
            "Content-Type": "application/json; charset=utf-8",
            "Content-Length": str(len(body)),
            "X-RateLimit-Limit": str(self.limit),
            "X-RateLimit-Remaining": str(self.remaining),
            "X-RateLimit-Reset": str(self.reset),
        } | (more or {})
        request.send_response(status)
        for name, value in headers.items():
            request.send_header(name, value)
        request.end_headers()
        request.wfile.write(body)
