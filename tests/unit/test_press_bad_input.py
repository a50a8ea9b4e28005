"""Bad input ends in one message with file, line and cure, and leaves nothing behind."""

from __future__ import annotations

from pathlib import Path

import pytest
from unit.press_project import HELLO, refused, site

POST = "posts/2026-11-02-bad.md"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("No front matter.\n", f"{POST}:1: has no front matter"),
        ("---\ntitle: Open\n\nText\n", f"{POST}:1: the front matter is opened and never closed"),
        ("---\n- a\n- b\n---\n", f"{POST}:2: the front matter is not a mapping"),
        ("---\ntitle: A\ntags: [one\n---\n", f"{POST}:"),
        ("---\ntitle: A\ntitle: B\n---\n", f"{POST}:3:1: `title`: the key is given twice (first on line 2)"),
        ("---\ntitle: A\ntaggs: [b]\n---\n", f"{POST}:3: `taggs` is not a key of the front matter"),
        ("---\nlayout: post\n---\n", f"{POST}:1: has no title"),
        ("---\ntitle: 2026\n---\n", f"{POST}:2: `title` must be text; YAML reads 2026 as int"),
        ("---\ntitle: A\ndate: 2026-02-30\n---\n", f"{POST}:3:7: `date`: day is out of range for month"),
        ("---\ntitle: A\ndate: tomorrow\n---\n", f"{POST}:3: `date` is not a date: tomorrow"),
        ("---\ntitle: A\ndate: 0001-01-01\n---\n", f"{POST}:3: `date` is in the year 1"),
        ("---\ntitle: A\ndraft: perhaps\n---\n", f"{POST}:3: `draft` must be true or false"),
        ("---\ntitle: A\ntags: one, two\n---\n", f"{POST}:3: `tags` must be a list"),
        ("---\ntitle: A\ntags: [3.11]\n---\n", f"{POST}:3: `tags` holds 3.11, which is not text"),
        ("---\ntitle: A\ntags: ['!']\n---\n", f"{POST}:3: `tags` holds `!`, which has no letter or digit"),
        ("---\ntitle: A\nslug: ../../etc\n---\n", f"{POST}:3: `slug` must not leave its folder"),
        ("---\ntitle: A\nslug: ..\n---\n", f"{POST}:3: `slug` must not leave its folder"),
        ("---\ntitle: A\nslug: /etc\n---\n", f"{POST}:3: `slug` must not leave its folder"),
        ("---\ntitle: A\nslug: ''\n---\n", f"{POST}:3: `slug` is empty"),
        ("---\ntitle: A\nslug: a b\n---\n", f"{POST}:3: `slug` holds ` `, which has no place in a URL"),
        ("---\ntitle: A\nslug: a?b\n---\n", f"{POST}:3: `slug` holds `?`, which has no place in a URL"),
        ('---\ntitle: A\nslug: "a\\x07b"\n---\n', f"{POST}:3: `slug` holds the control character U+0007"),
        ('---\ntitle: "A\\0"\n---\n', f"{POST}:2: `title` holds the control character U+0000"),
        (
            "---\ntitle: A\npermalink: /a/../b/\n---\n",
            f"{POST}:3: `permalink` has the part `..`, which must not leave",
        ),
        ("---\ntitle: A\npermalink: about\n---\n", f"{POST}:3: `permalink` must begin with `/`"),
        ("---\ntitle: A\npermalink: //evil.example/\n---\n", f"{POST}:3: `permalink` holds `//`"),
        ("---\ntitle: A\npermalink: /about\n---\n", f"{POST}:3: `permalink` must end with `/`"),
        ("---\ntitle: A\nlayout: pots\n---\n", f"{POST}:3: `layout` names `pots`, and there is no such layout"),
        ("---\ntitle: A\nlayout: ../post\n---\n", f"{POST}:3: `layout` names `../post`, and there is no such layout"),
        ("---\ntitle: !!python/object/apply:os.system [id]\n---\n", f"{POST}:2:8: `title`: the tag"),
        ("---\ntitle: A\n---\n![](/assets/gone.png)\n", f"{POST}:4: there is no asset /assets/gone.png"),
    ],
)
def test_a_bad_post_is_refused_with_its_line(tmp_path: Path, text: str, said: str) -> None:
    """Each message begins with the file and line at which an editor should open."""
    message = refused(tmp_path, {**HELLO, POST: text})
    assert message.startswith(said)


def test_an_unknown_layout_names_the_known_ones(tmp_path: Path) -> None:
    """The cure is in the message."""
    assert "known here: 404, archive, index, page, post, tag, tags" in refused(
        tmp_path, {POST: "---\ntitle: A\nlayout: pots\n---\n"}
    )


