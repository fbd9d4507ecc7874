"""The text of the embedded model's card, around the figures that `demo_card.py` measures."""

import numpy as np

from napari_mammosae.core.phantoms.phantom import FINDINGS


def card(f: dict, structures: tuple[str, ...]) -> str:
    """The model card as Markdown; every number comes from `figures.json`."""
    names = [*FINDINGS, *structures]
    shown = {name: name.replace("_", " ") for name in names}
    auc = "\n".join(
        f"| {shown[name]} | {kind} | {a['without_sae']:.3f} | {a['with_sae']:.3f} "
        f"| {a['removed_replace']:.3f} | {a['removed_delta']:.3f} |"
        for name in FINDINGS
        for kind, a in (("unbiased", f["auroc_unbiased"][name]), ("biased", f["auroc_biased"][name]))
    )
    finds = "\n".join(
        f"| {shown[name]} | {r['latent']} | {r['ap']:.2f} | {r['recall']:.2f} | {r['ap_paper']:.2f} "
        f"| {r['pointing']:.2f} | {_number(r['lift'])} | {r['lift_image']:.1f} |"
        for name in names
        for r in f["latents"][name]
    )
    marker = "\n".join(
        f"| {r['latent']} | {r['attribution_mass']:+.3f} | {r['lift_image_marker']:.1f} | {r['lift_mass']:.2f} "
        f"| {r['lift_suspicious_calcification']:.2f} |"
        for r in f["marker_latents"][:10]
    )
    prompts = "\n".join(
        f"| {text} | {p['auroc']:.3f} | {p['auroc_against']:.3f} | {p['positives']} |"
        for text, p in f["text"]["prompts"].items()
    )
    background = f["background_best_ap"]
    return f"""# The embedded demo model

A small classifier and a sparse autoencoder (SAE) trained on **synthetic phantoms** by `scripts/train_demo.py`. It has
seen no real mammogram and is of no use on one. It exists so that everything in this package can be tried offline, with
a known truth. Research use only, not for diagnosis.

| | |
| --- | --- |
| classifier | EfficientNet of half B0's width and depth, 256 features, input 1520 x 912, grid 48 x 29; average pooling and a linear head with two logits, `mass` and `suspicious_calcification`; float16 on disk |
| SAE | {8 * 256} latents on the last feature map, ReLU, L1, tied bias, unit decoder columns; float16 on disk |
| trained on | 920 phantoms: the network on 12,000 patches of 320 x 320 pixels with a target for every cell, then the linear head on whole images with image labels |
| built-in flaw | among the whole images, P(view marker given a mass) = {f["marker_bias"]:.1f} and 1 - that without one: the marker is a shortcut to `mass` |
| measured on | {f["images"]} phantoms from seed {f["first_seed"]}, never trained on; {f["positives"]["mass"]} with a mass, {f["positives"]["suspicious_calcification"]} with a cluster of calcifications |

## Prediction
AUROC on phantoms whose marker says nothing (unbiased) and on the same ones with the training's bias; and after the
marker latents listed below are removed, in the SAE's place (replace) or with its error kept (delta).

| finding | marker | without SAE | with SAE | removed, replace | removed, delta |
| --- | --- | --- | --- | --- | --- |
{auc}

The SAE explains {100 * f["explained_variance"]:.1f} % of the variance with {f["l0"]:.1f} latents a cell; {100 * f["dead_share"]:.1f} % of the
latents never fired on these images.

## What latents find
The three latents of highest average precision (AP at IoU 0.25) for each finding and structure. AP and recall: regions
above 0.3 of the maximum, all images. AP (paper): the 0.95 quantile, images with the finding only. Lift: activation
inside the boxes against their share of the breast; lift (image): against their share of the whole image. Both are 1
for a map that does not care.

| | latent | AP | recall | AP (paper) | pointing | lift | lift (image) |
| --- | --- | --- | --- | --- | --- | --- | --- |
{finds}

Background: {len(f["background_latents"])} latents fire on at least half of the images and prefer nothing listed here (every lift
below 1.5). The best AP any of them reaches is {background["mass"]:.3f} for masses and
{background["suspicious_calcification"]:.3f} for calcifications.

Marker latents: lift (image) above 10 on the marker and below 1 on both findings. What one unit of their mean over the
cells adds to the logit of `mass` (the ten strongest of {len(f["marker_latents"])}), and their lifts:

| latent | on mass | marker | mass | calcification |
| --- | --- | --- | --- | --- |
{marker}

## Text tower
A BERT of two layers (64 wide) and the projections that join it to the 256 features, trained by
`scripts/train_demo_text.py` on sentences drawn from the truth of 300 phantoms; the view marker goes with a mass there
in three of four images, which was chosen among three shares (0.5, 0.75, 0.9) on the phantoms measured below, so these
figures are a little too good. It knows these words and no others. Measured on {f["text"]["images"]} unseen phantoms whose
marker says nothing: AUROC of a prompt's logit, alone and against "no ..." (the classifier: mass
{f["text"]["classifier"]["mass"]:.3f}, suspicious calcification {f["text"]["classifier"]["suspicious_calcification"]:.3f}).

| prompt | AUROC | against "no ..." | images with it |
| --- | --- | --- | --- |
{prompts}

Of the first ten latents for "view marker", by what they add to its logit, {f["text"]["marker_latents_at_0.9"]} have an AUROC of 0.9 or more between
{f["text"]["pairs"]} phantoms with a view marker and the same ones without.

## What it does not show
- Phantoms are far simpler than breasts: one kind of texture, masses of simple shapes. No figure here says anything about
  mammograms.
- The features were taught where structures lie (cell targets), which the published models were not: latents are
  cleaner here than there.
- The SAE was trained on more cells of findings and structures than chance would give.
- The latents listed were picked on the phantoms they are measured on, as the best of many: a little optimistic.
- The marker bias was made by drawing images of an unbiased set with unequal probability when the head was fitted; the
  features below the head know of markers because their cells were a target, not because of the bias.
- Removing the listed marker latents undoes part of the shortcut, not all of it: other latents that look at the marker
  look at something else too (the device tag, specks), and are left.
- The breast lift of structures in the air has no meaning: hardly any of their box lies in the breast.
"""  # noqa: E501


def _number(value: float) -> str:
    return "" if np.isnan(value) else f"{value:.1f}"
