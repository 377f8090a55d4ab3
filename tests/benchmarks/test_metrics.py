"""Counters are read from the page both servers have."""

from benchmarks.metrics import change, parse, values

PAGE = """# HELP phiserve_images_sent_total Images sent to the engine.
# TYPE phiserve_images_sent_total counter
phiserve_images_sent_total 3.0
phiserve_images_sent_created 1.7e+09
vllm:prefix_cache_hits_total{engine="0",model_name="bench"} 128.0
vllm:prefix_cache_hits_total{engine="1",model_name="bench"} 2.0
vllm:num_requests_running{engine="0",model_name="bench"} 1.0
"""


def test_known_counters_are_summed_over_labels() -> None:
    assert parse(PAGE) == {"pictures_sent": 3, "prefix_cache_hits": 130}


def test_change() -> None:
    """What was not there before began at nothing."""
    assert change({"pictures_sent": 1}, {"pictures_sent": 3, "prefix_cache_hits": 2}) == {
        "pictures_sent": 2,
        "prefix_cache_hits": 2,
    }


def test_all_values_of_a_page() -> None:
    """Under their own names, summed over labels."""
    page = (
        '# HELP x y\nvllm:num_requests_running{engine="0"} 2.0\nvllm:num_requests_running{engine="1"} 3.0\n'
    )
    assert values(page) == {"vllm:num_requests_running": 5.0}
