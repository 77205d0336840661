"""Two documents, and sentences that cite them."""

from __future__ import annotations

from standpipe.core.check import Evidence
from standpipe.core.control import (
    AnswerSentence,
    CitedQuote,
)
from standpipe.core.items import (
    Source,
)

PAGE = "# Limits\n\nThe limit is 1000 requests per *minute*.\nIt was raised in\n  version 1.5 of `gateway_core`.\n"
OTHER = "The timeout is 30 s. Every client retries twice.\n"
SOURCE, SECOND = Source("f", "limits.md", "v1"), Source("f", "timeouts.md", "v2")
EVIDENCE = {"limits.md": [Evidence(SOURCE, PAGE)], "timeouts.md": [Evidence(SECOND, OTHER)]}


def said(text: str, *quotes: tuple[str, str], part: int = 0) -> AnswerSentence:
    """A sentence with what it cites."""
    return AnswerSentence(text, tuple(CitedQuote(source, quote) for source, quote in quotes), part)
