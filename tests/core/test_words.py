"""Words: what counts as the same word, how names in code are taken apart, and who is whose kin."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from standpipe.core.words import STOP, forms, joined, kin, stem, terms


@pytest.mark.parametrize(
    "family",
    [
        ("fail", "fails", "failed", "failing", "failure", "failures"),
        ("configure", "configures", "configured", "configuring", "configuration", "configurations"),
        ("notify", "notifies", "notified", "notification"),
        ("migrate", "migrates", "migrating", "migration"),
        ("expire", "expires", "expired", "expiration", "expiry"),
        ("inconsistent", "inconsistency", "inconsistencies"),
        ("synchronise", "synchronize", "synchronising", "synchronization", "synchronizes"),
        ("node", "nodes"),
        ("run", "runs", "running"),
        ("process", "processes"),
        ("deploy", "deploys", "deployed", "deployment"),
    ],
)
def test_the_forms_of_a_word_share_a_stem(family: tuple[str, ...]) -> None:
    assert len({stem(word) for word in family}) == 1


def test_different_words_keep_different_stems() -> None:
    words = "node note status state process access service server cluster clustered leader quorum disk partition part".split()
    together = {("cluster", "clustered")}

    assert len({stem(word) for word in words}) == len(words) - len(together)


def test_short_and_foreign_words_are_their_own_stem() -> None:
    assert [stem(word) for word in ("is", "api", "größe", "сервер", "x509")] == ["is", "api", "größe", "сервер", "x509"]


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("etcdNoLeader", {"etcd", stem("leader"), "etcdnolead"}),
        ("node_filesystem_files", {stem("node"), stem("filesystem"), stem("files")}),
        ("NodeRAIDDegraded", {stem("node"), "raid", stem("degraded")}),
        ("URLs", {"url"}),
        ("SEV-1", {"sev", "1", "sev1"}),
        ("k8s", {"k8s"}),
        ("post-mortem", {"postmortem", "post", "mortem"}),
        ("etcd's", {"etcd"}),
        ("don't", set()),
        ("数据库", {"数据", "据库"}),
        ("2026-01-04", {"2026", "01", "04"}),
    ],
)
def test_a_name_is_found_by_its_parts(word: str, expected: set[str]) -> None:
    assert expected <= set(forms(word))
    assert expected or not forms(word)


def test_neighbours_can_be_one_word() -> None:
    assert stem("timestamps") in joined("time stamps out of order")
    assert forms("postmortem")[0] in forms("post-mortem")


def test_blobs_are_no_words() -> None:
    assert terms("a key: " + "a1B2" * 30) == [stem("key")]


def test_stop_words_are_not_terms() -> None:
    assert terms(" ".join(sorted(STOP))) == []


def test_kin_is_mutual_and_never_oneself() -> None:
    assert stem("machine") in kin(stem("host"))
    assert stem("host") in kin(stem("machine"))
    assert stem("host") not in kin(stem("host"))
    assert kin("zyzzyva") == frozenset()


@given(st.text(max_size=200))
def test_any_text_has_terms_without_fail(text: str) -> None:
    assert all(term for term in terms(text))
    assert terms(text) == terms(text)


@given(st.from_regex(r"[a-z]{1,20}", fullmatch=True))
def test_a_stem_is_never_empty(word: str) -> None:
    assert stem(word)
