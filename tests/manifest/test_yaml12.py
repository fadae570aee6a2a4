from __future__ import annotations

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.manifest import yaml12
from reconciler.manifest.yaml12 import (
    MAX_ALIASES,
    MAX_BYTES,
    MAX_DEPTH,
    MAX_NODES,
    Node,
    parse,
    resolve,
)
from tests.manifest.strategies import UNHURRIED

PIECES = st.sampled_from(
    ["a", "b: ", ": ", "- ", "\n", "  ", "\t", "[", "]", "{", "}", ",", "'", '"', "&a ", "*a", "!t ", "|", ">", "#", "---\n",
     "...\n", "? ", "%YAML 1.2\n", "<<: ", "é", "\u2028", "\ufeff", "\x00", "\x85", "\r", "@", "`", "\\", "<<<<<<< "]
)  # fmt: skip


def plain(node: Node):
    if isinstance(node.value, dict):
        return {key: plain(child) for key, (_, _, child) in node.value.items()}
    if isinstance(node.value, list):
        return [plain(child) for child in node.value]
    return node.value if node.style else resolve(node.value)


def read(text: str | bytes):
    roots, problems = parse("f", text.encode() if isinstance(text, str) else text)
    assert problems == []
    assert all(whole for _, whole in roots)
    return [plain(root) for root, _ in roots]


def said(text: str | bytes) -> list[str]:
    _, problems = parse("f", text.encode() if isinstance(text, str) else text)
    return [str(problem) for problem in problems]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("18:30", "18:30"), ("09:30", "09:30"), ("on", "on"), ("off", "off"), ("yes", "yes"), ("no", "no"), ("y", "y"),
        ("2026-01-31", "2026-01-31"), ("2026-01-31T09:00:00Z", "2026-01-31T09:00:00Z"), ("1_000", "1_000"),
        ("0b101", "0b101"), ("1:2:3", "1:2:3"), ("None", "None"), ("nan", "nan"), ("inf", "inf"), ("=", "="),
        ("12e03", 12000.0), ("5e-05", 5e-05), (".5", 0.5), ("5.", 5.0), ("-0.0", -0.0), ("1e3", 1000.0), ("+1", 1),
        ("-7", -7), ("0", 0), ("0o17", 15), ("0x1F", 31), ("0xfF", 255), ("~", None), ("null", None), ("NULL", None),
        ("", None), ("true", True), ("False", False), ("TRUE", True), ("tRUE", "tRUE"), ("'1'", "1"), ('"true"', "true"),
        ("-", "-"), ("+", "+"), (".", "."), ("-a", "-a"), ("0o8", "0o8"), ("0xg", "0xg"), ("1.2.3", "1.2.3"),
        ("9223372036854775807", (1 << 63) - 1), ("-9223372036854775808", -(1 << 63)), ("$x", "$x"),
    ],
)  # fmt: skip
def test_scalars_mean_what_the_core_schema_of_yaml_1_2_says(text, value):
    result = read(f"a: {text}\n")[0]["a"] if text != "-" else resolve("-")
    assert (result, type(result)) == (value, type(value))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("010", "leading zero"), ("-01", "leading zero"), ("08", "leading zero"), ("00.5", "leading zero"),
        (".inf", "finite"), ("-.INF", "finite"), (".NaN", "finite"), ("1e999", "too large"),
        ("9223372036854775808", "64 bits"), ("0x8000000000000000", "64 bits"), ("1" * 5000, "64 bits"),
    ],
)  # fmt: skip
def test_numbers_without_an_exact_meaning_are_refused(text, reason):
    with pytest.raises(ValueError, match=reason):
        resolve(text)


@pytest.mark.parametrize(
    "text",
    [
        "a: 18:30\nb: [x]\n", "a: 18:30\r\nb: [x]\r\n", "a: 18:30\rb: [x]\r", "\ufeffa: 18:30\nb: [x]\n",
        "# comment\n---\na: 18:30\nb:\n- x\n...\n", "%YAML 1.2\n---\n{a: 18:30, b: [x]}\n", "a: 18:30\nb: [x]",
        "---\n---\na: 18:30\nb: [x]\n---\n# nothing\n---\n", '"a": "18:30"\n? b\n: - "x"\n', "a: 18:30 # so\nb: [x,]\n",
        "a: &t 18:30\nb: [x]\n", "\n\n  a: 18:30\n  b: [x]\n", "a: >-\n  18:30\nb: [!!str x]\n".replace("!!str ", ""),
    ],
)  # fmt: skip
def test_spellings_that_mean_the_same_are_accepted(text):
    assert read(text) == [{"a": "18:30", "b": ["x"]}]


