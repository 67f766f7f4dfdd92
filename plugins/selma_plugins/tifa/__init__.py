"""TIFA: questions with choices about each image, from a file or generated and filtered."""
