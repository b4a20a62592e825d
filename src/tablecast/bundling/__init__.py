"""A function's code for Lambda on arm64, put together without Docker."""

from tablecast.bundling.bundler import PYTHONS, Bundle, Bundler

__all__ = ["PYTHONS", "Bundle", "Bundler"]
