"""SUR-adapter (arXiv 2305.05189): an adapter on the text embedding, taught by complex prompts and a language model."""
