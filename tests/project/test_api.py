"""The public names: documented, with examples that run as printed."""

import doctest
import inspect

import pytest

import napari_mammosae as ms

FUNCTIONS = sorted(name for name in ms.__all__ if inspect.isfunction(getattr(ms, name)))
CLASSES = sorted(set(ms.__all__) - set(FUNCTIONS))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Where examples start from: `phantoms`, and `run` with maps."""
    folder = tmp_path_factory.mktemp("api")
    ms.make_phantoms(folder / "phantoms", 12, seed=1)
    ms.make_run(folder / "phantoms", "demo", folder / "run", labels=folder / "phantoms" / "labels.csv", maps=True)
    return folder


def test_there_are_about_two_dozen_names():
    assert 20 <= len(ms.__all__) <= 34
    assert {"load_model", "rank", "localize", "intervene", "sweep", "compare", "view", "train_sae"} <= set(FUNCTIONS)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_say_what_they_take_raise_and_how_they_are_called(name):
    text = inspect.getdoc(getattr(ms, name))
    assert "Examples\n--------" in text
    parameters = inspect.signature(getattr(ms, name)).parameters
    if len(parameters) > 2:
        assert "Parameters\n----------" in text
        assert all(parameter in text for parameter in parameters)


@pytest.mark.parametrize("name", CLASSES)
def test_classes_are_described(name):
    assert len(inspect.getdoc(getattr(ms, name))) > 20


@pytest.mark.slow
@pytest.mark.parametrize("name", ms.__all__)
def test_examples_run_as_printed(name, folder, monkeypatch):
    monkeypatch.chdir(folder)
    tested = getattr(ms, name)
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
    for one in doctest.DocTestFinder().find(tested, name, inspect.getmodule(tested)):
        report: list[str] = []
        runner.run(one, out=report.append)
        assert not runner.failures, "".join(report)
    import matplotlib.pyplot as plt

    plt.close("all")


@pytest.mark.slow
def test_images_go_by_name(folder):
    run = ms.open_run(folder / "run")
    number = int(run.images["image"].iloc[4])
    name = run.images["image_id"].iloc[4]
    assert run.row_of(name) == run.row_of(f"elsewhere/{name}.png") == run.row_of(number) == 4
    assert (run.latents(name).values == run.latents(number).values).all()
    with pytest.raises(ms.MammoSAEError, match="run has no image 'phantom-9'; it has for example 'phantom-000001'"):
        run.latents("phantom-9")


@pytest.mark.slow
def test_a_model_predicts_what_its_run_says(folder):
    run, model = ms.open_run(folder / "run"), ms.load_model("demo", device="cpu")
    image = ms.read_mammogram(folder / "phantoms" / "phantom-000003.png")
    row = run.row_of(image.image_id)
    logit = run.images["logit.mass"].iloc[row]
    assert model.predict(image)["mass"] == pytest.approx(1 / (1 + 2.718281828459045**-logit), abs=1e-5)
