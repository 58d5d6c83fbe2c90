"""Recipes: everything that a training is told."""
