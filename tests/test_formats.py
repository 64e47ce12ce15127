"""A transcript as a file: complete, readable, and what players and spreadsheets take."""

from __future__ import annotations

import html
import itertools
import json
import re
import unicodedata

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from server.exports.cues import MAX_COLUMNS, MAX_MS, MIN_MS, Cue, build_cues, columns
from server.exports.formats import FORMATS, to_json, to_srt, to_tsv, to_txt, to_vtt
from server.protocol import WireFinal, WireWord


def said(text: str, start: float = 0.0, per_word: float = 0.3) -> WireFinal:
    """A final of the words in `text`, one after the other, with Whisper's leading space."""
    words = text.split()
    return WireFinal(
        tuple(
            WireWord(0.9, start + per_word * (number + 1), start + per_word * number, word)
            for number, word in enumerate(words)
        ),
        " " + " ".join(words),
    )


def times(cue: Cue) -> tuple[int, int]:
    return cue.start, cue.end


# What finals are made of: any script, marks that formats give a meaning to, words no line can hold, odd spaces.
words = st.one_of(
    st.text(st.characters(exclude_categories=["Cs", "Zs", "Zl", "Zp", "Cc"]), min_size=1, max_size=12),
    st.sampled_from(
        ["-->", "&", "<i>", "&amp;", "2024", "WEBVTT", "NOTE", "ja.", "aber,", "今日は、", "x" * 100, "「良い」。" * 30]
    ),
)
gaps = st.sampled_from([" ", " ", " ", "", "\n\n", "\t", "\u2028", "  "])


@st.composite
def finals_of_any_kind(draw: st.DrawFn) -> list[WireFinal]:
    finals = []
    now = 0.0
    for _ in range(draw(st.integers(0, 3))):
        result, text = [], ""
        for word in draw(st.lists(words, max_size=12)):
            start = now + draw(st.floats(0, 9 if draw(st.booleans()) else 0.2))
            now = start + draw(st.floats(0, 9 if draw(st.booleans()) else 0.5))
            # Rounding, or a damaged file, may put a word before the one it follows.
            result.append(WireWord(0.5, now, max(0.0, start - draw(st.sampled_from([0, 0, 0, 5.0]))), word))
            text += draw(gaps) + word
        finals.append(WireFinal(tuple(result), text))
    return finals


def bare(text: str) -> str:
    return "".join(char for char in text if not char.isspace() and unicodedata.category(char) != "Cc")


@given(finals_of_any_kind())
def test_cues_hold_all_text_in_order(finals: list[WireFinal]) -> None:
    shown = "".join("".join(cue.lines) for cue in build_cues(finals))
    assert bare(shown) == bare("".join(final.text for final in finals))


@given(finals_of_any_kind())
def test_cues_keep_their_limits(finals: list[WireFinal]) -> None:
    for cue in build_cues(finals):
        assert 1 <= len(cue.lines) <= 2
        assert all(line == line.strip() and 0 < columns(line) <= MAX_COLUMNS for line in cue.lines)
        assert 0 < cue.end - cue.start <= MAX_MS


@given(finals_of_any_kind())
def test_cues_come_in_order_do_not_overlap_and_stay_as_long_as_they_can(finals: list[WireFinal]) -> None:
    for cue, following in itertools.pairwise(build_cues(finals)):
        assert cue.end <= following.start
        assert cue.end - cue.start >= MIN_MS or following.start - cue.end <= 1


@given(st.lists(st.text("abcdeäöü.,?", min_size=1, max_size=30), max_size=60))
def test_spaces_stand_where_the_text_has_them(text: list[str]) -> None:
    cues = build_cues([said(" ".join(text))])
    assert " ".join(line for cue in cues for line in cue.lines).split() == text


@given(finals_of_any_kind())
def test_srt_reads_back_as_its_cues(finals: list[WireFinal]) -> None:
    blocks = to_srt(finals).split("\n\n")[:-1]
    read = []
    for number, block in enumerate(blocks, 1):
        index, clock, *lines = block.split("\n")
        assert index == str(number)
        assert not any("-->" in line for line in lines)
        read.append(Cue(*_milliseconds(clock, ","), tuple(lines)))
    assert read == [
        Cue(cue.start, cue.end, tuple(line.replace("-->", "→") for line in cue.lines)) for cue in build_cues(finals)
    ]


@given(finals_of_any_kind())
def test_vtt_reads_back_as_its_cues(finals: list[WireFinal]) -> None:
    head, *blocks = to_vtt(finals).split("\n\n")[:-1]
    assert head == "WEBVTT"
    read = []
    for block in blocks:
        clock, *lines = block.split("\n")
        assert not any("<" in line or ">" in line for line in lines)
        read.append(Cue(*_milliseconds(clock, "."), tuple(_unescaped(line) for line in lines)))
    assert read == build_cues(finals)


def _milliseconds(clock: str, point: str) -> tuple[int, int]:
    one = rf"(\d\d+):(\d\d):(\d\d){re.escape(point)}(\d\d\d)"
    match = re.fullmatch(f"{one} --> {one}", clock)
    assert match
    h1, m1, s1, ms1, h2, m2, s2, ms2 = map(int, match.groups())
    return ((h1 * 60 + m1) * 60 + s1) * 1000 + ms1, ((h2 * 60 + m2) * 60 + s2) * 1000 + ms2


def _unescaped(line: str) -> str:
    return line.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")


