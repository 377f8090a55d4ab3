"""Images: sizes, fitting, crops. Knows pixels and arithmetic; nothing of prompts or the engine."""
