"""Secrets are found by kind, taken out, and counted; what only looks like one stays. All of these are made up."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
from repos import Repo, built

from localft.curation.document import joined, to_lines
from localft.curation.redaction import redact_lines
from localft.curation.secrets import find_secrets

# in parts, so that nobody who scans this repository takes them for real ones
_LETTERS = "q7Zx3Lm9Rt2Vb8Nc4Kd6Wp1Yh5Gs0Jf" * 3
AWS = "AKI" + "AJ4QXZ7N2LW5TYB6D"
GITHUB = "gh" + "p_" + "9aZ4kQ7mX2rT8vB1nC6dW3pY5hG0sJfLeUoI"
KEY_BODY = "\n".join((_LETTERS * 2)[i : i + 64] for i in range(0, 128, 64))
PRIVATE = f"-----BEGIN RSA PRIVATE {'KEY'}-----\n{KEY_BODY}\n-----END RSA PRIVATE {'KEY'}-----"
SECRETS = {
    "aws access key": AWS,
    "github token": GITHUB,
    "slack token": "xo" + "xb-2154738291-3847562910-aB3dE5gH7jK9mN1pQ3sT5v",
    "stripe key": "sk" + "_live_" + _LETTERS[:24],
    "openai key": "sk-" + "proj-" + _LETTERS[:48],
    "anthropic key": "sk-" + "ant-" + _LETTERS[:48],
    "google api key": "AI" + "za" + _LETTERS[:35],
    "gitlab token": "gl" + "pat-" + _LETTERS[:20],
    "hugging face token": "h" + "f_" + "QwErTyUiOpAsDfGhJkLzXcVbNmPoIuYtRe",
    "npm token": "//registry.npmjs.org/:_authToken=" + "np" + "m_" + _LETTERS[:36],
    "private key": PRIVATE,
}


def kinds(text: str) -> list[str]:
    return [finding.kind for finding in find_secrets(text)]


@pytest.mark.parametrize("kind", SECRETS)
def test_each_kind_is_found_and_nothing_else_goes(kind: str) -> None:
    text = f'before = 1\nvalue = "{SECRETS[kind]}"  # after\nlast = 2\n'
    assert kinds(text) == [kind]
    lines, found, hit = redact_lines(to_lines(text))
    assert found == Counter([kind])
    result = joined(lines)
    assert not any(part in result for part in SECRETS[kind].split("\n") if len(part) > 40)
    assert f"[redacted: {kind}]" in result
    assert result.startswith('before = 1\nvalue = "')
    assert result.endswith("last = 2")
    assert 2 in hit
    assert {1, text.count("\n")}.isdisjoint(hit)


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        ('password = "tR4$kq9Zb1"', "password"),
        ('password = "Sommer2024!"', "password"),
        ('password = "Winter2024"', "password"),
        ("DB_PASSWORD=tR4kq9Zb1Xw7", "password"),
        ("api_key: 9f8a7c6b5d4e3f2a1b0c9d8e", "token or key"),
        ("url = 'postgres://admin:tR4kq9Zb1@db.internal/x'", "password in a url"),
    ],
)
def test_values_of_telling_names(line: str, kind: str) -> None:
    assert kinds(line + "\n") == [kind]


@pytest.mark.parametrize(
    "line",
    [
        'password = "changeme"',
        'password = os.environ["DB_PASSWORD1"]',
        "token = get_token(user1)",
        "api_key: ${API_KEY_1}",
        'secret = "your-secret-key-123"',
        "token_embd.weight = blk.0.attn_q",
        'key = "input_ids_2"',
        "postgres://user:password@localhost/x",
        'url = f"https://{token}:x-oauth-basic@github.com/{name}.git"',
        "sha256 = 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855'",
        "commit 88d25cadf8eb6bd0cb43681efd4a825c9f218a73",
        "-----BEGIN PRIVATE KEY-----",
        "id = 123e4567-e89b-12d3-a456-426614174000",
        'tokenizer_key = "llama2_tokenizer"',
        # "token", "secret" and "pass" in other words, and in the names of types and functions
        'MODELS = ["LayoutLMv2ForTokenClassification", "GPT2LMHeadModel", "XLNetModel"]',
        '"token2wav_config": Qwen2_5OmniToken2WavConfig,',
        "raises [`HubHTTPError`] where the token is not known",
        "Pass a :class:`~urllib3.util.retry.Retry` to it",
        "#define kSecret XXH3_kSecret",
        "secret_vec = svld1_u64(mask, xsecret + offset)",
        "password = kwargs2abc3def4(user)",
        '["crc-16-buypass", "Crc16Buypass"]',
        'cipher.newSecretKey("PBKDF2WithHmacSHA256", spec)',
        'modes = ["TR31_P0_PIN_KEY", "TR31_M7_HMAC_KEY"]',
        # passwords that stand in a manual, and addresses that only look as if they had one
        "smb://someone:mypassword@fileserver/share",
        "HTTPS://anna%40mail.org:a%20phrase@mail.org/",
        "github://team:datasets@4f1c2ab/catalog.yml",
        "postgres://postgres:adminadmin@0.0.0.0:5432/db",
        "ssh://687fb701029421ae5549d998@ssh.hub.jobs",
        "Authorization: Basic dXNlcjpwYXNzd29yZA==",
        'user.update(password: "pass4321")',
        '{"access_token": "access-token-1234"}',
        "docker run -u 1000:1000 app",
        "kind: Secret\napiVersion: networking.k8s.io/v1\ndata:\n  password: cGFzc3dvcmQ=",
        # what everybody may know
        '<assembly publicKeyToken="3f9ac81be07d2465"/>',
        'VERIFY_KEY = "MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8A"',
        "![cover](https://img.host/graph/badge.svg?token=QX7ZP2LM4T)",
        "X-CSRF-TOKEN: 4bfd1575-3ad1-4d21-96c7-4ef2d9f86721",
        '{"nextToken": "9d624e0c-388b-4862-a31e-a85c64fc1d4a"}',
        '{"ClientToken": "9d624e0c-388b-4862-a31e-a85c64fc1d4a"}',
        '{"ClientRequestToken": "8b22c2f0-1d3c-4c9a-b7d4-0f2a31c6e5d7"}',
        # hammered on the keys under resting fingers
        "{'access_token': 'hdkasgl834as7fd9', 'token_type': 'Bearer'}",
        'oauth_token = "kjshdf48h3kgls2d"',
        # names of secrets, patterns, hashes of passwords, colours
        "arn:aws:secretsmanager:eu-west-1:123:secret:proxy1-Xbq1e7",
        "clientSecret: urn:k8s:secret:oidc1-client2:secret3",
        "password: $6$CRuKRUfAoVwibjUI$1IEOISMFAE0VG73K9QsD0uruXN",
        'token_prefix = r"(?:(?:ibm)?[-_]?cos[-_]?(?:hmac)?|)"',
        "Token: '#5B269A'",
        'name="token" value="this&lt;&gt;!@#&quot;"',
    ],
)
def test_what_only_looks_like_a_secret_stays(line: str) -> None:
    assert kinds(line + "\n") == []


def test_a_private_key_goes_as_a_block_and_line_numbers_stay() -> None:
    lines, _, hit = redact_lines(to_lines(f"a = 1\n{PRIVATE}\nb = 2\n"))
    assert [(line.number, line.text) for line in lines] == [
        (1, "a = 1\n"),
        (2, "[redacted: private key]\n"),
        (6, "b = 2\n"),
    ]
    assert hit == {2, 3, 4, 5}


def test_a_private_key_without_its_end_goes_as_well() -> None:
    cut = PRIVATE.rsplit("\n", 1)[0]
    lines, found, _ = redact_lines(to_lines(cut + "\n"))
    assert joined(lines) == "[redacted: private key]"
    assert found["private key"] == 1


def test_a_header_of_a_key_takes_no_program_along() -> None:
    """Whatever followed within 20,000 characters went, up to the last long word."""
    program = f'if line == "-----BEGIN PRIVATE {"KEY"}-----":\n' + "    return read(line)\n" * 40
    assert kinds(f'{program}commit = "{"88d25cadf8eb6bd0cb43" * 2}"\n') == []
    text = f"{PRIVATE.rsplit(chr(10), 1)[0]}\n{program}commit = {'88d25cadf8eb6bd0cb43' * 2}\n"
    lines, _, _ = redact_lines(to_lines(text))
    assert joined(lines) == "[redacted: private key]\n" + text[text.index("if line") :].rstrip()


def test_secrets_in_history_pages_and_code_are_in_no_row(tmp_path: Path) -> None:
    repo = Repo(tmp_path / "p")
    files: dict[str, str | bytes] = {"a.py": f'key = "{AWS}"\n\n\nx = 1\n', "b.md": f"# Use\n\nexport T={GITHUB}\n"}
    repo.commit(f"Add the key {GITHUB}", files)
    repo.commit("Take it out", {"a.py": "x = 1\n"})
    out = tmp_path / "rows.jsonl"
    every = {"kinds": ("repo", "docs", "history")}
    rows, result = built(out, repo.folder, **every)
    assert AWS not in out.read_text()
    assert GITHUB not in out.read_text()
    assert len(rows) == 4
    assert result.secrets == {"github token": 3, "aws access key": 2}
    rows, result = built(out, repo.folder, secrets="drop", **every)
    assert [row["doc"] for row in rows] == ["p:a.py"]
    assert (result.dropped_rows, result.secret_documents) == (3, 3)
    built(out, repo.folder, secrets="keep", **every)
    assert AWS in out.read_text()


def test_a_secret_right_behind_a_diffs_marker_is_found(tmp_path: Path) -> None:
    repo = Repo(tmp_path / "p")
    repo.commit("Add a key", {"keys.txt": f"hf_{'aZkDwFgQiJxLmNbPq' * 2}\n"})
    out = tmp_path / "rows.jsonl"
    rows, result = built(out, repo.folder, kinds=("history",))
    assert "\n+[redacted: hugging face token]" in rows[0]["text"]
    assert result.secrets == {"hugging face token": 1}


def test_only_the_chunk_with_the_secret_is_dropped(tmp_path: Path) -> None:
    folder = tmp_path / "p"
    folder.mkdir()
    parts = [f"def f{i}():\n    return {i}\n    # {'word ' * 30}\n\n\n" for i in range(6)]
    parts[3] = f'def f3():\n    return "{AWS}"\n    # {"word " * 30}\n\n\n'
    (folder / "a.py").write_text("".join(parts))
    rows, result = built(tmp_path / "rows.jsonl", folder, secrets="drop", chunk_tokens=100)
    assert result.dropped_rows == 1
    text = "".join(row["text"] for row in rows)
    assert "def f3" not in text
    assert all(f"def f{i}" in text for i in (0, 5))


@pytest.mark.parametrize(
    "unit",
    [
        *("://a:", "aws ", "password = ", 'key="', "eyJ.", "-----BEGIN PRIVATE KEY-----\n", "AKIA", "token:", "azure"),
        *("a", "-", '"', "'", "a-", "aB3/", "api_key=", "sk-ant-", "eyJhbGciOi", "xoxb-1-", "artifactory ", "\\n"),
        *("PuTTY-User-Key-File-2: ", ":5432:a:b:c", "kind: Secret\ndata:\n a: b\n", "Bearer ", "mysql -p", "\u0130"),
    ],
)
def test_hostile_text_takes_no_longer_than_other_text(unit: str) -> None:
    text = (unit * (200_000 // len(unit) + 1))[:200_000]
    began = time.process_time()
    find_secrets(text)
    assert time.process_time() - began < 3


@pytest.mark.parametrize("seed", [1, 5, 6])
def test_a_secret_that_two_ways_find_is_of_one_kind_in_every_process(seed: int) -> None:
    """Its name made it a "token or key" in one process, its prefix a "github token" in the next: a set has no order."""
    program = f"from localft.curation.secrets import find_secrets; print(find_secrets('token = \"{GITHUB}\"'))"
    env = {**os.environ, "PYTHONHASHSEED": str(seed)}
    done = subprocess.run([sys.executable, "-c", program], env=env, capture_output=True, text=True, check=True)
    assert done.stdout.count("kind=") == 1
    assert "kind='github token'" in done.stdout


@pytest.mark.parametrize(
    "text",
    [
        'password = "correct-horse-battery"',
        'password = "S3cureP@ss!"',
        "passwd: 'open-sesame'",
        'db_pwd = "horse-staple!"',
        '"smtpPassword": "swordfish-trombone"',
        "PASSWORD := `winter-comes-soon`",
        'root_password: str = "purple_monkey_dishwasher"',
        "password => 'letmein+please'",
    ],
)
def test_what_a_password_is_set_to_may_be_words(text: str) -> None:
    (finding,) = find_secrets(text)
    assert (finding.kind, text[finding.start : finding.stop]) == ("password", re.split("[\"'`]", text)[-2])


@pytest.mark.parametrize(
    "text",
    [
        # "token" inside of another word, and a parameter that takes one
        'tokenizer_repo = "kF8sj2Kd93Ls0aQw"',
        'tokenized_path="gs_kF8sj2Kd93Ls0aQw"',
        'tokens_per_step = "kF8sj2Kd93Ls0aQwZz"',
        'detokenize("kF8sj2Kd93Ls0aQwZz")',
        "def load(hf_token: Optional[str] = None):",
        "    hf_token: Hugging-Face-access-token-1",
        # what stands for a password, says what it is, or is none
        'password = "changeme"',
        'password = "change-me-please"',
        'password = "your-password-here"',
        'AWS_SECRET_ACCESS_KEY="wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"',
        'password: "current-password"',
        'password = "user_password_field"',
        'password = "is-too-short"',
        'password: "forgot-your-password"',
        'forgot_password = "reset.html.jinja"',
        'password_hint = "correct-horse-battery"',
        'if password == "correct-horse-battery":',
        'check_password("correct-horse-battery")',
        'pwd = "src/lib/utils"',
        'password = "settings.db.value"',
    ],
)
def test_words_are_no_secrets_elsewhere(text: str) -> None:
    assert find_secrets(text) == []
