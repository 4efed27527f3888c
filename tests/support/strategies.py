"""Values of any kind, and edits of a field."""

import json

from hypothesis import strategies as st

ANY_VALUE = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.sampled_from([-1, 0, 2**31, 2**63, 2**64, 10**30, 10**400, 1e308, float("nan"), float("inf"), float("-inf")]),
    st.floats(),
    st.text(max_size=12),
    st.sampled_from(
        [
            "",
            " ",
            "\x00",
            "a\nb",
            "../../x",
            "/etc/passwd",
            "..",
            ".",
            "~",
            "C:\\x",
            "nan",
            "inf",
            "-1",
            "1e9",
            "\uff19",
            "\u00b2",
            "1 - 00:04",
            "3 - 00:00",
            "1 - 99:99",
            "<script>",
            "�",
            "x" * 5000,
            "9" * 5000,
            "1/0",
            "0/0",
            "0x0",
            "1e999999999",
        ]
    ),
    st.sampled_from([[], {}, [[]], [None], {"": None}, [{}], [1, "a"], {"a": {"b": {}}}]),
    st.builds(lambda depth: json.loads("[" * depth + "]" * depth), st.integers(1, 90)),
)
"""Values of any kind."""
FIELD_EDITS = st.sampled_from(["replace", "replace", "replace", "remove", "rename", "double"])
"""What is done with a field; see ``alter_field``."""
