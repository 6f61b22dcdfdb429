"""The page inside of other people's pages: its compact forms, the snippets for them, and who may frame it."""
