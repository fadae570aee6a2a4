"""Steps as processes of this machine: nothing is believed but what the kernel and the disk show."""

from reconciler.executor.local.executor import LocalExecutor

__all__ = ["LocalExecutor"]
