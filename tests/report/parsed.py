"""A page as an HTML5 parser in the standard library's manner sees it: elements, attributes and text, in order."""

from html.parser import HTMLParser

VOID = {"meta", "link", "img", "br", "hr", "input", "base", "embed", "source"}


class Page(HTMLParser):
    """Everything a test asks of a page.

    `elements`: (tag, attributes) in order; `text`: what is to be read, on one line; `inside(tag)`: text of the
    elements of that tag, each on one line.
    """

    def __init__(self, html):
        super().__init__(convert_charrefs=True)
        self.elements, self._texts, self._open = [], [], []
        self.feed(html)
        self.close()
        assert self._open == [], "elements left open"

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append((tag, len(self.elements) - 1))

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self._open, f"</{tag}> closes nothing"
        assert self._open[-1][0] == tag, f"</{tag}> closes <{self._open[-1][0]}>"
        self._open.pop()

    def handle_data(self, data):
        self._texts.append((tuple(self._open), data))

    @property
    def tags(self):
        return [tag for tag, _ in self.elements]

    @property
    def text(self):
        hidden = {"style", "title", "desc", "script"}
        return " ".join(" ".join(data for where, data in self._texts if not hidden & {tag for tag, _ in where}).split())

    def inside(self, tag):
        found = {}
        for where, data in self._texts:
            for name, number in where:
                if name == tag:
                    found[number] = f"{found.get(number, '')}{data}"
        return [" ".join(found[number].split()) for number in sorted(found)]

    def all(self, name):
        """Values of that attribute, wherever it is."""
        return [attributes[name] for _, attributes in self.elements if name in attributes]
