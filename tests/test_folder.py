"""A folder on disk: which files are documents, what their text is, and what is passed over and why."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from standpipe.core.ids import digest_bytes
from standpipe.drivers.search.folder import FILE_BYTES_MAX, Folder, folder_id, rules
from standpipe.errors import UsageError


def put(root: Path, files: dict[str, str | bytes]) -> None:
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content.encode() if isinstance(content, str) else content)


def taken(root: Path, known: dict[str, str] | None = None) -> tuple[dict[str, str], Folder]:
    """The texts of all documents of a folder that are not known yet, by path."""
    folder = Folder(root, known or {})
    return {d.path: d.text for chunk in folder.chunks() for d in chunk.changed}, folder


def test_four_kinds_of_files_are_documents_and_everything_else_is_counted(tmp_path: Path) -> None:
    put(
        tmp_path,
        {
            "a.md": "# A\n", "b/c.txt": "text\n", "b/d.rst": "T\n=\n", "e.HTML": "<h1>E</h1>words", "logo.png": b"\x89PNG",
            "binary.md": b"abc\0def", "latin.txt": "Gr\xfc\xdfe aus der K\xfcche, immer wieder gern gelesen.".encode("latin-1"),
            "noise.txt": bytes(range(128, 256)) * 20, "empty.md": " \n", ".hidden.md": "no", ".git/config.md": "no",
            ".standpipe/x.md": "no", "b/access.rel": "no", "bad\nname.md": "no",
        },
    )  # fmt: skip

    texts, folder = taken(tmp_path)
    assert sorted(texts) == ["a.md", "b/c.txt", "b/d.rst", "e.HTML", "latin.txt"]
    assert texts["latin.txt"].startswith("Gr\ufffd\ufffde aus")
    assert texts["e.HTML"] == "# E\n\nwords\n"
    assert folder.documents == 5
    assert folder.replaced == 1
    assert folder.skipped == {"binary": 2, "empty": 1, "hidden": 3, "name": 1, "type": 2}


def test_a_huge_file_is_never_read(tmp_path: Path) -> None:
    with open(tmp_path / "huge.md", "wb") as huge:
        huge.truncate(50_000_000)
    put(tmp_path, {"just.md": b"x" * FILE_BYTES_MAX, "over.md": b"x" * (FILE_BYTES_MAX + 1)})

    texts, folder = taken(tmp_path)
    assert sorted(texts) == ["just.md"]
    assert folder.skipped == {"large": 2}


def test_links_are_not_followed(tmp_path: Path) -> None:
    put(tmp_path, {"outside/secret.md": "secret", "docs/a.md": "a", "docs/hr/plan.md": "plan"})
    docs = tmp_path / "docs"
    (docs / "out.md").symlink_to(tmp_path / "outside" / "secret.md")
    (docs / "folder").symlink_to(tmp_path / "outside")
    (docs / "alias.md").symlink_to(docs / "hr" / "plan.md")
    (docs / "loop").symlink_to(docs)
    (docs / "nowhere.md").symlink_to(docs / "missing.md")

    texts, folder = taken(docs)
    assert sorted(texts) == ["a.md", "hr/plan.md"]
    assert folder.skipped == {"link": 5}


def test_a_file_that_became_a_link_meanwhile_is_not_followed(tmp_path: Path) -> None:
    put(tmp_path, {"outside/secret.md": "secret", "docs/a.md": "a", "docs/b.md": "b"})
    folder = Folder(tmp_path / "docs", {})
    (tmp_path / "docs" / "a.md").unlink()
    (tmp_path / "docs" / "a.md").symlink_to(tmp_path / "outside" / "secret.md")

    assert [document.text for chunk in folder.chunks() for document in chunk.changed] == ["b"]
    assert folder.skipped == {"unreadable": 1}


def test_what_is_no_file_is_not_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.md")
    put(tmp_path, {"a.md": "a"})

    texts, folder = taken(tmp_path)
    assert (sorted(texts), folder.skipped) == (["a.md"], {"special": 1})


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_what_may_not_be_read_is_counted(tmp_path: Path) -> None:
    put(tmp_path, {"a.md": "a", "b.md": "b", "c/d.md": "d"})
    (tmp_path / "b.md").chmod(0)
    (tmp_path / "c").chmod(0)

    texts, folder = taken(tmp_path)
    (tmp_path / "c").chmod(0o700)
    assert (sorted(texts), folder.skipped) == (["a.md"], {"unreadable": 2})


def test_names_that_are_not_utf8_are_passed_over(tmp_path: Path) -> None:
    with open(os.path.join(os.fsencode(tmp_path), b"caf\xe9.md"), "wb") as file:
        file.write(b"a")
    put(tmp_path, {"größe.md": "a"})

    texts, folder = taken(tmp_path)
    assert (sorted(texts), folder.skipped) == (["größe.md"], {"name": 1})


@pytest.mark.parametrize(
    ("front", "left"),
    [
        ("---\ntitle: Node Full\nweight: 20\n---\n\n# NodeFull\n", "# Node Full\n\n# NodeFull\n"),
        ("---\r\ncover: x.png\r\ndescription: 'What to do.'\r\n---\r\nText\r\n", "What to do.\n\nText\r\n"),
        ('+++\ntitle = "T"\n+++\nText\n', "# T\n\nText\n"),
        ("---\ntitle: T\n---\n", "# T\n\n"),
        ("---\nNo fields: at all here\n", "---\nNo fields: at all here\n"),
        ("---\n\nA rule above.\n\n---\nAnd below.\n", "---\n\nA rule above.\n\n---\nAnd below.\n"),
        ("Text\n---\ntitle: no\n---\n", "Text\n---\ntitle: no\n---\n"),
        ("\ufeff---\ntitle: T\n---\nText\n", "# T\n\nText\n"),
    ],
)
def test_of_front_matter_only_words_stay(tmp_path: Path, front: str, left: str) -> None:
    put(tmp_path, {"a.md": front})
    assert taken(tmp_path)[0] == {"a.md": left}


def test_only_what_changed_is_read_again(tmp_path: Path) -> None:
    put(tmp_path, {"a.md": "one", "b.md": "two", "c.md": "three"})
    known = {path: digest_bytes(text.encode()) for path, text in {"a.md": "one", "b.md": "old", "gone.md": "x"}.items()}

    folder = Folder(tmp_path, known)
    chunks = list(folder.chunks())
    assert [c.gone for c in chunks if c.gone] == [("gone.md",)]
    assert [d.path for c in chunks for d in c.changed] == ["b.md", "c.md"]
    assert folder.documents == 3


def test_an_access_file_that_cannot_be_read_does_not_mean_open(tmp_path: Path) -> None:
    (tmp_path / "access.rel").symlink_to(tmp_path / "missing")
    with pytest.raises(UsageError, match="cannot be read"):
        rules(tmp_path)
    (tmp_path / "access.rel").unlink()
    (tmp_path / "access.rel").mkdir()
    with pytest.raises(UsageError, match="is no file"):
        rules(tmp_path)
    (tmp_path / "access.rel").rmdir()
    os.mkfifo(tmp_path / "access.rel")
    with pytest.raises(UsageError, match="is no file"):
        rules(tmp_path)
    (tmp_path / "access.rel").unlink()
    assert rules(tmp_path) is None


def test_a_folder_has_one_id_by_whatever_name(tmp_path: Path) -> None:
    root = tmp_path / "docs"
    root.mkdir()
    (tmp_path / "link").symlink_to(root)

    assert (
        folder_id("acme", root)
        == folder_id("acme", tmp_path / "link")
        == folder_id("acme", root / "." / "..")[:0] + folder_id("acme", root)
    )
    assert folder_id("acme", root) == folder_id("acme", tmp_path / "link") == folder_id("acme", root / ".." / "docs")
    assert folder_id("acme", root) != folder_id("other", root)
