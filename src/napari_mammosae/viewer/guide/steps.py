"""The steps of the demo's story as plain values. Knows no Qt."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Step:
    """One step.

    Attributes
    ----------
    key
        What the guide calls it.
    title
        Text of its button.
    tip
        What pressing it does.
    """

    key: str
    title: str
    tip: str


STEPS = (
    Step("latent", "What is a latent?", "Show where one latent fires, in place of the logit map"),
    Step("ranking", "Which latents go with a mass?", "Show the ranking of the latents for mass in the Latents dock"),
    Step("find", "Which latents read the marker?", "Search the run for latents that fire on burned-in markers"),
    Step("judge", "Mark those spurious", "Mark them spurious, as key 0 marks the latent shown"),
    Step("remove", "Switch them off", "Predict without your spurious latents, as Shift-Q does"),
    Step("auroc", "Watch the AUROC", "Show in the Intervene dock what that changes over the run"),
)
HINT = (
    "Red adds to the logit: mass and marker.",
    "Press Right to see why, latent by latent.",
    "Then take the next steps (Shift-N).",
)
"""What the canvas says over the picture that the demo opens on."""
TAKEN = 5
"""Latents that are looked for: most of what the marker adds comes through so many."""
