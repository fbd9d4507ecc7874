"""What a user does to what is drawn: hide, pin, invert, choose a window or a colour scale."""

from ..app.session import ContrastMode

CONTRAST_TITLES: dict[ContrastMode, str] = {
    "shared": "shared scale",
    "latent": "own scale",
    "manual": "by hand",
}
