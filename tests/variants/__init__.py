"""Every variant of the template: rendered once, and each distinct file checked once by the tools that know its kind.

``python -m variants --help`` (in tests/) is the command; ``make test`` and ``make lint-variants`` run it.
"""
