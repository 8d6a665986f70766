"""brf-lava install-lava"""

from __future__ import annotations

import click


@click.command("install-lava")
@click.option("--dry-run", is_flag=True, help="Print the commands without running them.")
def install_lava(dry_run: bool) -> None:
    """Install Lava next to this package, on Python 3.10 to 3.13.

    Lava's last releases allow Python 3.10 and torch 2.3 only. This installs their unmodified wheels
    (lava-nc 0.10.0, lava-dl 0.6.0; hashes checked) with current versions of what they need, in the
    environment that this command runs in.
    """
    from brf_lava import lava_install

    lava_install.install_lava(click.echo, dry_run=dry_run)
