"""Reads drawn HTML back, and says whether anything from outside became markup in it."""

from html.parser import HTMLParser

EVIL = "x\"'><img src=x onerror=alert(1)><script>alert(1)</script>&amp;"


class Markup(HTMLParser):
    """Tags and attributes of some HTML, and its text."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.attributes, self.text = set(), [], ""
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.attributes += attrs

    def handle_data(self, data):
        self.text += data

    def values(self, attribute):
        return [value for name, value in self.attributes if name == attribute]

    def links(self):
        return self.values("href")


def is_harmless(html):
    markup = Markup(html)
    handlers = [name for name, _ in markup.attributes if name.startswith("on") or name == "src"]
    return not (markup.tags & {"script", "img", "iframe", "style", "svg"} or handlers)
