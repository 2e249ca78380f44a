"""GShard models against the numbers of Lingvo."""
