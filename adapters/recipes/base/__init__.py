"""The bundled base model's recipe: `python -m adapters.recipes.base --out DIR [--corpus DIR] [--minutes 60]`."""
