"""The errors of this package that Python does not have already."""


class VideoError(ValueError):
    """The file is not a video that can be used: the message names the path, what was tried and FFmpeg's reason."""


class BackendUnavailableError(RuntimeError):
    """A backend that was asked for by name cannot be loaded; the message says why."""
