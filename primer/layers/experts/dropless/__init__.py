"""Experts without capacity in training: rows sorted by expert, products over each expert's rows.

MegaBlocks (https://arxiv.org/abs/2211.15841). `layer_rows` applies the experts, `sorted_rows` moves
tokens to rows and back, `row_products` multiplies rows, `block_products` computes the products of
one processor.
"""
