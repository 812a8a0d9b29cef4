"""Whether a value was made up by a program or a person, or only stands for one that was."""

from __future__ import annotations

import re
from base64 import b64decode
from itertools import pairwise, product
from string import ascii_letters, digits

from detect_secrets.filters.heuristic import is_sequential_string

# The letters that follow each letter in 95 of 100 pairs of the words and names of source code; of random letters every
# second pair is another one.
_FOLLOWERS = (
    "a-abcdefgiklmnprstuvwxy b-abceijlorsuy c-acdefhiklmoprstuy d-abcdefilmnoprstu e-abcdefgilmnopqrstuvwxy "
    "f-acdefilorstu g-aeghilnorsu h-aeiortu i-abcdefgklmnoprstvxz j-aeo k-aeis l-acdefilopstuvy m-abdeilmopstuy "
    "n-abcdefgiklmnoprstuv o-abcdefgiklmnoprstuvwx p-acdehiloprstuy q-u r-abcdefgiklmnoprstuvy s-acdefhiklmnopqrstuwy "
    "t-abcdefhilmnoprstuwy u-abcdefgilmnprst v-aeio w-aehinors x-ceipt y-ailmnpst z-ae"
)
_PLACEHOLDER = re.compile(
    r"example|sample|dummy|placeholder|redacted|your(?:[-_ ]|key|token|secret|pass|api)|change[-_]?(?:me|it)"
    r"|p[a@4][s5$]{2}w|deadbeef|cafebabe|foobar|\.\.\.|…|(.)\1{4}|1234567|abcdef(?:g|1)|a1b2c3|abc123|pbkdf2"
    r"|hmacsha|x509|argon2|bcrypt|^x-(?:oauth|access|token)|^my[-_]|^test|^fake|^mock"
    r"|^(?:user|username|pass|pwd|pw|secret|token|key|hunter2|foo|bar|123456\w*)\d{0,3}$",
    re.IGNORECASE,
)
# How keys begin that standards and tools print for everybody (OAuth's, DPoP's, Azurite's, jwt.io's, Supabase's), and
# public keys in base64.
_PUBLISHED = re.compile(
    r"^(?:2YotnFZFE|tGzv3JOkF|ad180jjd7|mF_9\.B5f-|7Fjfp0ZBr|gX1fBat3b|9djdj82h4|kkk9d7dh3|h480djs93|SlAV32hkK|0685bd9184)"
    r"|^(?:Kz~8mXK1E|Eby8vdM02|MIIBIjANBg|MCowBQYDK2|MFkwEwYHKo|AAAA[BCE]\dNz)"
    r"|eyJzdWIiOiIxMjM0NTY3ODkwIi|eyJpc3MiOiJzdXBhYmFzZS1kZW1v"
)
# A variable, a part of a template, a pattern, an address, a path, a colour, a date, a constant, a hash of crypt.
_REFERENCE = re.compile(
    r"^[<{\[]|^\$\w+$|^%\w+%$|\$[({]|\{\{|\{\w*\}|%[sd(]|<%|\w\(\w*\)|^[\w-]+(?:\.[A-Za-z_]\w*)+$"
    r"|\(\?|\][?*+{]|&(?:lt|gt|amp|quot);|://|^(?:arn:aws|magnet:)|^/.{0,30}$|^[.~]{1,2}/|^[.~][A-Za-z]\w*\.?[\w.]*$"
    r"|^#[0-9a-fA-F]{3,8}$|^\d{4}-\d\d-\d\dT|^[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+$|^\$[a-z0-9]{1,9}\$"
)
_HEX = re.compile(r"(?=\D*\d)(?=\d*[a-fA-F])(?:[0-9a-f]{16,}|[0-9A-F]{16,})")
_UUID = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}", re.IGNORECASE)
# What a rule for passwords asks for (lower and upper case, a digit and a sign), or a word and a number.
_TYPED = re.compile(
    r"(?=.*[a-z])(?=.*[A-Z])(?=.*\d)(?=.*[!@#$%^&*?~+])[\w!@#$%^&*?~+.-]{8,40}|[A-Z][a-z]{3,}\d{2,6}(?<=.{8})"
)
# Words of a passphrase, and those by which a value says what a password is or what is wrong with it.
_PASSPHRASE = re.compile(r"(?=.{10,60}\Z)[A-Za-z]{2,20}(?:[-_.+!&~][A-Za-z0-9]{1,20}){1,7}[!.]?")
_ABOUT_PASSWORDS = re.compile(
    r"(?:^|[-_.+!&~])(?:pass\w*|pwd|user\w*|login|current|new|old|field|input|form|errors?|invalid|required|reset|change"
    r"|forgot\w*|confirm\w*|missing|short|weak|strong|min|max|length|plain|text|hash\w*|auth\w*|token|secret|key|value"
    r"|string|type|name|id|env|file|path|config|settings|test\w*|none|null|empty|not|is|no|com|org|net|io|html|json|py|js)"
    r"(?![A-Za-z])",
    re.IGNORECASE,
)
_WORD = re.compile(r"[A-Z]?[a-z]{4,}|[A-Z]{5,}")
# the keys under resting fingers: who hammers on them types an example; of random letters a third are among them
_HOME_ROW, _LEAST_HAMMERED = frozenset("sghjkl"), 6
_SIGNS = "!@#$%^&*~?"
_USUAL = frozenset((part[0], letter) for part in _FOLLOWERS.split() for letter in part[2:])
# pairs of which at least one is a letter, and those of them that words have not
_WITH_LETTER = frozenset(
    pair
    for pair in product(ascii_letters + digits + _SIGNS, repeat=2)
    if pair[0] in ascii_letters or pair[1] in ascii_letters
)
_ODD = frozenset(pair for pair in _WITH_LETTER if (pair[0].lower(), pair[1].lower()) not in _USUAL)
_LONE_SMALL = re.compile(r"(?<![a-z])([a-z])([A-Z])")
_LEAST_ODD = 0.22
# characters from which a value is judged, a multiple of four for base64
_JUDGED = 120


