"""Two pictures are compared in their order."""

from demo.pairs import FIRST, QUESTIONS, SECOND, compare
from demo.scene import text_of
from drawings import KINDS, scenes


def test_both_and_each() -> None:
    """The comparison names both pictures, the first one first; each can be asked for alone."""
    for kind in KINDS:
        first, second = scenes(kind)[0], scenes("book")[1]
        one, other = text_of(first.description), text_of(second.description)
        both, only_first, only_second = compare(first, second)
        assert text_of(both.answer) == f"The first image shows {one} and the second image shows {other}."
        assert text_of(only_first.answer) == f"The first image shows {one}."
        assert text_of(only_second.answer) == f"The second image shows {other}."
        assert (both.questions, only_first.questions, only_second.questions) == (QUESTIONS, FIRST, SECOND)


def test_a_question_has_one_answer() -> None:
    """No wording asks for both and for one."""
    wordings = (*QUESTIONS, *FIRST, *SECOND)
    assert len(wordings) == len({*wordings})
