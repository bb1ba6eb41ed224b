"""Lets ``python -m racoon_data`` be the ``racoon`` command."""

from racoon_data.cli.main import app

if __name__ == "__main__":
    app(prog_name="racoon")
