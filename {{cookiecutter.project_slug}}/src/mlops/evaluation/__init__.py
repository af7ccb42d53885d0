"""Measuring a model, and deciding whether it may replace the champion."""
