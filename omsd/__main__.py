"""`python -m omsd`: the same as the console script."""

from omsd.cli.main import run

if __name__ == "__main__":
    run()
