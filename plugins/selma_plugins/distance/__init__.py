"""Distances between sets of images: have the pictures of a tuned model drifted away from what pictures look like?"""
