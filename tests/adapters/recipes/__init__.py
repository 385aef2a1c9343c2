"""Tests of the recipes that make the shipped weights."""
