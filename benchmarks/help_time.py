"""CPU time of ``racoon --help`` beside a bare interpreter and a bare typer application."""

import resource
import statistics
import subprocess
import sys

BARE_TYPER = "import typer; app = typer.Typer(); app.command()(lambda: None); app(['--help'])"
COMMANDS = {
    "python -c pass": [sys.executable, "-c", "pass"],
    "bare typer --help": [sys.executable, "-c", BARE_TYPER],
    "racoon --help": [sys.executable, "-m", "racoon_data", "--help"],
}
RUNS = 9


def cpu_seconds(command: list[str]) -> float:
    """User and system time of one run of a command."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (after.ru_utime + after.ru_stime) - (before.ru_utime + before.ru_stime)


def main() -> None:
    """Alternate the commands, print medians and the ratio to bare typer."""
    times: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for _ in range(RUNS):
        for name, command in COMMANDS.items():
            times[name].append(cpu_seconds(command))
    medians = {name: statistics.median(values) for name, values in times.items()}
    for name, median in medians.items():
        print(f"{name:<20} {median:.3f} CPU s (median of {RUNS})")
    print(f"ratio to bare typer  {medians['racoon --help'] / medians['bare typer --help']:.2f}")
    print(f"target under 0.3 CPU s: {'met' if medians['racoon --help'] < 0.3 else 'missed'}")


if __name__ == "__main__":
    main()
