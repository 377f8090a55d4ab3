"""Comparing two pictures."""

from demo.scene import Exchange, Literal, Scene

QUESTIONS = (
    "What is the difference between these two images?",
    "What is the difference between these two pictures?",
    "What is the difference between the two images?",
    "Compare these two images.",
    "Compare the two pictures.",
    "What are the differences between the two pictures?",
    "What do these two images show?",
    "What do the two pictures show?",
    "Describe the two images.",
    "How do these images differ?",
)


FIRST = ("What is in the first image?", "What does the first picture show?", "Describe the first image.")
SECOND = ("What is in the second image?", "What does the second picture show?", "Describe the second image.")


def compare(first: Scene, second: Scene) -> tuple[Exchange, ...]:
    """A question about both pictures, answered in their order, and one about each."""
    both = (
        *(Literal(" The first image shows"), *first.description),
        *(Literal(" and the second image shows"), *second.description, Literal(".")),
    )
    return (
        Exchange(QUESTIONS, both),
        Exchange(FIRST, (Literal(" The first image shows"), *first.description, Literal("."))),
        Exchange(SECOND, (Literal(" The second image shows"), *second.description, Literal("."))),
    )
