from fake_run import FakeRun
from napari_mammosae.core.base.caches import all_caches
from napari_mammosae.core.phantoms import phantom
from napari_mammosae.core.reports.latent_pictures import COUNT
from napari_mammosae.core.runs.files.images import ImageFiles
from napari_mammosae.core.runs.opening import open_run
from napari_mammosae.core.runs.ready import files_of_run, ready_run
from napari_mammosae.viewer.latents.gallery.thumbnails import GreyCache, make_pictures


def test_thumbnails_are_listed_with_their_size_and_forgotten_on_request(tmp_path):
    run = FakeRun(tmp_path)
    cache = GreyCache()
    path = ImageFiles(run).path(0)
    picture = cache.get(path, run.frame(0))
    assert cache.get(path, run.frame(0)) is picture
    assert cache in all_caches()
    assert cache.size() == picture.shape[0] * picture.shape[1]
    cache.empty()
    assert cache.size() == 0
    assert cache.get(path, run.frame(0)) is not picture


def test_the_gallery_of_the_run_that_comes_with_the_package_draws_no_phantom(monkeypatch):
    def drawn(*_, **__):
        raise AssertionError("a phantom was drawn")

    monkeypatch.setattr(phantom, "make_phantom", drawn)
    run, arrived = open_run(ready_run()), {}
    make_pictures(run, 880, files_of_run(run), None, GreyCache(), arrived.__setitem__, lambda *_: None)
    assert sorted(arrived) == [-1, *range(COUNT)]
    assert all(picture.shape[0] == 220 and picture.shape[2] == 3 for place, picture in arrived.items() if place >= 0)