def test_an_unknown_key_names_the_near_one(tmp_path: Path) -> None:
    """A slip of the pen costs one look."""
    assert "did you mean `summary`?" in refused(tmp_path, {POST: "---\ntitle: A\nsumary: B\n---\n"})


def test_a_post_that_is_not_utf_8_is_refused_at_the_line_of_the_byte(tmp_path: Path) -> None:
    """Latin-1 is not guessed at."""
    message = refused(tmp_path, {POST: "---\ntitle: A\n---\n\nÜber\n".encode("latin-1")})
    assert message.startswith(f"{POST}:5: not UTF-8: byte 0xdc")


def test_a_post_without_any_date_is_refused(tmp_path: Path) -> None:
    """The clock of the machine never dates a post."""
    assert refused(tmp_path, {"posts/hello.md": "---\ntitle: A\n---\n"}).startswith("posts/hello.md:1: has no date")


def test_an_impossible_date_in_the_name_is_refused(tmp_path: Path) -> None:
    """2026-13-01 is no month."""
    message = refused(tmp_path, {"posts/2026-13-01-a.md": "---\ntitle: A\n---\n"})
    assert message.startswith("posts/2026-13-01-a.md: its name holds no date: 2026-13-01")


def test_a_file_name_that_is_no_url_is_refused_with_a_better_one(tmp_path: Path) -> None:
    """Spaces and quotes in file names are the author's to settle, not ours to guess."""
    message = refused(tmp_path, {"posts/2026-11-01-It's me.md": "---\ntitle: A\n---\n"})
    assert "the slug in the file's name holds" in message
    assert "its-me" in message


def test_two_posts_with_one_url_are_refused_by_both_names(tmp_path: Path) -> None:
    """Nothing is silently overwritten."""
    message = refused(tmp_path, {**HELLO, "posts/2026-11-09-other.md": "---\ntitle: B\nslug: hello\n---\n"})
    assert message.startswith("posts/2026-11-09-other.md:3: has the address /2026/11/hello/")
    assert "and so has posts/2026-11-01-hello.md" in message


def test_urls_that_differ_only_in_case_are_refused(tmp_path: Path) -> None:
    """They are one file on macOS and two on Linux."""
    message = refused(tmp_path, {**HELLO, "posts/2026-11-02-HELLO.md": "---\ntitle: B\n---\n"})
    assert "posts/2026-11-02-HELLO.md" in message
    assert "posts/2026-11-01-hello.md" in message


def test_a_page_in_the_place_of_the_archive_is_refused(tmp_path: Path) -> None:
    """Pages that the press makes itself have addresses too."""
    message = refused(tmp_path, {"site/pages/archive.md": "---\ntitle: Mine\n---\n"})
    assert message.startswith("site/pages/archive.md: publishes /archive/index.html, and so does the page /archive/")


def test_a_post_in_the_place_of_the_feed_is_refused(tmp_path: Path) -> None:
    """The same for files that are no pages; the message begins with the file that somebody wrote."""
    message = refused(tmp_path, {POST: "---\ntitle: A\npermalink: /feed.xml\n---\n"})
    assert message.startswith(f"{POST}: publishes /feed.xml, and so does the feed")


def test_a_static_file_in_the_place_of_a_page_is_refused(tmp_path: Path) -> None:
    """Static files are copied as they are, and over nothing."""
    message = refused(tmp_path, {"site/static/archive/index.html": "mine"})
    assert "site/static/archive/index.html" in message


def test_a_file_in_the_place_of_a_folder_is_refused(tmp_path: Path) -> None:
    """`tags` can't be a file beside /tags/one/."""
    message = refused(tmp_path, {**HELLO, "site/static/tags": "mine"})
    assert "site/static/tags" in message


def test_two_tags_with_one_address_are_refused(tmp_path: Path) -> None:
    """`C sharp` and `C#` would share a page; the press can't know that they are one."""
    files = {
        "posts/2026-11-01-a.md": "---\ntitle: A\ntags: [C sharp]\n---\n",
        "posts/2026-11-02-b.md": "---\ntitle: B\ntags: ['C#']\n---\n",
    }
    message = refused(tmp_path, files)
    assert "/tags/c-sharp/" in message
    assert "posts/2026-11-01-a.md" in message
    assert message.startswith("posts/2026-11-02-b.md:3")


def test_a_permalink_pattern_without_a_file_is_refused(tmp_path: Path) -> None:
    """`/{slug}` would write a file that no server knows the type of."""
    assert refused(tmp_path, HELLO, site(permalink="/{slug}")).startswith("tagship.yml: site.permalink must end")


