"""What a client posts is what training knows."""

from PIL import Image

from demo.exam import Question
from demo.language import encode_turns, user
from demo.posting import messages
from phiserve.chat.encoder import PromptEncoder
from phiserve.core import Turn
from phiserve.protocol.chat import ChatCompletionRequest
from phiserve.protocol.translation import build_conversation

PICTURE = Image.new("RGB", (4, 3), (200, 30, 30))
FOLLOW_UP = Question((PICTURE,), (("What is this?", "A book."),), "Who wrote it?", "Ann.")


def test_messages_are_what_training_knows(encoder: PromptEncoder) -> None:
    """A question's messages, as the server encodes them, are the ids that training has for the same turns."""
    request = ChatCompletionRequest.model_validate({"model": "m", "messages": messages(FOLLOW_UP)})
    turns = (user("What is this?", pictures=1), Turn("assistant", ("A book.",)), user("Who wrote it?"))
    assert encoder.encode(build_conversation(request.messages)).segments == encode_turns(turns)


def test_the_question_may_stand_first(encoder: PromptEncoder) -> None:
    """Before the picture, as training has it in that layout."""
    question = Question((PICTURE,), (), "What is this?", "A book.")
    posted = messages(question, question_first=True)
    request = ChatCompletionRequest.model_validate({"model": "m", "messages": posted})
    turns = (user("What is this?", pictures=1, layout="question first"),)
    assert encoder.encode(build_conversation(request.messages)).segments == encode_turns(turns)
