"""Why a picture is not shown, from whatever parses it to whoever answers."""


class Unreadable(Exception):
    """A picture that cannot be shown; the message follows the words "the picture", in our own words and not a library's."""


DAMAGED = "is damaged or incomplete"
