"""NCT, [batch, channels, time], outside; the kernels' time-major memory inside."""

from __future__ import annotations

from torch import Tensor

from brf_lava.errors import ParameterError


def time_major(x: Tensor, channels: int | None, where: str) -> Tensor:
    """[B, C, T] as contiguous [T, B, C]. Raises: ParameterError for other `channels`, if given."""
    if x.dim() != 3 or x.shape[2] == 0 or channels not in (None, x.shape[1]):
        wanted = "channels" if channels is None else channels
        raise ParameterError(
            f"{where}: an input of shape {list(x.shape)}; [batch, {wanted}, time] with one step or "
            "more is needed. Flatten images, and check the widths of neighboring blocks."
        )
    return x.permute(2, 0, 1).contiguous()


def nct(x: Tensor) -> Tensor:
    """[T, B, C] as [B, C, T], a view."""
    return x.permute(1, 2, 0)
