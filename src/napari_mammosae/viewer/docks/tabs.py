"""Tabs that are as tall as the page in front."""

from __future__ import annotations

from qtpy.QtWidgets import QSizePolicy, QTabWidget, QWidget


class PageTabs(QTabWidget):
    """A tab widget whose hidden pages ask for no height: a tall one would make the dock scroll behind a short one."""

    def __init__(self) -> None:
        super().__init__()
        self.currentChanged.connect(self._follow)

    def add(self, page: QWidget, title: str, tip: str = "") -> None:
        """Add a page, and what its tab says when pointed at."""
        self.addTab(page, title)
        self.setTabToolTip(self.count() - 1, tip)
        self._follow()

    def _follow(self, *_: object) -> None:
        for at in range(self.count()):
            page = self.widget(at)
            policy = page.sizePolicy()
            shown = at == self.currentIndex()
            policy.setVerticalPolicy(QSizePolicy.Policy.Preferred if shown else QSizePolicy.Policy.Ignored)
            page.setSizePolicy(policy)
        self.updateGeometry()
