"""The public names, each of which loads."""

from __future__ import annotations

from homeostat import viewer

NAMES = """
comparison_page create_app evaluation_page names_of run_page run_record serve_view write_comparison write_report
"""


def test_the_public_names_are_these() -> None:
    assert sorted(viewer.__all__) == sorted(NAMES.split())
    for _ in range(2):  # the second time every module is loaded: none may hide a name
        for name in viewer.__all__:
            assert callable(getattr(viewer, name)), name
