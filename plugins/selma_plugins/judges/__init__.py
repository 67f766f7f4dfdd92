"""Chat models that see: vision-language models on this machine, and judges in interpreters of their own."""
