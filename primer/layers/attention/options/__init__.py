"""What dot-product attention can be given besides its projections, each part on its own."""
