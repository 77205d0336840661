"""The generator of companies plants what it says it plants, misleads nobody by chance, and is the same in every process."""

from __future__ import annotations

import hashlib
import html
import os
import re
import subprocess
import sys
from functools import cache
from itertools import combinations
from pathlib import Path, PurePosixPath

import pytest
from tests.companies import Company, company
from tests.company_pages import FORMATS
from tests.relations import readable

SEEDS = range(200)
FACTORS = {"ms": 1, "milliseconds": 1, "s": 1000, "seconds": 1000, "min": 60_000, "minutes": 60_000, "MiB": 1, "GiB": 1024}
QUIET_WORDS = {"what", "that", "must", "before", "beforehand", "said", "give", "next", "into", "belongs", "should", "need"}
"""Words of questions that stand in any text."""


@cache
def companies() -> tuple[Company, ...]:
    return tuple(company(seed) for seed in SEEDS)


def plain(text: str) -> str:
    """A document's words in a row, without marks of its format."""
    return " ".join(re.sub(r"<[^>]*>|[|*`#=_-]{2,}|[|`#]", " ", html.unescape(text)).split())


def documents(made: Company) -> dict[str, str]:
    return {path: text for path, text in made.files.items() if path != "access.rel"}


def has(text: str, term: str) -> bool:
    return re.search(rf"(?<!\w){re.escape(term)}(?!\w)", plain(text), re.IGNORECASE) is not None


def reports(made: Company) -> list[str]:
    """The incident reports, oldest first: they are written in the order of their dates."""
    folder = PurePosixPath(made.cause_documents[0]).parent
    return [path for path in documents(made) if PurePosixPath(path).parent == folder]


def amount(text: str) -> int:
    """A value as it is written, in the smallest unit of its kind."""
    number, unit = text.replace(",", "").split(" ", 1)
    return int(number) * FACTORS.get(unit, 1)


def digest(seeds: range) -> str:
    return hashlib.sha256(repr([company(seed) for seed in seeds]).encode()).hexdigest()


@pytest.mark.parametrize("hash_seed", ["0", "4711"])
def test_a_seed_makes_the_same_company_in_every_process(hash_seed: str) -> None:
    program = "from tests.test_companies import digest; print(digest(range(40)))"
    root = Path(__file__).resolve().parent.parent
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(root)}
    found = subprocess.run(
        [sys.executable, "-c", program], cwd=root, env=environment, capture_output=True, text=True, check=True
    )

    assert found.stdout.strip() == digest(range(40))


def test_seeds_make_different_companies() -> None:
    assert len({made.name for made in companies()}) > 150
    assert len({(made.cause, made.conflict.subject, made.conflict.quantity) for made in companies()}) > 180
    assert len({made.question.replace(made.service, "") for made in companies()}) >= 5
    assert {PurePosixPath(path).suffix for made in companies() for path in documents(made)} == set(FORMATS)


def test_a_company_has_a_folder_full_of_documents() -> None:
    assert all(25 <= len(documents(company(seed))) <= 35 for seed in range(20))


def test_the_cause_stands_in_its_reports_and_in_no_other_that_is_not_named() -> None:
    for made in companies():
        mentioning = [path for path in reports(made) if any(has(made.files[path], term) for term in made.cause)]
        assert sorted(mentioning) == sorted((*made.cause_documents, *made.passing_documents)), made.seed
        assert len(made.cause_documents) >= 3, made.seed
        assert not any(has(made.question, term) for term in made.cause), made.seed
        assert len({re.findall(rf"[^.]*{re.escape(made.cause[0])}[^.]*\.", plain(made.files[path]), re.IGNORECASE)[0]
                    for path in made.cause_documents}) == len(made.cause_documents), made.seed  # fmt: skip


def test_the_cause_is_in_the_latest_reports_and_not_in_their_titles() -> None:
    for made in companies():
        latest = reports(made)[-len(made.cause_documents) - 1 :]
        assert set(made.cause_documents) <= set(latest), made.seed
        assert reports(made)[-1] in made.cause_documents, made.seed
        for path in made.cause_documents:
            title = re.split(r"</h1>|\n\n", made.files[path])[0]
            assert not any(has(title, term) for term in made.cause), made.seed
            assert has(made.files[path], made.service), made.seed


