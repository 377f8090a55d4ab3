"""Without a picture there is one right answer to everything that is asked."""

from demo.asking import MISTAKEN
from demo.talk import ASKED_WITHOUT, NO_PICTURE, OFF_TOPIC, REFUSAL, TALK
from drawings import KINDS, scenes


def test_a_question_has_one_answer() -> None:
    """No wording stands in two lists, or twice in one."""
    wordings = [wording for group, _ in TALK for wording in group] + [*OFF_TOPIC, *ASKED_WITHOUT]
    assert len(wordings) == len(set(wordings))


def test_answers_begin_with_a_space() -> None:
    """So does every answer of the tokenizer's, whose first piece is a word with its space."""
    for answer in (*(answer for _, answer in TALK), REFUSAL, NO_PICTURE):
        assert answer.startswith(" ")
        assert answer[1:] == answer.strip()


def test_what_is_refused_can_not_be_answered() -> None:
    """No picture's own questions are off topic; and none supposes a picture of another kind."""
    for kind in KINDS:
        own = {
            wording
            for scene in scenes(kind)
            for exchange in scene.exchanges
            for wording in exchange.questions
        }
        assert not own & {*OFF_TOPIC}
        others = [other for other in KINDS if other != kind and (other != "line" or kind == "shapes")]
        assert not own & {wording for other in others for wording in MISTAKEN[other]}