@pytest.mark.parametrize(
    ("template", "said"),
    [
        ("<p>\n{% if %}\n", "site/templates/post.html:2: "),
        ("<p>\n\n{{ post.titel }}\n", "site/templates/post.html:3: 'article' has no attribute 'titel' ("),
        ("{{ nothing }}\n", "site/templates/post.html:1: 'nothing' is undefined"),
        (
            "\n{{ asset('gone.css') }}\n",
            "site/templates/post.html:2: there is no asset `gone.css`; known: favicon.svg",
        ),
        ("\n{% include 'gone.html' %}\n", "site/templates/post.html:2: there is no template `gone.html`"),
        ("{{ 1 / 0 }}", "site/templates/post.html:1: ZeroDivisionError: division by zero"),
        ("{% extends 'post.html' %}", "site/templates/post.html:1: templates include or extend each other"),
    ],
)
def test_a_template_error_names_the_line_and_the_page(tmp_path: Path, template: str, said: str) -> None:
    """Which template is wrong, where, and for which page: both are needed to find it."""
    message = refused(tmp_path, {**HELLO, "site/templates/post.html": template})
    assert message.startswith(said)
    assert "(while making posts/2026-11-01-hello.md)" in message


def test_an_error_in_an_included_template_names_that_one(tmp_path: Path) -> None:
    """The innermost template is the one to mend."""
    files = {"site/templates/post.html": "{% include '_part.html' %}", "site/templates/_part.html": "\n\n{{ nope }}"}
    assert refused(tmp_path, {**HELLO, **files}).startswith("site/templates/_part.html:3: 'nope' is undefined")


def test_a_template_that_is_not_utf_8_is_named(tmp_path: Path) -> None:
    """With the line of the byte."""
    message = refused(tmp_path, {**HELLO, "site/templates/_part.html": b"\n\xff"})
    assert message.startswith("site/templates/_part.html:2: not UTF-8")


def test_an_error_in_an_html_page_has_the_line_of_its_file(tmp_path: Path) -> None:
    """The front matter counts."""
    page = "---\ntitle: A\n---\n<p>\n{{ nope }}\n"
    assert refused(tmp_path, {"site/pages/a.html": page}).startswith("site/pages/a.html:5: 'nope' is undefined")
    assert refused(tmp_path, {"site/pages/a.html": "---\ntitle: A\n---\n{% if %}\n"}).startswith(
        "site/pages/a.html:4: "
    )


@pytest.mark.parametrize(
    ("style", "said"),
    [
        ("a {}\nb { background: url(gone.png) }\n", "site/assets/a.css:2: there is no asset `gone.png`"),
        ("@import 'a.css';\n", "site/assets/a.css:1: stylesheets import each other: a.css -> a.css"),
    ],
)
def test_a_stylesheet_that_names_what_is_not_there_is_refused(tmp_path: Path, style: str, said: str) -> None:
    """A broken image in a stylesheet is an error like one in a page."""
    assert refused(tmp_path, {"site/assets/a.css": style}).startswith(said)


def test_a_link_out_of_the_project_is_refused(tmp_path: Path) -> None:
    """What is not in the tag must not be published."""
    (tmp_path / "project/site/static").mkdir(parents=True)
    (tmp_path / "project/site/static/passwd").symlink_to("/etc/passwd")
    assert "leads out of the project" in refused(tmp_path, HELLO)


def test_hostile_documents_are_refused_at_once(tmp_path: Path) -> None:
    """A scalar of 100 MB and an alias bomb end in a message, not in a swapping machine."""
    big = tmp_path / "project" / POST
    big.parent.mkdir(parents=True)
    with big.open("wb") as file:
        file.write(b"---\ntitle: ")
        file.truncate(100_000_000)
    assert "is larger than 4,000,000 bytes" in refused(tmp_path, {})
    assert "longer than 1,000,000 characters" in refused(tmp_path, {POST: f"---\ntitle: {'x' * 3_000_000}\n---\n"})
    bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
    bomb += "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 10))
    assert "aliases counted" in refused(tmp_path, {POST: f"---\n{bomb}---\n"})


def test_text_nested_without_end_is_refused(tmp_path: Path) -> None:
    """Thousands of lists inside each other are a message, not a crash."""
    message = refused(tmp_path, {POST: "---\ntitle: A\n---\n" + "- " * 5_000 + "deep\n"})
    assert message.startswith(f"{POST}:4: is nested too deeply")


def test_many_workers_report_the_same_error_as_one(tmp_path: Path) -> None:
    """The first bad post in order is named, however the work was shared out."""
    files = {f"posts/2026-10-{n:02d}-p.md": f"---\ntitle: P\nslug: p{n}\n---\nText\n" for n in range(1, 29)}
    for n in (9, 16, 23):
        files[f"posts/2026-10-{n:02d}-p.md"] += "![](/assets/gone.png)\n"
    one = refused(tmp_path, files, workers=1)
    assert refused(tmp_path, files, workers=3) == one
    assert one.startswith("posts/2026-10-23-p.md:6: ")
