"""Why an image is not shown, from whatever parses it to whoever answers."""


class Unreadable(Exception):
    """An image that cannot be shown; the message follows the words "the image", in our own words and not a
    library's.
    """


DAMAGED = "is damaged or incomplete"
