"""A cell's requests are its own, and what it cost is told for each of them."""

import pytest

from benchmarks.load import Answer, Closed
from benchmarks.session import STRIDE, WARM_UP_NUMBER, cells, images_and_caches, shares
from benchmarks.workloads import CONVERSATIONS, texts

ANSWER = Answer(0.0, (1.0,), 2.0, 50, succeeded=True)


def test_cells_share_no_numbers() -> None:
    """Each begins with the first turn of a round of conversations, and none reaches the numbers for warming
    up.
    """
    found = cells([(texts(), Closed(clients), 64) for clients in (1, 4, 16)])
    assert [cell.first for cell in found] == [0, STRIDE, 2 * STRIDE]
    assert STRIDE % (5 * CONVERSATIONS) == 0
    assert found[-1].first + STRIDE < WARM_UP_NUMBER


def test_cpu_for_each_request_and_token() -> None:
    """All processes together, and each; failed requests have no share."""
    failed = Answer(0.0, (), 2.0, 0, succeeded=False)
    measures = shares({"api": 0.5, "engine": 1.0, "worker": 0.5, "other": 0.0}, [ANSWER, ANSWER, failed])
    assert (measures["cpu_api_s_per_request"], measures["cpu_all_s_per_request"]) == (0.25, 1)
    assert measures["cpu_api_us_per_token"] == pytest.approx(5000)


def test_bytes_for_each_image_and_hits() -> None:
    """Where a server counts them."""
    counted = {
        "pictures_sent": 2.0,
        "picture_bytes_sent": 10.0,
        "prefix_cache_queries": 8.0,
        "prefix_cache_hits": 2.0,
    }
    measures = images_and_caches(counted)
    assert (measures["bytes_per_picture"], measures["prefix_cache_hit_rate"]) == (5, 0.25)
    assert "picture_cache_hit_rate" not in measures
