"""What all pages for people share: house style, numbers as text, tables, blocks, CSS, templates."""
