"""Files that the browser makes of what the page shows, so the server keeps nothing that somebody else could fetch."""

from __future__ import annotations

FORMS = {"csv": ("csv", "text/csv"), "markdown": ("md", "text/markdown"), "json": ("json", "application/json")}
_DOWNLOAD = """() => {
  const rows = document.querySelector("%(where)s .measured-rows");
  if (!rows) return;
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([rows.dataset.%(form)s], { type: "%(type)s" }));
  link.download = "paddock.%(end)s";
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}"""


def download(where: str, form: str) -> str:
    """JavaScript that saves the rows inside of the element `where` in one of FORMS."""
    end, kind = FORMS[form]
    return _DOWNLOAD % {"where": where, "form": form, "type": kind, "end": end}
