"""FineRewards' two rewards: what a captioner says of an image, and the things that are seen in it."""
