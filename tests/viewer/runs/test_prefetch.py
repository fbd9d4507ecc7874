from napari_mammosae.viewer.runs.prefetch import Prefetch


def test_prefetch_keeps_the_last_and_forgets_failures():
    ahead, calls = Prefetch(), []

    def work(key, fail=False):
        calls.append(key)
        if fail:
            raise ValueError(key)
        return key

    ahead.want([(key, lambda key=key: work(key)) for key in "abc"])
    ahead.want([("x", lambda: work("x", fail=True)), ("c", lambda: work("c"))])
    ahead._pool.submit(lambda: None).result()  # all before it is done
    assert ahead.get("c") == "c"
    assert ahead.get("x") is None
    ahead.want([("x", lambda: work("x"))])
    ahead._pool.submit(lambda: None).result()
    assert ahead.get("x") == "x"
    for number in range(20):
        ahead.keep(number, number)
        ahead.want([])
    assert ahead.get("c") is None
    assert ahead.get(19) == 19
    ahead.close()
