"""`python -m streams` is `clickwake`."""

from streams.cli import main

if __name__ == "__main__":
    main()
