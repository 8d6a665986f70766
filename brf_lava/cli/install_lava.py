"""brf-lava install-lava"""

from __future__ import annotations

import click

from brf_lava.cli.command import Command


@click.command("install-lava", cls=Command, result=False)
@click.option("--dry-run", is_flag=True, help="Print the commands without running them.")
def install_lava(dry_run: bool) -> None:
    """Install Lava (lava-nc 0.10.0, lava-dl 0.6.0) into the environment of this command.

    The unmodified wheels of its last releases are installed, hashes checked, with current versions
    of what they need: their own metadata allow Python 3.10 and torch 2.3 only.

    \b
    Examples:
      brf-lava install-lava --dry-run
      brf-lava install-lava
    """
    from brf_lava import lava_install

    lava_install.install_lava(click.echo, dry_run=dry_run)
