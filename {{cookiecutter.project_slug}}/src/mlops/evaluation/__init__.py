"""Measure a model, and decide whether it may replace the champion."""
