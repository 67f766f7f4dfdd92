"""Looking at LoRA files and using them: what they hold, how two differ, fusing one into a model's folder.

`describe`, `compare`, `picture`, `fuse` (with `weights`, which rewrites safetensors files). Nothing here is imported
before it is used. Converting between forms is `selma_core.artifacts.lora_export`.
"""
