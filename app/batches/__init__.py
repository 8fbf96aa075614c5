"""Deliveries of images from ml: a batch is imported whole or not at all."""