def test_several_documents_keep_their_places_and_empty_ones_are_left_out():
    roots, problems = parse("f", "\ufeffa: é\r\n---\r\n---\r\nb:\r\n  - [1, {c: x}]\r\n".encode())
    assert problems == []
    (first, _), (second, _) = roots
    assert (first.line, first.column) == (1, 1)
    line, column, items = second.value["b"]
    assert (line, column) == (4, 1)
    (row,) = items.value
    line, column, value = row.value[1].value["c"]
    assert (line, column, value.line, value.column) == (5, 10, 5, 13)


def test_anchors_and_aliases_share_a_value_within_a_document():
    assert read("a: &x [1, &y 2]\nb: *x\nc: *y\n? &k d\n: *k\n") == [
        {"a": [1, 2], "b": [1, 2], "c": 2, "d": "d"}
    ]


def test_a_document_with_a_structural_problem_is_marked_and_the_next_one_is_not():
    roots, problems = parse("f", b"a: 1\na: 2\n---\nb: 1\n")
    assert [whole for _, whole in roots] == [False, True]
    assert [str(problem) for problem in problems] == [
        "f:2:1: duplicate key 'a'; it is already at line 1, column 1"
    ]


def test_the_size_of_a_file_is_bounded():
    assert said(b"#" * MAX_BYTES) == []
    assert said(b"#" * (MAX_BYTES + 1)) == [
        "f: the file has 1,048,577 bytes, more than 1,048,576; split it"
    ]


def test_the_depth_is_bounded():
    assert said("[" * MAX_DEPTH + "]" * MAX_DEPTH) == []
    assert said("[" * 33 + "]" * 33) == ["f:1:33: nested more than 32 levels deep; flatten it"]
    assert said("{a: " * 100_000) == ["f:1:129: nested more than 32 levels deep; flatten it"]
    inner = "- &a " + "[" * 16 + "]" * 16 + "\n"
    assert said(inner + "- " + "[" * 14 + "*a" + "]" * 14) == []
    assert said(inner + "- " + "[" * 16 + "*a" + "]" * 16) == [
        "f:2:19: nested more than 32 levels deep; flatten it"
    ]


def test_the_number_of_values_is_bounded():
    assert said("[" + "x," * (MAX_NODES - 1) + "]") == []
    assert said("[" + "x," * (MAX_NODES + 1) + "]")[0].endswith(
        "more than 100,000 values, aliases included; split the file"
    )
    assert said("{" + ",".join(f"{n}: " for n in range(60_000)) + "}")[0].startswith(
        "f:1:1: more than 100,000 values"
    )


def test_the_number_of_aliases_is_bounded():
    text = "- &a x\n" + "- *a\n" * MAX_ALIASES
    assert said(text) == []
    assert said(text + "- *a\n") == ["f:1002:3: more than 1,000 aliases; write the values out"]


def test_an_alias_bomb_costs_nothing():
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 30)]
    (line,) = said("\n".join(lines))
    assert line.endswith("more than 100,000 values, aliases included; split the file")


@given(st.lists(PIECES, max_size=30).map("".join) | st.text(max_size=60))
@settings(UNHURRIED, max_examples=300)
def test_no_text_raises_and_every_problem_is_one_printable_line_with_a_place(text):
    try:
        data = text.encode()
    except UnicodeEncodeError:
        data = text.encode("utf-8", "surrogatepass")
    for line in said(data):
        assert line.startswith("f:")
        assert line.isprintable()


@given(st.binary(max_size=60))
@settings(UNHURRIED, max_examples=300)
def test_no_bytes_raise(data):
    assert all(line.isprintable() for line in said(data))


@given(st.recursive(st.text(st.characters(min_codepoint=32, max_codepoint=126)) | st.integers(-999, 999) | st.booleans() | st.none(),
                    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(st.characters(min_codepoint=97, max_codepoint=122), min_size=1), inner, max_size=3)))  # fmt: skip
@settings(UNHURRIED, max_examples=200)
def test_what_pyyaml_writes_with_quotes_is_read_back(data):
    text = yaml.safe_dump({"data": data}, default_style='"' if isinstance(data, str) else None)
    if any(word in text for word in ("&", "*", "!")):
        return
    with_quotes = yaml.safe_load(text)
    roots, problems = parse("f", text.encode())
    assert problems == []
    try:
        assert [plain(root) for root, _ in roots] == [with_quotes]
    except ValueError:
        assert "0" in text  # a plain word such as 08, which PyYAML takes for text


def test_without_libyaml_the_slow_parser_reads_the_same(monkeypatch):
    monkeypatch.setattr(yaml12, "_Parser", yaml.BaseLoader)
    assert read("kind: Schedule\ntags: {a: [1, 'x']}\n") == [
        {"kind": "Schedule", "tags": {"a": [1, "x"]}}
    ]
    assert said("a: [1\nb: 2\n") == [
        "f:2:2: this is not YAML; check the indentation, the quotes and the brackets around it"
    ]
    assert said("a: *\n") == ["f:1:4: quote it: '*'"]
