"""Ranking: what counts, that only what is visible counts, and that the order is always the same."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from standpipe.core.rank import CONCEPTS_MAX, Indexed, Ranked, Visible, concepts, index, rank, wanted

PAGES = {
    "etcd/etcdNoLeader.md": "# etcdNoLeader\n\n## Meaning\n\nThe cluster has no leader.\n\n## Diagnosis\n\nCheck the logs.\n",
    "node/NodeClockSkew.md": "# NodeClockSkew\n\n## Impact\n\nTime is skewed.\n\n## Mitigation\n\nReplace the battery.\n",
    "general/Watchdog.md": "# Watchdog\n\nThis alert always fires. Check the logs of Alertmanager.\n",
    "hr/salaries.md": "# Salaries\n\nThe leader of the cluster team earns a lot. Time is money.\n",
}


class Library:
    """Pages as `rank` wants them."""

    def __init__(self, pages: dict[str, str], memory: frozenset[str] = frozenset()) -> None:
        self.indexed: dict[int, tuple[str, Indexed]] = {
            n: (path, index(text, path)) for n, (path, text) in enumerate(pages.items())
        }
        self.visible = {n: Visible("f", path, i.lengths, path in memory) for n, (path, i) in self.indexed.items()}
        self.pages = pages

    def find(self, query: str, limit: int = 8, hidden: frozenset[str] = frozenset()) -> list[tuple[str, int, float]]:
        """The hits of a query where `hidden` may not be seen; their postings are there all the same."""
        asked = concepts(query)
        postings = {
            term: {n: i.postings[term] for n, (_, i) in self.indexed.items() if term in i.postings} for term in wanted(asked)
        }
        seen = {n: visible for n, visible in self.visible.items() if visible.path not in hidden}
        return [self.told(one) for one in rank(asked, seen, postings, limit)]

    def told(self, one: Ranked) -> tuple[str, int, float]:
        return self.visible[one.document].path, one.passage, one.score


def test_the_passage_with_the_words_of_the_question_comes_first() -> None:
    found = Library(PAGES).find("What does it mean if there is no leader in the cluster?", hidden=frozenset({"hr/salaries.md"}))

    assert found[0][:2] == ("etcd/etcdNoLeader.md", 0)


def test_a_name_is_found_by_its_parts_and_whole() -> None:
    library = Library(PAGES)

    assert library.find("NodeClockSkew")[0][0] == "node/NodeClockSkew.md"
    assert library.find("clock skew of a node")[0][0] == "node/NodeClockSkew.md"


def test_words_of_the_same_kin_find_each_other() -> None:
    library = Library({**PAGES, "a.md": "The laptop stays at home.\n"})

    assert library.find("workstation")[0][0] == "a.md"


def test_the_word_itself_is_worth_more_than_its_kin() -> None:
    library = Library({"kin.md": "The host is slow.\n", "own.md": "The server is slow.\n", "other.md": "Nothing of it.\n"})

    assert [path for path, _, _ in library.find("server")] == ["own.md", "kin.md"]


def test_neighbouring_words_find_the_one_they_make() -> None:
    library = Library({"a.md": "Timestamps are out of order.\n", "b.md": "The letter was late.\n", "c.md": "Another.\n"})

    assert library.find("time stamps")[0][0] == "a.md"


def test_a_question_without_meaning_finds_nothing() -> None:
    assert Library(PAGES).find("what is it that you were to do?") == []
    assert Library(PAGES).find("") == []
    assert Library({}).find("leader") == []
    assert Library({"empty.md": "# \n"}).find("leader") == []
    assert Library(PAGES).find("leader", limit=0) == []


def test_a_long_question_costs_no_more_than_a_short_one() -> None:
    asked = concepts(" ".join(f"word{n}" for n in range(50_000)))

    assert len(asked) <= 2 * CONCEPTS_MAX


def test_other_documents_are_seen_beside_the_best_one() -> None:
    one = "# Quota\n\n" + "\n\n".join(f"## Part {n}\n\nThe quota of a namespace is full." for n in range(9))
    library = Library({"one.md": one, "two.md": "# Limits\n\nA namespace has a quota.\n", "three.md": "Nothing.\n"})

    assert "two.md" in [path for path, _, _ in library.find("namespace quota", limit=4)]


def test_memory_takes_a_quarter_of_the_places_at_most() -> None:
    pages = {f"m{n}": "The quota is full." for n in range(9)} | {f"d{n}.md": "A quota.\n" for n in range(9)}
    library = Library(pages, memory=frozenset(f"m{n}" for n in range(9)))

    found = [path for path, _, _ in library.find("quota full", limit=8)]
    assert sum(path.startswith("m") for path in found) == 2
    assert len(found) == 8


def test_equal_scores_are_ordered_by_path_and_place() -> None:
    text = "# A\n\nThe same words.\n\n# A\n\nThe same words.\n"
    backwards = Library({path: text for path in ("c.md", "b.md", "a.md")})

    assert [found[:2] for found in backwards.find("words")] == [
        ("a.md", 0), ("b.md", 0), ("c.md", 0), ("a.md", 1), ("b.md", 1), ("c.md", 1)
    ]  # fmt: skip


WORDS = ["leader", "quota", "node", "clock", "host", "slow", "etcdNoLeader", "time", "stamps", "timestamps", "salary", "the"]
texts = st.lists(st.sampled_from([*WORDS, "\n\n", "\n\n# Part\n\n"]), max_size=40).map(" ".join)
folders = st.dictionaries(st.sampled_from([f"{d}/{n}.md" for d in "ab" for n in range(5)]), texts, max_size=8)


@given(folders, folders, st.lists(st.sampled_from(WORDS), min_size=1, max_size=5).map(" ".join))
def test_what_may_not_be_seen_changes_no_hit_no_score_and_no_order(
    visible: dict[str, str], forbidden: dict[str, str], query: str
) -> None:
    secret = {f"secret/{path}": text for path, text in forbidden.items()}
    with_secrets = Library({**secret, **visible}).find(query, hidden=frozenset(secret))

    assert with_secrets == Library(visible).find(query)
