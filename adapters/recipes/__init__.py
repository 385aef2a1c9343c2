"""Recipes that make every shipped weight again, from text to safetensors."""
