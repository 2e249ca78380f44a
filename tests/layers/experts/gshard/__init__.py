"""Tests of GShard's experts."""
