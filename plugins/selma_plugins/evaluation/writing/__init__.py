"""Questions about prompts that no file knows, written by a chat model."""
