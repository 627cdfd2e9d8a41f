"""``python -m authorizer``: the same as the ``authorizer`` command."""

from .cli import main

main(prog_name="authorizer")
