"""How much llguidance may spend on a constraint: the same where it is checked and where it is followed.

Measured with llguidance 1.7.6: of 246 schemas as pydantic, zod and OpenAI's documents write them, none needs
a fifth of the first three; no expression or grammar of those tried held a step for more than 30 ms.
"""

from llguidance import LLParserLimits

LIMITS = LLParserLimits(
    # Per token, for a mask; beyond them the request ends with an error.
    step_lexer_fuel=100_000,
    step_max_items=3_000,
    # When it is compiled.
    initial_lexer_fuel=300_000,
    # About 400 bytes each. A string of bounded length takes 16 for each token, so this is for 4096 tokens.
    max_lexer_states=65_536,
    # Four for each optional property of one object.
    max_items_in_row=2_000,
    # Its errors would hold the client's grammar and answer.
    verbose_errors=False,
)
