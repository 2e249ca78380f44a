"""Models of Hugging Face transformers as models of gin files: their settings and their weights."""
