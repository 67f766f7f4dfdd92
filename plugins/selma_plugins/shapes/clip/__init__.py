"""The world's CLIP-like model: unit features of pictures and texts, read off `shapes_judge`."""
