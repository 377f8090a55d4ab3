"""What outlives a request: responses, conversations and their items, each owned by whoever made it."""
