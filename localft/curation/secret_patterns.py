"""What secrets look like by themselves: the published formats of services, and blocks of private keys."""

from __future__ import annotations

import re

from detect_secrets.plugins.aws import AWSKeyDetector
from detect_secrets.plugins.azure_storage_key import AzureStorageKeyDetector
from detect_secrets.plugins.base import RegexBasedDetector
from detect_secrets.plugins.npm import NpmDetector
from detect_secrets.plugins.slack import SlackDetector

# Each detector with its name in rows and tables, and what a text must hold in small letters for it to be asked at all.
# Entropy alone decides nothing: in source code most random-looking strings are hashes. Nothing is ever verified online.
DETECTORS: tuple[tuple[RegexBasedDetector, str, tuple[str, ...]], ...] = (
    (AWSKeyDetector(), "aws access key", ("akia", "asia", "abia", "acca", "a3t", "aws")),
    (AzureStorageKeyDetector(), "azure storage key", ("accountkey", "account_key", "azure")),
    (NpmDetector(), "npm token", ("npm_", "_authtoken")),
    (SlackDetector(), "slack token", ("xox", "hooks.slack.com")),
)
_UUID = r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}"
# Published formats that the library does not know. Lengths are the least: services make their keys longer over time.
FORMATS = (
    ("1password key", r"ops_eyJ[\w+/=]{200,}|A3-[A-Z0-9]{6}(?:-[A-Z0-9]{5,11}){4,5}"),
    ("adobe secret", r"p8e-[a-z0-9-]{32,}"),
    ("age key", r"AGE-SECRET-KEY-1[QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L]{58}"),
    ("airtable token", r"pat[A-Za-z0-9]{14}\.[0-9a-f]{64}"),
    ("alibaba cloud key", r"LTAI[A-Za-z0-9]{16,}"),
    ("anthropic key", r"sk-ant-[\w-]{40,}"),
    ("artifactory token", r"(?:AKCp|cmVmd)[A-Za-z0-9]{59,}"),
    ("asana token", r"\d/\d{10,20}(?:/\d{10,20})?:[0-9a-f]{32}"),
    ("atlassian token", r"AT(?:ATT3|CTT3)[\w=-]{100,}"),
    ("aws bedrock key", r"ABSK[\w+/]{100,}={0,2}"),
    ("azure devops token", r"[A-Za-z0-9]{76}AZDO[A-Za-z0-9]{4}"),
    ("azure secret", r"[\w.~]{3}\dQ~[\w.~-]{31,}"),
    ("bitbucket token", r"ATBB[A-Za-z0-9]{28,}"),
    ("brevo key", r"xkeysib-[0-9a-f]{64}-[A-Za-z0-9]{16}"),
    ("buildkite token", r"bk[a-z]{2}_[0-9a-f]{40}"),
    ("cerebras key", r"csk-[a-z0-9]{40,}"),
    ("circleci token", r"CCIP(?:AT|RJ)_[A-Za-z0-9]{22}_[0-9a-f]{40}"),
    ("clickhouse key", r"4b1d[A-Za-z0-9]{38}"),
    ("clojars token", r"CLOJARS_[0-9a-f]{60}"),
    ("cloudflare key", r"v1\.0-[0-9a-f]{24}-[0-9a-f]{146}"),
    ("contentful token", r"CFPAT-[\w-]{43,}"),
    ("crates.io token", r"cio[A-Za-z0-9]{32}"),
    ("databricks token", r"dapi[0-9a-f]{32}(?:-\d)?"),
    ("digitalocean token", r"do[opr]_v1_[0-9a-f]{64}"),
    ("discord bot token", r"[MNO][\w-]{23,25}\.[\w-]{6}\.[\w-]{27,}"),
    ("discord webhook", r"https://(?:\w+\.)?discord(?:app)?\.com/api/(?:v\d+/)?webhooks/\d{17,20}/[\w-]{60,}"),
    ("docker token", r"dckr_[po]at_[\w-]{20,}"),
    ("doppler token", r"dp\.(?:pt|st|ct|sa|scim|audit)\.(?:[\w-]{2,35}\.)?[A-Za-z0-9]{40,}"),
    ("dropbox token", r"sl\.(?:u\.)?[\w=-]{120,}"),
    ("duffel token", r"duffel_(?:test|live)_[\w=-]{43}"),
    ("dynatrace token", r"dt0[a-z]\d\d\.[A-Z0-9]{24}\.[A-Z0-9]{64}"),
    ("easypost key", r"EZ[AT]K[A-Za-z0-9]{54}"),
    ("elevenlabs key", r"sk_[0-9a-f]{48}"),
    ("facebook token", r"EAA[B-Z][A-Za-z0-9]{90,}"),
    ("figma token", r"fig[dour]_[\w-]{40,}"),
    ("firebase key", r"AAAA[\w-]{7}:[\w-]{140}"),
    ("flutterwave key", r"FLWSECK(?:_TEST)?-[0-9a-h]{12,}(?:-X)?"),
    ("fly.io token", r"fo1_[\w-]{43}|fm\d[ar]?_[\w+/]{100,}={0,3}"),
    ("frame.io token", r"fio-u-[\w=-]{64}"),
    ("github token", r"gh[pousr]_\w{36,}|github_pat_\w{22}_\w{59}"),
    ("gitlab token", r"gl(?:pat|dt|rt|cbt|ptt|ft|soat|agent|oas|imt|ffct)-[\w.-]{20,}|GR1348941[\w-]{20}"),
    ("google api key", r"AIza[\w-]{35}"),
    ("google oauth token", r"ya29\.[\w-]{40,}|GOCSPX-[\w-]{28}"),
    ("grafana token", r"glsa_[A-Za-z0-9]{32}_[0-9a-f]{8}|(?:glc_|eyJrIjoi)[\w+/]{60,}={0,3}"),
    ("groq key", r"gsk_[A-Za-z0-9]{48,}"),
    ("harness token", r"[ps]at\.[\w-]{22}\.[A-Za-z0-9]{24}\.[A-Za-z0-9]{20}"),
    ("heroku key", r"HRKU-AA[\w-]{58}"),
    ("hugging face token", r"(?:hf|api_org)_[A-Za-z]{34}"),
    ("infracost key", r"ico-[A-Za-z0-9]{32}"),
    ("json web token", r"eyJ[\w=-]{16,8000}\.eyJ[\w=-]{8,8000}\.[\w=-]{20,}"),
    ("langsmith key", r"lsv2_[a-z]{2}_[0-9a-f]{32}_[0-9a-f]{10}"),
    ("launchdarkly key", rf"(?:sdk|api)-{_UUID}"),
    ("linear key", r"lin_(?:api|oauth)_[A-Za-z0-9]{40,}"),
    ("mailchimp key", r"[0-9a-f]{32}-us\d{1,2}"),
    ("mailgun key", r"key-[0-9a-f]{32}"),
    ("mapbox token", r"sk\.eyJ[\w-]{60,}\.[\w-]{20,}"),
    ("maxmind key", r"[A-Za-z0-9]{6}_[A-Za-z0-9]{29}_mmk"),
    ("microsoft teams webhook", r"https://[\w-]{1,60}\.webhook\.office\.com/webhookb2/[\w@/-]{100,}"),
    ("netlify token", r"nfp_[A-Za-z0-9]{36,}"),
    ("new relic key", r"NR(?:AK|II|RA|AA)-[A-Za-z0-9-]{27,}"),
    ("notion token", r"ntn_\d{11}[A-Za-z0-9]{35,}"),
    ("npm token", r"npm_[A-Za-z0-9]{36}"),
    ("nuget key", r"oy2[a-z0-9]{43}"),
    ("nvidia key", r"nvapi-[\w-]{60,}"),
    ("octopus deploy key", r"API-[A-Z0-9]{26}"),
    ("openai key", r"sk-(?:proj|svcacct|admin)-[\w-]{40,}|sk-[A-Za-z0-9]{32,}"),
    ("openrouter key", r"sk-or-v1-[0-9a-f]{64}"),
    ("openshift token", r"sha256~[\w-]{43}"),
    ("paypal token", r"access_token\$\w{1,20}\$[a-z0-9]{16}\$[0-9a-f]{32}"),
    ("perplexity key", r"pplx-[A-Za-z0-9]{48,}"),
    ("pinecone key", r"pcsk_\w{50,}"),
    ("plaid token", rf"access-(?:sandbox|development|production)-{_UUID}"),
    ("planetscale token", r"pscale_(?:tkn|pw|oauth)_[\w.=-]{32,}"),
    ("posthog key", r"phx_[A-Za-z0-9]{40,}"),
    ("postman key", r"PMAK-[0-9a-f]{24}-[0-9a-f]{34}"),
    ("prefect key", r"pn[ub]_[A-Za-z0-9]{36}"),
    ("pulumi token", r"pul-[0-9a-f]{40}"),
    ("pypi token", r"pypi-AgE[\w-]{50,}"),
    ("razorpay key", r"rzp_(?:live|test)_[A-Za-z0-9]{14,}"),
    ("readme key", r"rdme_[a-z0-9]{70}"),
    ("render key", r"rnd_[A-Za-z0-9]{28,}"),
    ("replicate token", r"r8_[A-Za-z0-9]{37,}"),
    ("resend key", r"re_[A-Za-z0-9]{8}_[A-Za-z0-9]{24}"),
    ("rubygems key", r"rubygems_[0-9a-f]{48}"),
    ("scalingo token", r"tk-us-[\w-]{48}"),
    ("sendgrid key", r"SG\.[\w-]{22}\.[\w-]{43}"),
    ("sentry token", r"sntry[su]_[\w+/=]{60,}"),
    ("shippo token", r"shippo_(?:live|test)_[0-9a-f]{40}"),
    ("shopify token", r"shp(?:at|ca|pa|ss)_[0-9a-fA-F]{32}"),
    ("slack token", r"xapp-\d-[A-Z0-9]{1,20}-\d{1,20}-[a-z0-9]{40,}|xoxe(?:\.xox[bp])?-\d-[A-Z0-9]{140,}"),
    ("sonarqube token", r"sq[apu]_[0-9a-f]{40}"),
    ("sourcegraph token", r"sgp_(?:[0-9a-f]{16}_|local_)?[0-9a-f]{40}"),
    ("square secret", r"sq0[a-z]{3}-[\w-]{22,}"),
    ("stripe key", r"[rs]k_(?:live|test|prod)_[A-Za-z0-9]{16,}|whsec_[\w+/=]{24,}"),
    ("supabase key", r"sbp_(?:\w{2,5}_)?[0-9a-f]{40}|sb_secret_[\w-]{20,}"),
    ("tailscale key", r"tskey-[a-z]{1,20}-\w{10,40}-\w{20,}"),
    ("telegram bot token", r"\d{8,10}:AA[\w-]{33}"),
    ("terraform token", r"[A-Za-z0-9]{14}\.atlasv1\.[\w=-]{60,}"),
    ("together key", r"tgp_v1_[\w-]{40,}"),
    ("twilio key", r"SK[0-9a-f]{32}"),
    ("twitter token", r"A{20,22}(?!A)[\w%]{80,}"),
    ("typeform token", r"tfp_[\w.=-]{40,}"),
    ("vault token", r"hv[bsr]\.[\w-]{90,}"),
    ("xai key", r"xai-[A-Za-z0-9]{70,}"),
    ("yandex key", r"AQVN[\w-]{35,}"),
)
# A key begins where no word goes on, or behind an escape such as the "\\n" of a string.
FORMAT = re.compile(
    r"(?:(?<![\w+/])|(?<=\\[nrt])|(?<=%[0-9A-F]{2}))(?=[\w.:$/~%+=-]{16})(?:"
    # bounded: a text that is one long beginning of keys is tried again from each of them
    + "|".join(f"(?P<f{i}>{pattern.replace(',}', ',2000}')})" for i, (_, pattern) in enumerate(FORMATS))
    + r")(?![\w+/])",
    re.ASCII,
)
KEY_BLOCK = re.compile(
    r"-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----(?P<body>.{1,20000}?)"
    r"(?:-----END (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----|(?=-----BEGIN )|\Z)"
    r"|PuTTY-User-Key-File-\d: (?P<putty>(?:(?!PuTTY-User).){1,20000}?)Private-MAC: [0-9a-f]+",
    re.DOTALL,
)
