"""Tables in Markdown, and the sections of a page that scripts write."""
import re
import sys


def table(head, rows):
    """As Markdown; the columns after the first to the right."""
    lines = [head, ("---", *["---:"] * (len(head) - 1)), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def update(page, sections):
    """Replaces what is between `<!-- name -->` and `<!-- /name -->`, once for each section."""
    with open(page) as file:
        text = file.read()
    for name, section in sections.items():
        pattern = rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)"
        text, count = re.subn(pattern, lambda match: match[1] + section + "\n" + match[2], text, flags=re.DOTALL)
        if count != 1:
            sys.exit(f"{page} has no place for {name}")
    with open(page, "w") as file:
        file.write(text)
