"""What all HTML reports share: house style, numbers as text, tables, blocks, CSS, templates."""