def is_placeholder(value: str) -> bool:
    """Whether a value stands for a secret, as in a manual."""
    if _PLACEHOLDER.search(value) or _PUBLISHED.search(value) or is_sequential_string(value):
        return True
    # without the letters of hexadecimal numbers
    letters = [char for char in value[:_JUDGED] if char.isalpha() and char not in "abcdefABCDEF"]
    return sum(map(_HOME_ROW.__contains__, letters)) >= max(_LEAST_HAMMERED, 0.75 * len(letters))


def is_made_up(value: str, n_odd: int = 3) -> bool:
    """Whether a value is random enough for a secret: no placeholder, no reference, no words, no path, no version.

    Args:
        n_odd: neighbouring characters that words have not; more where little else says that it is a secret.
    """
    value = value[:_JUDGED]
    # first what costs least: most values are words
    if (
        len(value) < 6
        or len(set(value)) < 6
        or not (_HEX.fullmatch(value) or _UUID.fullmatch(value) or is_odd(value, n_odd))
    ):
        return False
    if _REFERENCE.search(value) or is_placeholder(value) or _has_words(value):
        return False
    plain = decoded(value)
    is_text = plain.isprintable() and (plain.isascii() or ":" in plain)
    return is_made_up(plain.rpartition(":")[2], n_odd) if plain and is_text else True


def is_typed(value: str) -> bool:
    """Whether a person could have made up a value as a password: a word with what the rules ask for."""
    return bool(_TYPED.fullmatch(value)) and not is_placeholder(value) and not _REFERENCE.search(value)


def is_passphrase(value: str) -> bool:
    """Whether words could be what somebody has to remember, and not the name of something or a message."""
    return bool(_PASSPHRASE.fullmatch(value)) and not (
        is_placeholder(value) or _REFERENCE.search(value) or _ABOUT_PASSWORDS.search(value)
    )


def is_odd(value: str, n_odd: int = 3) -> bool:
    """Whether at least `n_odd` neighbours, and more than one in five, are such as words and names have not."""
    odd, pairs = _odd_pairs(value[:_JUDGED])
    return odd >= n_odd and odd >= _LEAST_ODD * pairs


def _has_words(value: str) -> bool:
    """Whether about half of a value is words, as in a name that has a number or a short form."""
    words = (word for word in _WORD.findall(value) if _odd_pairs(word)[0] == 0)
    return sum(map(len, words)) > 0.45 * len(value)


def _odd_pairs(value: str) -> tuple[int, int]:
    """Neighbours that words and names have not, and all neighbours.

    Two digits do not count; odd are a digit beside a letter, a sign, two letters that seldom meet, and a capital behind
    a single small letter.
    """
    pairs = tuple(pairwise(value))
    odd = sum(map(_ODD.__contains__, pairs)) + sum(pair not in _ODD for pair in _LONE_SMALL.findall(value))
    return odd, sum(map(_WITH_LETTER.__contains__, pairs))


def decoded(value: str) -> str:
    """The text behind base64; "" where there is none."""
    try:
        return b64decode(value + "=" * (-len(value) % 4), validate=True).decode()
    except ValueError:
        return ""
