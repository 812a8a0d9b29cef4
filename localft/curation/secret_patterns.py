"""What secrets look like: the detectors and prefixes that find them, and values that only stand for one."""

from __future__ import annotations

import re

from detect_secrets.plugins.artifactory import ArtifactoryDetector
from detect_secrets.plugins.aws import AWSKeyDetector
from detect_secrets.plugins.azure_storage_key import AzureStorageKeyDetector
from detect_secrets.plugins.base import RegexBasedDetector
from detect_secrets.plugins.basic_auth import BasicAuthDetector
from detect_secrets.plugins.discord import DiscordBotTokenDetector
from detect_secrets.plugins.github_token import GitHubTokenDetector
from detect_secrets.plugins.jwt import JwtTokenDetector
from detect_secrets.plugins.mailchimp import MailchimpDetector
from detect_secrets.plugins.npm import NpmDetector
from detect_secrets.plugins.sendgrid import SendGridDetector
from detect_secrets.plugins.slack import SlackDetector
from detect_secrets.plugins.square_oauth import SquareOAuthDetector
from detect_secrets.plugins.stripe import StripeDetector
from detect_secrets.plugins.twilio import TwilioKeyDetector

# Each detector with its name in rows and tables, and what a text must hold (in lower case) for it to be asked at all.
# Entropy alone decides nothing: in source code most random-looking strings are hashes. Nothing is ever verified online.
DETECTORS: tuple[tuple[RegexBasedDetector, str, tuple[str, ...]], ...] = (
    (AWSKeyDetector(), "aws access key", ("akia", "asia", "abia", "acca", "a3t", "aws")),
    (ArtifactoryDetector(), "artifactory token", ("akc", "artif", "jfrog", "buildkit")),
    (AzureStorageKeyDetector(), "azure storage key", ("accountkey", "account_key", "azure")),
    (BasicAuthDetector(), "password in a url", ("://",)),
    (DiscordBotTokenDetector(), "discord bot token", ("discord",)),
    (GitHubTokenDetector(), "github token", ("ghp_", "gho_", "ghu_", "ghs_", "ghr_")),
    (JwtTokenDetector(), "json web token", ("eyj",)),
    (MailchimpDetector(), "mailchimp key", ("-us",)),
    (NpmDetector(), "npm token", ("npm_", "_authtoken")),
    (SendGridDetector(), "sendgrid key", ("sg.",)),
    (SlackDetector(), "slack token", ("xox", "hooks.slack.com")),
    (SquareOAuthDetector(), "square secret", ("sq0csp-",)),
    (StripeDetector(), "stripe key", ("k_live_",)),
    (TwilioKeyDetector(), "twilio key", ("twilio",)),
)
# Published prefixes that the library does not know.
PREFIXES = (
    ("github token", r"github_pat_\w{22}_\w{59}"),
    ("gitlab token", r"gl(?:pat|dt|rt|cbt|ptt|ft|soat)-[\w-]{20,}"),
    ("pypi token", r"pypi-AgE[\w-]{50,}"),
    ("openai key", r"sk-(?:(?:proj|svcacct|admin)-[\w-]{40,}|\w{20}T3BlbkFJ\w{20})"),
    ("anthropic key", r"sk-ant-[\w-]{40,}"),
    ("hugging face token", r"(?:hf|api_org)_[A-Za-z]{34}"),
    ("google api key", r"AIza[\w-]{35}"),
    ("google oauth token", r"(?:ya29\.[\w-]{40,}|GOCSPX-[\w-]{28})"),
    ("telegram bot token", r"\d{8,10}:AA[\w-]{33}"),
    ("slack token", r"xapp-\d-[A-Z0-9]+-\d+-[a-z0-9]{40,}"),
    ("digitalocean token", r"do[opr]_v1_[a-f0-9]{64}"),
    ("databricks token", r"dapi[a-f0-9]{32}"),
    ("shopify token", r"shp(?:at|ca|pa|ss)_[a-fA-F0-9]{32}"),
    ("vault token", r"hv[sb]\.[\w-]{90,}"),
)
PREFIX = re.compile(
    r"(?<![\w+/])(?:" + "|".join(f"(?P<p{i}>{pattern})" for i, (_, pattern) in enumerate(PREFIXES)) + r")(?![\w+/])",
    re.ASCII,
)
KEY_BLOCK = re.compile(
    r"-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----(?P<body>.{1,20000}?)"
    r"(?:-----END (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----|(?=-----BEGIN )|\Z)"
    r"|PuTTY-User-Key-File-\d: (?P<putty>.{1,20000}?)Private-MAC: [0-9a-f]+",
    re.DOTALL,
)
PLACEHOLDERS = re.compile(
    r"example|sample|dummy|placeholder|redacted|your[-_ ]?|change[-_]?me|"
    r"\.\.\.|…|(.)\1{4}|^x-(?:oauth|access|token)|^my[-_]|^test|^fake|^mock"
    r"|^(?:user|username|pass|passw(?:or)?d|pwd|pw|secret|token|key|hunter2|foo|bar|123456\w*)\d{0,3}$",
    re.IGNORECASE,
)