@given(finals_of_any_kind())
def test_json_holds_the_finals_as_they_were_sent(finals: list[WireFinal]) -> None:
    assert json.loads(to_json(finals)) == [json.loads(msgspec.json.encode(final)) for final in finals]


@given(finals_of_any_kind())
def test_tsv_has_a_row_for_each_final(finals: list[WireFinal]) -> None:
    head, *rows = to_tsv(finals).split("\n")[:-1]
    assert head == "start\tend\ttext"
    cells = [row.split("\t") for row in rows]
    assert [text for _, _, text in cells] == [" ".join(final.text.split()) for final in finals]
    assert all(start.isdecimal() and end.isdecimal() for start, end, _ in cells)


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"])), max_size=5))
@example(["a\nb", "", "  "])
def test_txt_has_one_final_a_line(texts: list[str]) -> None:
    lines = to_txt([WireFinal((), text) for text in texts]).split("\n")
    assert lines == [" ".join(text.split()) for text in texts if text.strip()] + [""]


@given(st.lists(words, min_size=1, max_size=8), st.text(max_size=20))
def test_text_that_does_not_match_its_words_is_shown_all_the_same(heard: list[str], text: str) -> None:
    final = WireFinal(tuple(WireWord(1.0, 2.0, 1.0, word) for word in heard), text)
    shown = "".join("".join(cue.lines) for cue in build_cues([final]))
    assert bare(shown) == bare(text)


@pytest.mark.parametrize(("name", "empty"), [("json", "[]"), ("txt", ""), ("srt", ""), ("vtt", "WEBVTT\n\n")])
def test_nothing_said_is_a_valid_file(name: str, empty: str) -> None:
    assert FORMATS[name].render([]) == empty


def test_a_short_utterance_is_held_for_a_second() -> None:
    assert to_srt([said("Ja.", 5.0)]) == "1\n00:00:05,000 --> 00:00:06,000\nJa.\n\n"


def test_a_short_utterance_makes_way_for_the_next() -> None:
    assert [times(cue) for cue in build_cues([said("Ja.", 5.0), said("Nein, das glaube ich nicht.", 5.5)])] == [
        (5000, 5500),
        (5500, 7000),
    ]


def test_cuts_come_after_sentences() -> None:
    text = "Wir fangen heute etwas früher an. Danach gibt es eine längere Pause für alle."
    assert [" ".join(cue.lines) for cue in build_cues([said(text)])] == [
        "Wir fangen heute etwas früher an.",
        "Danach gibt es eine längere Pause für alle.",
    ]


def test_cuts_come_in_pauses() -> None:
    before = said("und dann haben wir")
    after = said("lange nichts gehört", 3.0)
    final = WireFinal(before.result + after.result, before.text + after.text)
    assert [cue.lines for cue in build_cues([final])] == [("und dann haben wir",), ("lange nichts gehört",)]


def test_a_long_sentence_is_cut_at_a_comma() -> None:
    text = "Wenn die Sonne am frühen Morgen über den Bergen steht, gehen wir alle zusammen hinunter an den kleinen See"
    assert [" ".join(cue.lines) for cue in build_cues([said(text)])] == [
        "Wenn die Sonne am frühen Morgen über den Bergen steht,",
        "gehen wir alle zusammen hinunter an den kleinen See",
    ]


def test_lines_are_of_like_length() -> None:
    (cue,) = build_cues([said("the quick brown fox jumps over the lazy dog and runs away")])
    assert cue.lines == ("the quick brown fox jumps over", "the lazy dog and runs away")


def test_short_sentences_share_a_cue() -> None:
    assert [cue.lines for cue in build_cues([said("Ja. Gut. Danke.")])] == [("Ja. Gut. Danke.",)]


def test_japanese_has_no_spaces_and_half_the_characters() -> None:
    text = "今日は天気がとても良いので、みんなで公園に行って、お弁当を食べましょう。"
    final = WireFinal(tuple(WireWord(1.0, n / 5 + 0.2, n / 5, char) for n, char in enumerate(text)), text)
    cues = build_cues([final])
    assert "".join("".join(cue.lines) for cue in cues) == text
    assert all(len(line) <= MAX_COLUMNS // 2 for cue in cues for line in cue.lines)
    assert cues[0].lines[-1].endswith("、")


def test_a_word_that_no_line_holds_is_spread_over_its_time() -> None:
    url = "https://example.org/" + "a" * 180
    cues = build_cues([WireFinal((WireWord(1.0, 10.0, 0.0, url),), f" {url}")])
    assert "".join("".join(cue.lines) for cue in cues) == url
    assert cues[0].start == 0
    assert cues[-1].end == 10_000


def test_a_letter_is_not_parted_from_its_accent() -> None:
    word = "e\u0301" * 60  # e with a combining acute
    lines = [line for cue in build_cues([said(word)]) for line in cue.lines]
    assert len(lines) > 1
    assert all(line.startswith("e") for line in lines)


def test_vtt_escapes_what_has_a_meaning_there() -> None:
    assert "a &lt;b&gt; &amp; c --&gt; d" in to_vtt([said("a <b> & c --> d")])
    assert html.unescape(to_vtt([said("x &amp; y")])).endswith("x &amp; y\n\n")


def test_tsv_gives_whole_milliseconds() -> None:
    assert to_tsv([said("Guten Tag", 1.2346)]) == "start\tend\ttext\n1235\t1835\tGuten Tag\n"
