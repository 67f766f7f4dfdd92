"""Stand-ins for the models behind rewards: a captioner, a segmenter and a rater that err at stated rates."""
