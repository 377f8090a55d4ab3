"""What outlives a request: responses, conversations and their items, each owned by whoever made it.

Knows SQL and limits, not what is in a response: payloads are texts.
"""
