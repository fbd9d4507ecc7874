from fake_run import FakeRun
from napari_mammosae.core.base.caches import all_caches
from napari_mammosae.core.runs.image_files import ImageFiles
from napari_mammosae.viewer.latents.thumbnails import GreyCache


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
