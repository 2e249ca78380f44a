"""Models of Hugging Face transformers as models of gin files: settings, weights, folders."""
