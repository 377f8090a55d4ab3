"""`/v1/responses`: the routes and the writer of OpenAI's Responses."""
