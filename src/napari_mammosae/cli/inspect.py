"""`inspect`: one image, everything the model sees in it, as files."""

from typing import Annotated, Literal

import typer

from . import options, prompting
from .console import caution, say, working


def inspect(
    image: options.Image,
    model: options.Model,
    out: options.OutFolder,
    sae: options.Sae = None,
    sae_option: options.SaeOption = None,
    layer: options.Layer = None,
    contribution: options.Contribution = None,
    prompt: prompting.Prompt = None,
    text: prompting.Text = None,
    vocab: prompting.Vocabulary = None,
    approximate: prompting.Approximate = False,
    boxes: options.Boxes = None,
    top: options.Top = 10,
    figure: Annotated[Literal["png", "pdf", "svg"], typer.Option(help="Format of the figure.")] = "png",
    device: options.Device = "auto",
    precision: options.Precision = "float32",
    engine: options.Engine = None,
    batch: options.Batch = 1,
    no_crop: options.NoCrop = False,
    quiet: options.Quiet = False,
) -> None:
    """Latents, maps, prediction and a figure of one image.

    Writes latents.csv (every latent: mean, maximum, active cells, attribution), maps.npz, prediction.json, figure.png.
    With --prompt: the logit and cosine of a text too, and what every latent adds to it. With --contribution, for an SAE
    on an inner layer: what every latent adds by gradients, and what these leave open.
    """
    recipe = options.sae_recipe(sae, sae_option, layer) | prompting.text_recipe(prompt, text, vocab)
    with working(f"Reading {image.name}", quiet=quiet):
        from ..core.base.provenance import check_replaceable
        from ..core.images.mammogram import read_mammogram
        from ..core.models.compute import features_and_latents
        from ..core.models.contributions import contributions_of
        from ..core.models.disagreement import disagreements
        from ..core.models.domain import outside_domain
        from ..core.models.loading import load_model
        from ..core.reports.inspection import inspection_files, prompt_line, write_inspection

        table, arrays, note, picture = inspection_files(out, f"figure.{figure}")
        check_replaceable(note, table, arrays, picture)
        mammogram = read_mammogram(image, crop=not no_crop)
        found, notes = None, tuple[str, ...]()
        if boxes:
            from ..core.datasets.find import read_boxes

            findings = read_boxes(boxes)
            found = findings.boxes(mammogram.full_name, shape=mammogram.shape)
            notes = findings.notes_on({mammogram.full_name: mammogram.shape})
    with working(f"Loading {model}", quiet=quiet):
        network = load_model(model, device=device, precision=precision, engine=engine, **recipe)
        head = prompting.add_prompt(network, prompt, approximate=approximate, quiet=quiet)
    outside = outside_domain(network, mammogram)
    notes = (
        *mammogram.notes,
        *mammogram.frame_for(network.preprocessing).notes,
        *notes,
        *network.notes,
        *([outside] if outside else []),
    )
    caution(notes, quiet=quiet)
    with working("Computing latents", quiet=quiet):
        features, maps = features_and_latents(network, mammogram.prepared(network.preprocessing), mammogram.name)
        added = None if contribution is None else contributions_of(network, features, contribution)
    caution([*([maps.scale_alarm] if maps.scale_alarm else []), *disagreements(network, maps)], quiet=quiet)
    with working("Writing", quiet=quiet):
        settings = {
            "image": image,
            "model": model,
            **recipe,
            **({} if contribution is None else {"contribution": contribution}),
            "boxes": boxes,
            "top": options.top_text(top),
            "crop": not no_crop,
            "notes": notes,
            **({} if prompt is None else {"prompt": prompt, "approximate": approximate}),
        }
        written = write_inspection(
            out,
            network,
            mammogram,
            maps,
            boxes=found,
            top=top,
            figure=f"figure.{figure}",
            settings=settings,
            contributions=added,
        )
    probabilities = network.probabilities(maps.logits)
    for name, probability in zip(network.classes, probabilities, strict=True):
        if head is None or name != head.classes[0]:
            say(f"{name}: probability {probability:.4f}", quiet=quiet)
    if head is not None:
        say(prompt_line(head, network, maps), quiet=quiet)
    if added is not None:
        for place, name in enumerate(network.classes):
            say(f"{name}: {added.describe(place)}", quiet=quiet)
    say(f"{len(maps.latents)} of {maps.shape[0]} latents fire", quiet=quiet)
    for path in written:
        say(f"wrote {path}", quiet=quiet)