def test_no_word_but_those_of_the_cause_is_peculiar_to_its_reports() -> None:
    for made in companies():
        told = {path: set(re.findall(r"[a-z]{4,}", plain(made.files[path]).lower())) for path in reports(made)}
        elsewhere = set[str]().union(*(words for path, words in told.items() if path not in made.cause_documents))
        peculiar = set.intersection(*(told[path] for path in made.cause_documents)) - elsewhere
        explained = set(re.findall(r"[a-z]{4,}", f"{made.files[made.architecture]} {made.question}".lower()))
        assert peculiar <= explained, made.seed


def test_words_that_all_reports_share_are_there_to_mislead() -> None:
    shared = [set.intersection(*(set(plain(made.files[path]).split()) for path in reports(made))) for made in companies()]

    assert all({"Severity", "Incident", "lead:"} <= words for words in shared)
    assert (
        sum(any(word[0].isupper() and word not in {"Severity", "Incident", "About"} for word in words) for words in shared)
        > 150
    )


def test_the_page_that_explains_the_cause_has_no_word_of_the_question() -> None:
    for made in companies():
        page = set(re.findall(r"[a-z]{4,}", plain(made.files[made.architecture]).lower()))
        asked = made.question.replace(made.service, "").lower()
        stems = {word[:6] for word in re.findall(r"[a-z]{4,}", asked) if word not in QUIET_WORDS}
        assert not has(made.files[made.architecture], made.service), made.seed
        assert has(made.files[made.architecture], made.cause[0]), made.seed
        assert not [word for word in page if word.startswith(tuple(stems))], made.seed


def test_the_two_sides_of_the_conflict_stand_beside_the_name_of_the_thing() -> None:
    for made in companies():
        conflict = made.conflict
        assert conflict.documents[0] != conflict.documents[1], made.seed
        assert amount(conflict.values[0]) != amount(conflict.values[1]), made.seed
        for path, value in zip(conflict.documents, conflict.values, strict=True):
            beside = rf"{conflict.quantity}\W.{{0,60}}?\b{re.escape(value)}(?!\w)"
            assert re.search(beside, plain(made.files[path]), re.IGNORECASE), (made.seed, path, value)
            assert has(made.files[path], conflict.subject), (made.seed, path)


def test_nothing_else_that_is_stated_disagrees() -> None:
    for made in companies():
        disagreeing = set()
        for (_, one), (_, two) in combinations(made.stated, 2):
            if (one.subject, one.quantity) == (two.subject, two.quantity) and amount(one.text) != amount(two.text):
                disagreeing.add((one.subject, one.quantity))
        assert disagreeing == {(made.conflict.subject, made.conflict.quantity)}, made.seed
        for path, setting in made.stated:
            assert setting.text in plain(made.files[path]), (made.seed, path, setting)


def test_numbers_that_are_no_conflict_are_there_to_mislead() -> None:
    for made in companies():
        assert any(decoy.quantity == made.conflict.quantity for decoy in made.decoys), made.seed
        assert not [
            one for one in made.decoys if (one.subject, one.quantity) == (made.conflict.subject, made.conflict.quantity)
        ]
    assert {decoy.why for made in companies() for decoy in made.decoys} == {
        "another subject has a number of its own",
        "the same amount twice",
        "the same amount in other words",
        "what it was before",
        "what it is in staging",
    }


def test_the_principal_reads_all_but_what_is_restricted() -> None:
    for made in companies():
        paths = list(documents(made))
        access = made.files["access.rel"]
        assert readable(access, made.principal, paths) == set(paths) - set(made.restricted), made.seed
        assert made.restricted and readable(access, "user:nobody", paths) == set(), made.seed


def test_one_relation_alone_opens_the_document_that_is_withdrawn() -> None:
    for made in companies():
        paths = list(documents(made))
        lines = made.files["access.rel"].splitlines()
        assert lines.count(made.withdraw) == 1, made.seed
        rest = "\n".join(line for line in lines if line != made.withdraw)
        assert readable(made.files["access.rel"], made.principal, paths) - readable(rest, made.principal, paths) == {
            made.withdrawn_document
        }, made.seed
        assert {"deploying", made.service.lower()} <= set(re.findall(r"[\w-]+", made.files[made.withdrawn_document].lower()))


def test_marks_of_closed_documents_stand_nowhere_else() -> None:
    for made in companies():
        closed = zip(
            (*made.restricted, made.withdrawn_document), (*made.restricted_markers, made.withdrawn_marker), strict=True
        )
        for path, marker in closed:
            assert [one for one, text in made.files.items() if marker in text] == [path], made.seed


def test_the_schedule_says_who_is_on_call() -> None:
    for made in companies():
        lines = [line for line in made.files[made.on_call_document].splitlines() if has(line, made.service)]
        assert any(all(person in line for person in made.on_call) for line in lines), made.seed
