"""The check of the built site finds links, places and pictures that do not exist."""

from docs.check_site import broken_links


def test_links_places_and_pictures_that_do_not_exist_are_named(tmp_path):
    (tmp_path / "docs").mkdir()
    (tmp_path / "index.html").write_text(
        '<h1 id="top">x</h1><a href="docs/a%20b.html#here">ok</a><a href="#top">ok</a><a href="https://x/y">'
        '<a href="docs/a%20b.html#gone">bad</a><a href="missing.html"><img src="x.png"></a><a href="#no">'
    )
    (tmp_path / "docs" / "a b.html").write_text('<p id="here"><a href="../index.html#top">ok</a></p>')
    assert broken_links(tmp_path) == [
        "index.html: #no has no such place",
        "index.html: docs/a%20b.html#gone has no such place",
        "index.html: missing.html does not exist",
        "index.html: x.png does not exist",
    ]
